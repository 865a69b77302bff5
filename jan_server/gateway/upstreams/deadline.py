"""A limit on how long an upstream may be silent, cheap enough for every request.

The timer is set once and looks, when it rings, whether the upstream has said something in
between; so a frame of a stream costs one reading of the clock.
"""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Any, Self

from starlette.types import Receive

from jan_server.http.errors import ApiError

_NEVER = float("inf")


def timed_out() -> ApiError:
    """The 504 of an upstream that does not answer (contract/gateway.md, section 7)."""
    return ApiError(504, "The upstream server is timing out", code="upstream_timeout")


class SilenceLimit:
    """Cancels the work inside the block when the upstream is silent for too long.

    Use as a context manager. Waiting for the client, which sends its body or reads its
    response slowly, does not count as silence.

    Raises:
        ApiError: 504, in place of the cancellation, on leaving the block.
    """

    __slots__ = ("_handle", "_heard_at", "_loop", "_seconds", "_task", "expired")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Task[Any] | None = None
        self._handle: asyncio.TimerHandle | None = None
        self._heard_at = 0.0
        self.expired = False

    def __enter__(self) -> Self:
        self._task = asyncio.current_task()
        self._heard_at = self._loop.time()
        self._handle = self._loop.call_later(self._seconds, self._look)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        failure: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._handle is not None:
            self._handle.cancel()
        if self.expired and self._task is not None:
            # Somebody else's wish to cancel this task stays in force.
            if self._task.uncancel() > 0:
                return
            if kind is not None:
                raise timed_out() from failure

    def pause(self) -> None:
        """From now on somebody else is awaited."""
        self._heard_at = _NEVER

    def heard(self) -> None:
        """The upstream said something, or is awaited again."""
        self._heard_at = self._loop.time()

    def around(self, receive: Receive) -> Receive:
        """A source of the body that does not count the wait for the client.

        Once the body is complete, only the client's departure is awaited there, while the
        upstream works: that does count.
        """
        complete = False

        async def counted() -> Any:
            nonlocal complete
            if complete:
                return await receive()
            self.pause()
            try:
                message = await receive()
            finally:
                self.heard()
            complete = not message.get("more_body", False)
            return message

        return counted

    def _look(self) -> None:
        waited = 0.0 if self._heard_at == _NEVER else self._loop.time() - self._heard_at
        wait = self._seconds - waited
        if wait > 0:
            self._handle = self._loop.call_later(wait, self._look)
            return
        self.expired = True
        if self._task is not None:
            self._task.cancel()
