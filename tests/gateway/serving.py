"""Real sockets for the gateway's tests: a server for an app, and services that tell what they were asked."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import orjson
import uvicorn
from starlette.types import ASGIApp

Serve = Callable[[Any, Any, Any], Awaitable[None]]


@asynccontextmanager
async def serving(app: ASGIApp) -> AsyncIterator[int]:
    """Serves an app on a free port of this machine; gives the port."""
    config = uvicorn.Config(app, log_level="critical", access_log=False, lifespan="on", proxy_headers=False)
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    # asyncio switches Nagle's algorithm off only where the protocol is named.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    await server.startup(sockets=[listener])
    try:
        yield listener.getsockname()[1]
    finally:
        # uvicorn's own way to stop waits in steps of a tenth of a second.
        for each in server.servers:
            each.close()
        for connection in list(server.server_state.connections):
            connection.shutdown()
        await server.lifespan.shutdown()
        listener.close()


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


async def answer(
    send: Any, body: bytes, *, status: int = 200, headers: list[tuple[bytes, bytes]] | None = None
) -> None:
    """Sends a whole response."""
    fixed = headers if headers is not None else [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": status, "headers": fixed})
    await send({"type": "http.response.body", "body": body})


async def read_body(receive: Any) -> bytes:
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            return body


class EchoService:
    """A service that answers every request with what it was asked.

    Attributes:
        asked: How many requests came.
        last: What the last one was.
    """

    def __init__(self, name: str = "echo") -> None:
        self.name = name
        self.asked = 0
        self.last: dict[str, Any] = {}
        self.response_headers: list[tuple[bytes, bytes]] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await lifespan(receive, send)
            return
        self.asked += 1
        headers = [(name.decode(), value.decode("latin-1")) for name, value in scope["headers"]]
        self.last = {
            "service": self.name,
            "method": scope["method"],
            "path": scope["path"],
            "raw_path": scope["raw_path"].decode(),
            "query": scope["query_string"].decode(),
            "headers": dict(headers),
            "client": list(scope["client"] or ()),
            "body": (await read_body(receive)).decode("latin-1"),
        }
        head = [(b"content-type", b"application/json"), *self.response_headers]
        await answer(send, orjson.dumps(self.last), headers=head)

    @property
    def headers(self) -> dict[str, str]:
        """The headers of the last request."""
        return dict(self.last["headers"])


class Service:
    """A service made of one function; it serves its lifespan by itself."""

    def __init__(self, function: Serve) -> None:
        self._function = function

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await lifespan(receive, send)
            return
        await self._function(scope, receive, send)


async def lifespan(receive: Any, send: Any) -> None:
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            await send({"type": "lifespan.startup.complete"})
        else:
            await send({"type": "lifespan.shutdown.complete"})
            return
