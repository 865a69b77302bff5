"""Callers who leave: work for them ends at once, instead of with its result."""

from __future__ import annotations

import asyncio
from types import TracebackType

from starlette.types import Receive

FIRST_LOOK_SECONDS = 0.02
"""When a caller is first looked for: most answers of fast providers are there before."""


class CallerGone(Exception):
    """The caller closed the connection before the answer."""


class WhileConnected:
    """Runs its body as long as the caller is there; use it as an async context manager.

    When the caller leaves, what the body awaits is cancelled, as by `asyncio.timeout`; a caller
    who leaves in the first hundredths of a second is noticed right after them.

    Args:
        receive: The request's ASGI `receive`, its body already read.

    Raises:
        CallerGone: The caller left.
    """

    __slots__ = ("_gone", "_receive", "_task", "_timer", "_watcher")

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._gone = False
        self._task: asyncio.Task[object] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._watcher: asyncio.Task[None] | None = None

    async def __aenter__(self) -> None:
        self._task = asyncio.current_task()
        self._timer = asyncio.get_running_loop().call_later(FIRST_LOOK_SECONDS, self._look)

    def _look(self) -> None:
        self._watcher = asyncio.create_task(self._watch())

    async def _watch(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._gone = True
        assert self._task is not None
        self._task.cancel()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        failure: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._task is not None
        assert self._timer is not None
        self._timer.cancel()
        if self._watcher is not None:
            self._watcher.cancel()
        if self._gone and self._task.uncancel() == 0 and kind is asyncio.CancelledError:
            raise CallerGone from failure
