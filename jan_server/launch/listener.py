"""The HTTP listener of one service: a uvicorn server on the shared loop, without its own main loop.

uvicorn does the HTTP; this module decides when it listens, how it stops, and that signals, logging and
lifespans are the launcher's business.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket

import uvicorn
from starlette.types import ASGIApp

from jan_server.launch.http_protocol import RequestLimits, with_limits

KEEP_ALIVE_SECONDS = 75
"""Longer than clients keep idle connections, so that none sends into a closing one."""


class Listener:
    """Serves one app on one socket.

    Args:
        app: The app; its lifespan is run elsewhere.
        bound: A bound socket that does not listen yet; the listener closes it.
        state: The lifespan's state, which every request sees.
        websockets: Whether it speaks WebSocket.
        limits: How long heads may be, and how long clients may be silent.
    """

    def __init__(
        self,
        app: ASGIApp,
        bound: socket.socket,
        state: dict[str, object],
        *,
        websockets: bool = False,
        limits: RequestLimits = RequestLimits(),
    ) -> None:
        config = uvicorn.Config(
            app,
            lifespan="off",
            http=with_limits(limits),
            ws="websockets-sansio" if websockets else "none",
            interface="asgi3",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
        )
        config.load()
        self._socket = bound
        self._server = uvicorn.Server(config)
        self._server.lifespan = config.lifespan_class(config)
        self._server.lifespan.state = state
        self._listening = False

    async def start(self) -> None:
        """Begin to listen.

        Raises:
            OSError: Another process has begun to listen on the port in the meantime.
        """
        await self.tick()
        await self._server.startup(sockets=[self._socket])
        self._listening = True

    async def tick(self) -> None:
        """Renew the Date header; the launcher calls it once a second."""
        await self._server.on_tick(0)

    def close(self) -> None:
        """Stop accepting connections and close the idle ones; requests under way go on."""
        if not self._listening:
            self._socket.close()
            return
        self._listening = False
        for server in self._server.servers:
            server.close()
        for connection in list(self._server.server_state.connections):
            connection.shutdown()

    async def drain(self, seconds: float, hurry: asyncio.Event) -> int:
        """Wait for the requests under way, streams too; what is left then is cut off.

        Args:
            seconds: How long to wait.
            hurry: Ends the waiting at once.

        Returns:
            How many requests were cut off.
        """
        state = self._server.server_state
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        while (state.connections or state.tasks) and loop.time() < deadline and not hurry.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(hurry.wait(), 0.05)
        cut_off = list(state.tasks)
        for task in cut_off:
            task.cancel()
        for connection in list(state.connections):
            if connection.transport is not None:
                connection.transport.abort()
        await asyncio.gather(*cut_off, return_exceptions=True)
        return len(cut_off)
