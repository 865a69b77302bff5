"""Chat: one request through a model, with a conversation around it where one is asked for.

Without a conversation nothing is read from or written to the database, and the provider's bytes
go to the caller as they come (contract/llm-api.md, section 7).
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any, TypeVar

import orjson

from jan_server.http.errors import ApiError
from jan_server.http.sse import DONE_FRAME
from jan_server.inference import upstream_errors
from jan_server.inference.client import UpstreamClient
from jan_server.inference.prompted_tool_stream import PromptedToolStream
from jan_server.inference.prompted_tools import read_completion
from jan_server.inference.upstream_errors import UpstreamError
from jan_server.services.llm_api import context_window
from jan_server.services.llm_api.chat_answer import AnswerRecorder, ChatAnswer, is_completion, read_answer
from jan_server.services.llm_api.chat_call import PATH, ChatCall
from jan_server.services.llm_api.chat_preparation import ChatPreparation
from jan_server.services.llm_api.chat_storage import Exchange
from jan_server.services.llm_api.chat_stream import (
    BegunStream,
    begin_stream,
    error_frame,
    keeping,
    no_completion,
    once,
    relay,
)
from jan_server.services.llm_api.exchange_writer import ExchangeWriter
from jan_server.services.llm_api.models import OfferedModel
from jan_server.services.llm_api.token_counts import StreamCounter, told_counts

logger = logging.getLogger("jan.llm-api.chat")

Result = TypeVar("Result")


class Chat:
    """Answers chat requests.

    Args:
        preparation: Makes the calls that are answered here.
        upstream: Calls providers.
        writer: Writes the conversations of exchanges.
        stream_seconds: How long a streamed answer may take.

    Attributes:
        preparation: The same.
    """

    def __init__(
        self,
        preparation: ChatPreparation,
        upstream: UpstreamClient,
        writer: ExchangeWriter,
        *,
        stream_seconds: float = 600.0,
    ) -> None:
        self.preparation = preparation
        self._upstream = upstream
        self._writer = writer
        self._stream_seconds = stream_seconds

    async def complete(self, call: ChatCall) -> bytes:
        """The whole answer: the provider's bytes, with Jan's members added where there are any.

        Raises:
            UpstreamError: The provider gave none.
        """
        if call.place is not None and call.place.answer is not None:
            call.meter.finish(200)
            return call.place.answer
        body = await self._from_any(call, self._answer)
        if call.tools is not None:
            body = read_completion(body, call.tools)
        members: dict[str, Any] = {}
        if call.exchange is not None:
            title = await self._writer.store(call.exchange, call.model, read_answer(body))
            members["conversation"] = {"id": call.exchange.id, **({"title": title} if title else {})}
        if call.trimmed:
            members["trimmed"] = True
        body = with_members(body, members) if members else body
        if call.place is not None:
            call.place.keep(body)
        return body

    async def _answer(self, call: ChatCall) -> bytes:
        with call.meter:
            answer = await self._upstream.complete(call.model.provider, PATH, call.body)
            body = answer.body
            if not is_completion(body):
                raise no_completion(call.model.provider, body)
            told = told_counts(body)
            call.meter.finish(200, call.counts(told, 0 if told else answer_tokens(read_answer(body))))
        return body

    async def _from_any(self, call: ChatCall, ask: Callable[[ChatCall], Awaitable[Result]]) -> Result:
        """What is asked, from the first model that gives it; the call becomes that model's."""
        while True:
            try:
                return await ask(call)
            except UpstreamError as failure:
                await call.turn(failure)

    async def stream(self, call: ChatCall, request_id: str = "") -> AsyncGenerator[bytes, None]:
        """Begin a streamed answer; what comes back yields its bytes, a failure on the way as a frame.

        Raises:
            UpstreamError: The provider did not begin to answer.
        """
        if call.place is not None and call.place.answer is not None:
            call.meter.finish(200)
            return once(call.place.answer)
        stream = await self._from_any(call, self._begin)
        if call.exchange is None:
            frames = relay(stream, request_id)
            return frames if call.place is None else keeping(frames, call.place.keep)
        return self._recorded(call.model, call.exchange, stream, request_id)

    async def _begin(self, call: ChatCall) -> BegunStream:
        with call.meter:
            stream = await begin_stream(
                self._upstream,
                call.model.provider,
                PATH,
                call.body,
                seconds=self._stream_seconds,
                counter=StreamCounter(strip=call.asked_usage),
                ended=call.stream_ended,
                tools=None if call.tools is None else PromptedToolStream(call.tools),
            )
            call.meter.began()
        return stream

    async def _recorded(
        self, model: OfferedModel, exchange: Exchange, stream: BegunStream, request_id: str
    ) -> AsyncGenerator[bytes, None]:
        """Relay a stream and keep what it says; its end is told once the exchange is stored."""
        recorder = AnswerRecorder()
        failure: UpstreamError | None = None
        ended = False
        try:
            try:
                async with stream:
                    async for chunk in stream:
                        if frames := recorder.feed(chunk):
                            yield frames
                        if recorder.done:
                            await stream.exhaust()
                            break
                if not (recorder.done or recorder.finish_reason or recorder.error):
                    raise upstream_errors.broken_off(stream.provider)
            except UpstreamError as error:
                failure = error
            ended = True
            yield await self._recorded_end(model, exchange, recorder, failure, request_id)
        finally:
            if not ended and not (answer := recorder.answer()).is_empty:
                # The caller is gone and nobody waits any more: the write goes on by itself.
                self._writer.store_later(exchange, model, answer, "client_disconnected")

    async def _recorded_end(
        self,
        model: OfferedModel,
        exchange: Exchange,
        recorder: AnswerRecorder,
        failure: ApiError | None,
        request_id: str,
    ) -> bytes:
        """Store what a stream said; returns its last frame."""
        answer = recorder.answer()
        broken = failure is not None or recorder.error is not None
        if not (broken and answer.is_empty):
            try:
                await self._writer.store(exchange, model, answer, "upstream_error" if broken else "")
            except Exception:
                logger.exception("an answer could not be stored", extra={"request_id": request_id})
                failure = failure or ApiError(500, "the answer could not be stored", code="not_stored")
        if failure is not None:
            return error_frame(failure, request_id)
        return DONE_FRAME if recorder.error is None else b""


def with_members(body: bytes, members: dict[str, Any]) -> bytes:
    """A JSON object with further members at its end, its own bytes untouched."""
    return body.rstrip()[:-1] + b"," + orjson.dumps(members)[1:]


def answer_tokens(answer: ChatAnswer) -> int:
    """The estimated tokens of an answer."""
    return context_window.message_tokens(
        {"content": answer.text + answer.reasoning + answer.refusal, "tool_calls": answer.tool_calls}
    )
