"""An answer of a provider that has begun, on its way to the caller: its chunks, its silence and its end."""

from __future__ import annotations

import sys
import weakref
from collections.abc import Mapping
from typing import TYPE_CHECKING, Self

import aiohttp

from jan_server.inference import upstream_errors
from jan_server.inference.concurrency import Place
from jan_server.inference.provider import Endpoint, Provider
from jan_server.inference.upstream_errors import UpstreamError

if TYPE_CHECKING:
    from jan_server.inference.client import UpstreamClient


class AnswerStream:
    """An answer that has begun: an async iterator of byte chunks, cut wherever the network cut them.

    Use it as an async context manager, or call `close` in a `finally`: it ends the call upstream at once.
    One that nobody holds any more closes itself, as when a response is given up before it begins.

    Args:
        client: Whose call it is.
        provider: Who answers.
        endpoint: Where.
        response: The answer, which has begun.
        first: Its first bytes.
        most: The most bytes that it may have; 0 for any number.

    Attributes:
        status: 200 to 299.
        headers: The provider's headers.
        place: Its place among the requests of its provider, left at its end; None where all have one.
    """

    __slots__ = (
        "__weakref__",
        "_client",
        "_content",
        "_endpoint",
        "_first",
        "_idle",
        "_left",
        "_most",
        "_provider",
        "_response",
        "_silent",
        "_timer",
        "_waiting_since",
        "headers",
        "place",
        "status",
    )

    def __init__(
        self,
        client: UpstreamClient,
        provider: Provider,
        endpoint: Endpoint,
        response: aiohttp.ClientResponse,
        first: bytes,
        most: int = 0,
    ) -> None:
        self.status = response.status
        self.headers: Mapping[str, str] = response.headers
        self.place: Place | None = None
        self._client = client
        self._provider = provider
        self._endpoint = endpoint
        self._response: aiohttp.ClientResponse | None = response
        self._content = response.content
        self._first = first
        self._most = most
        self._left = (most or sys.maxsize) - len(first)
        self._idle = provider.timeouts.idle
        self._waiting_since = 0.0
        self._silent = False
        self._timer = client.loop.call_later(self._idle, _watch, weakref.ref(self))

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        """The next chunk.

        Raises:
            UpstreamError: The provider broke off (502), fell silent (504) or says more than it may (502).
        """
        if self._first:
            first, self._first = self._first, b""
            return first
        if self._response is None:
            raise StopAsyncIteration
        self._waiting_since = self._client.loop.time()
        try:
            chunk = await self._content.readany()
        except (aiohttp.ClientError, OSError) as failure:
            if self._silent:
                # aiohttp wakes readers of a closed response with one exception object for all time: with
                # its traceback it would keep this stream, and more with every further one.
                failure.__traceback__ = None
                raise self._failed() from None
            raise self._failed() from failure
        except BaseException:
            self.close()
            raise
        self._waiting_since = 0.0
        if not chunk:
            self.close()
            raise StopAsyncIteration
        self._left -= len(chunk)
        if self._left < 0:
            self.close()
            raise self._noted(upstream_errors.too_large(self._provider, self._most))
        return chunk

    def close(self) -> None:
        """End the call; before the answer's end this closes the connection. May be called again."""
        if self._response is None:
            return
        self._timer.cancel()
        self._response.close()
        self._response = None
        self._first = b""
        self._client.open_calls -= 1
        if self.place is not None:
            self.place.leave()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        if not self._client.loop.is_closed():
            self.close()

    def watch(self) -> None:
        """Close the connection when the provider was silent for too long; looks again later otherwise.

        One timer a stream that looks at the clock, instead of one a chunk: chunks are many.
        """
        if self._response is None:
            return
        loop = self._client.loop
        left = self._idle
        if self._waiting_since:
            left -= loop.time() - self._waiting_since
        if left <= 0:
            self._silent = True
            self._response.close()
            return
        self._timer = loop.call_later(left, _watch, weakref.ref(self))

    def _failed(self) -> UpstreamError:
        self.close()
        if self._silent:
            error = upstream_errors.silent(self._provider, "fell silent in the middle of its answer")
        else:
            error = upstream_errors.broken_off(self._provider)
        return self._noted(error)

    def _noted(self, error: UpstreamError) -> UpstreamError:
        self._client.note_failure(self._provider, self._endpoint, error)
        return error


def _watch(stream: weakref.ref[AnswerStream]) -> None:
    # The timer must not be what keeps a stream alive.
    if (watched := stream()) is not None:
        watched.watch()
