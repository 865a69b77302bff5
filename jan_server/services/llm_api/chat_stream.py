"""A provider's stream on its way to the caller: its beginning, its end, and what goes wrong between.

Source: contract/llm-api.md, section 7.4; OpenAI API reference, "Streaming".
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Callable
from typing import Self

import orjson

from jan_server.http.errors import ApiError, error_body
from jan_server.http.sse import DONE_FRAME, data_frame
from jan_server.inference import upstream_errors
from jan_server.inference.answer_stream import AnswerStream
from jan_server.inference.client import UpstreamClient
from jan_server.inference.prompted_tool_stream import PromptedToolStream
from jan_server.inference.provider import Provider
from jan_server.inference.upstream_errors import UpstreamError
from jan_server.services.llm_api.token_counts import StreamCounter

StreamEnd = Callable[[StreamCounter, BaseException | None], None]
"""Told how a stream ended: what was counted in it, and what went wrong, if anything did."""

_TAIL_BYTES = 2048
_CLOSING_SECONDS = 1.0
_FINISHED = re.compile(rb'"finish_reason"\s*:\s*"')
_ERROR = re.compile(rb'(?:data:\s*\{\s*"error"|(?:\A|\n)error)\s*:')


class BegunStream:
    """A stream whose first bytes are there: an async iterator of all its bytes as they come.

    Use it as an async context manager, which ends the call upstream.

    Attributes:
        provider: Who answers.
    """

    __slots__ = ("_answer", "_counter", "_ended", "_ends_at", "_first", "_time", "_tools", "provider")

    def __init__(
        self,
        provider: Provider,
        answer: AnswerStream,
        first: bytes,
        ends_at: float,
        counter: StreamCounter,
        ended: StreamEnd,
        tools: PromptedToolStream | None = None,
    ) -> None:
        self.provider = provider
        self._tools = tools
        self._counter = counter
        self._ended = ended
        self._answer = answer
        self._first = first
        self._ends_at = ends_at
        self._time = asyncio.get_running_loop().time

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        """The next bytes.

        Raises:
            UpstreamError: The provider broke off (502), fell silent or did not come to an end (504).
        """
        while True:
            if self._first:
                chunk, self._first = self._first, b""
            else:
                try:
                    chunk = await anext(self._answer)
                except StopAsyncIteration:
                    if rest := self._rest():
                        return rest
                    raise
                if self._time() > self._ends_at:
                    raise upstream_errors.silent(self.provider, "did not finish its answer in time")
            passed = self._counter.feed(chunk)
            if self._tools is not None:
                passed = self._tools.feed(passed)
            if passed:
                return passed

    def _rest(self) -> bytes:
        rest = self._counter.rest()
        return rest if self._tools is None else self._tools.feed(rest) + self._tools.end()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, failure: BaseException | None, *_: object
    ) -> None:
        self._answer.close()
        if failure is None and not self._counter.complete:
            failure = upstream_errors.broken_off(self.provider)
        self._ended(self._counter, failure)

    async def exhaust(self) -> None:
        """Read to the end of the transfer, so that the connection can be used again."""
        try:
            async with asyncio.timeout(_CLOSING_SECONDS):
                async for _ in self._answer:
                    pass
        except (TimeoutError, UpstreamError):
            pass


async def begin_stream(
    upstream: UpstreamClient,
    provider: Provider,
    path: str,
    body: bytes,
    *,
    seconds: float,
    counter: StreamCounter,
    ended: StreamEnd,
    tools: PromptedToolStream | None = None,
) -> BegunStream:
    """Ask for a stream and wait for its first bytes.

    Args:
        upstream: Calls the provider.
        provider: Whom.
        path: Below the endpoint's URL.
        body: Sent as it is.
        seconds: How long the whole stream may take.
        counter: Sees the bytes on their way.
        ended: Called once a stream that has begun is over.
        tools: Reads the answer to tools that were described in the prompt.

    Raises:
        UpstreamError: The provider did not begin to answer, or with something else than a stream.
    """
    ends_at = asyncio.get_running_loop().time() + seconds
    answer = await upstream.stream(provider, path, body)
    try:
        first = await anext(answer)
        if _ERROR.match(first.lstrip()) or first.lstrip()[:1] in (b"{", b"<"):
            raise no_completion(provider, first)
    except BaseException:
        answer.close()
        raise
    return BegunStream(provider, answer, first, ends_at, counter, ended, tools)


async def relay(stream: BegunStream, request_id: str) -> AsyncGenerator[bytes, None]:
    """The provider's bytes as they come; only the end is looked at.

    A failure on the way becomes a last frame with the error.
    """
    tail = b""
    try:
        async with stream:
            async for chunk in stream:
                tail = chunk if len(chunk) >= _TAIL_BYTES else (tail + chunk)[-_TAIL_BYTES:]
                yield chunk
                if chunk.endswith(DONE_FRAME):
                    await stream.exhaust()
                    return
        if tail.endswith(DONE_FRAME) or _ERROR.search(tail):
            return
        if tail.rstrip().endswith(b"[DONE]"):
            yield b"\n\n"
        elif _FINISHED.search(tail):
            # Some providers end without the closing frame, for which OpenAI's clients wait.
            yield _boundary(tail) + DONE_FRAME
        else:
            raise upstream_errors.broken_off(stream.provider)
    except UpstreamError as error:
        yield _boundary(tail) + error_frame(error, request_id)


async def keeping(
    frames: AsyncGenerator[bytes, None], keep: Callable[[bytes], None]
) -> AsyncGenerator[bytes, None]:
    """Relay a stream, and hand over all of it when it came to its end."""
    passed: list[bytes] = []
    try:
        async for chunk in frames:
            passed.append(chunk)
            yield chunk
    finally:
        await frames.aclose()
    answer = b"".join(passed)
    if answer.endswith(DONE_FRAME) and not has_error(answer):
        keep(answer)


async def once(answer: bytes) -> AsyncGenerator[bytes, None]:
    """A stream that is there already."""
    yield answer


def has_error(frames: bytes) -> bool:
    """Whether one of these frames is an error."""
    return _ERROR.search(frames) is not None


def _boundary(tail: bytes) -> bytes:
    return b"" if tail.endswith((b"\n\n", b"\r\n\r\n")) else b"\n\n"


def error_frame(error: ApiError, request_id: str) -> bytes:
    """A failure in the middle of a stream, as OpenAI's clients recognise it."""
    return data_frame(orjson.dumps(error_body(error, request_id)))


def no_completion(provider: Provider, body: bytes, *, expected: str = "a completion") -> UpstreamError:
    """The error for a 200 that is not what it should be; some providers write their errors that way."""
    text = body.strip()
    for prefix in (b"data:", b"error:"):
        if text.startswith(prefix):
            text = text.removeprefix(prefix).partition(b"\n")[0]
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        value = None
    error = value.get("error", value) if isinstance(value, dict) else None
    status = error.get("code") if isinstance(error, dict) else None
    if not isinstance(status, int) or not 400 <= status < 600:
        status = 502
    told = orjson.dumps({"error": error or f"its answer is not {expected}"})
    return upstream_errors.from_answer(provider, provider.endpoints[0], status, {}, told)
