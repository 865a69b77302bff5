"""The lifespan of an ASGI app, run by the launcher so that a failed start keeps its reason."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from starlette.types import ASGIApp, Message, Scope


class StartError(RuntimeError):
    """A service could not start; the cause is attached where the service raised one."""


class Lifespan:
    """Opens an app's resources and closes them again, both in one task, as context managers demand.

    Args:
        app: The app; it speaks the lifespan protocol, as every app of this project does.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.state: dict[str, Any] = {}
        self._receive: asyncio.Queue[Message] = asyncio.Queue()
        self._started: asyncio.Future[None]
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Run the app's start-up.

        Raises:
            StartError: The app did not start.
        """
        self._started = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._run())
        await self._receive.put({"type": "lifespan.startup"})
        await self._started

    async def stop(self) -> None:
        """Run the app's shutdown and wait for it; what it raises has no further effect."""
        if self._task is None or self._task.done():
            return
        await self._receive.put({"type": "lifespan.shutdown"})
        await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        scope = cast(
            Scope,
            {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": self.state},
        )
        try:
            await self.app(scope, self._receive.get, self._send)
        except Exception as error:
            self._fail(f"{type(error).__name__}: {error}", error)
        else:
            self._fail("it did not start", None)

    async def _send(self, message: Message) -> None:
        # A failure is followed by the exception itself, which says it better than the message.
        if message["type"] == "lifespan.startup.complete" and not self._started.done():
            self._started.set_result(None)

    def _fail(self, reason: str, cause: Exception | None) -> None:
        if self._started.done():
            return
        problem = StartError(reason)
        problem.__cause__ = cause
        self._started.set_exception(problem)
