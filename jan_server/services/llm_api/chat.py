"""Chat: one request through a model, with a conversation around it where one is asked for.

Without a conversation nothing is read from or written to the database, and the provider's bytes
go to the caller as they come (contract/llm-api.md, section 7).
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncGenerator, Coroutine
from dataclasses import dataclass
from typing import Any

import orjson

from jan_server.database.engine import Database
from jan_server.http.errors import ApiError, error_body, unavailable
from jan_server.http.sse import DONE_FRAME, data_frame
from jan_server.inference import upstream_errors
from jan_server.inference.client import AnswerStream, UpstreamClient
from jan_server.inference.upstream_errors import UpstreamError
from jan_server.services.llm_api import context_window
from jan_server.services.llm_api.chat_answer import AnswerRecorder, ChatAnswer, read_answer
from jan_server.services.llm_api.chat_history import Message, user_messages
from jan_server.services.llm_api.chat_request import ChatRequest
from jan_server.services.llm_api.chat_storage import (
    Exchange,
    Interruption,
    begin_exchange,
    store_exchange,
)
from jan_server.services.llm_api.message_content import text_of
from jan_server.services.llm_api.model_registry import ModelRegistry
from jan_server.services.llm_api.models import OfferedModel
from jan_server.services.llm_api.refusals import Invalid, Missing
from jan_server.services.llm_api.sync import ModelSync
from jan_server.services.llm_api.title_writer import TitleWriter
from jan_server.services.llm_api.titles import text_title, wants_title

logger = logging.getLogger("jan.llm-api.chat")

PATH = "/chat/completions"

_TAIL_BYTES = 2048
_CLOSING_SECONDS = 1.0
_FINISHED = re.compile(rb'"finish_reason"\s*:\s*"')
_FIRST_ERROR = re.compile(rb'\s*(?:data:\s*\{\s*"error"\s*:|error\s*:)')


@dataclass(slots=True)
class ChatCall:
    """One request, ready to be sent.

    Attributes:
        request: As it was checked.
        own_messages: The messages that the request itself brought.
        model: Who answers.
        body: What the provider gets.
        exchange: Its place in a conversation; None without one.
        trimmed: Whether messages had to go to fit the model's context.
    """

    request: ChatRequest
    own_messages: list[Message]
    model: OfferedModel
    body: bytes
    exchange: Exchange | None = None
    trimmed: bool = False


class Chat:
    """Answers chat requests.

    Args:
        registry: Knows the models.
        sync: Asked for models that nobody knows yet.
        upstream: Calls providers.
        database: Where conversations are.
        titles: Writes titles with a model; None where titles are made of text.
        user_tokens: The longest last user message, in estimated tokens; 0 for no limit.
    """

    def __init__(
        self,
        registry: ModelRegistry,
        sync: ModelSync,
        upstream: UpstreamClient,
        database: Database,
        *,
        titles: TitleWriter | None = None,
        user_tokens: int = 0,
    ) -> None:
        self._registry = registry
        self._sync = sync
        self._upstream = upstream
        self._database = database
        self._titles = titles
        self._user_tokens = user_tokens
        self._writes: set[asyncio.Task[Any]] = set()

    async def close(self) -> None:
        """Wait for exchanges that are still being written."""
        await asyncio.gather(*self._writes, return_exceptions=True)

    async def prepare(self, request: ChatRequest, user_id: int, raw: bytes) -> ChatCall:
        """Find conversation and model, and make what the provider gets.

        Args:
            request: The checked request.
            user_id: The key of the caller's row.
            raw: The request's body as it came; its length bounds the number of tokens.

        Raises:
            Invalid: The last user message is too long.
            Missing: The model, the conversation or its branch is unknown.
            ApiError: 503 when the model's provider cannot be used.
        """
        own = request.messages
        exchange = None
        if request.conversation is not None:
            exchange = await begin_exchange(self._database, user_id, request.conversation)
            request.messages = exchange.messages(own)
        model = await self._choose(request)
        self._check_user_message(own, raw)
        trimmed = self._fit(request, model, raw, unbounded=request.messages is not own)
        return ChatCall(request, own, model, _upstream_body(request, model), exchange, trimmed)

    async def _choose(self, request: ChatRequest) -> OfferedModel:
        model = self._registry.table.find(request.model) or await self._sync.find_late(request.model)
        if request.instruct:
            model = self._registry.table.instruct_partner(model) or model
        if model.problem:
            raise unavailable(model.problem)
        return model

    def _check_user_message(self, messages: list[Message], raw: bytes) -> None:
        limit = self._user_tokens
        if not limit or len(raw) < limit:
            return
        for index in range(len(messages) - 1, -1, -1):
            if messages[index]["role"] == "user":
                tokens = context_window.text_tokens(text_of(messages[index].get("content")))
                if tokens > limit:
                    raise Invalid(
                        f"User input too large: about {tokens} tokens, the most is {limit}",
                        param=f"messages[{index}].content",
                        code="input_too_large",
                    )
                return

    def _fit(self, request: ChatRequest, model: OfferedModel, raw: bytes, *, unbounded: bool) -> bool:
        """Trim the messages to the model's context; says whether anything had to go."""
        available = context_window.budget(model.context_length, request.answer_tokens)
        if not unbounded and context_window.upper_bound(raw, len(request.messages)) <= available:
            return False
        available -= context_window.tools_tokens(request.body.get("tools"))
        fitted = context_window.fit(request.messages, available)
        request.messages = fitted.messages
        return fitted.trimmed

    async def complete(self, call: ChatCall) -> bytes:
        """The whole answer: the provider's bytes, with Jan's members added where there are any.

        Raises:
            UpstreamError: The provider gave none.
        """
        answer = await self._upstream.complete(call.model.provider, PATH, call.body)
        body = answer.body
        if b'"choices"' not in body:
            raise _no_completion(call.model, body)
        members: dict[str, Any] = {}
        if call.exchange is not None:
            title = await self._kept(self._store(call, call.exchange, read_answer(body)))
            members["conversation"] = {"id": call.exchange.id, **({"title": title} if title else {})}
        if call.trimmed:
            members["trimmed"] = True
        return with_members(body, members) if members else body

    async def stream(self, call: ChatCall, request_id: str = "") -> AsyncGenerator[bytes, None]:
        """Begin a streamed answer; what comes back yields its bytes, a failure on the way as a frame.

        Raises:
            UpstreamError: The provider did not begin to answer.
        """
        answer = await self._upstream.stream(call.model.provider, PATH, call.body)
        try:
            first = await anext(answer)
            _check_first(call.model, first)
        except BaseException:
            answer.close()
            raise
        if call.exchange is None:
            return _relayed(answer, call.model, first, request_id)
        return self._recorded(call, call.exchange, answer, first, request_id)

    async def _recorded(
        self, call: ChatCall, exchange: Exchange, stream: AnswerStream, first: bytes, request_id: str
    ) -> AsyncGenerator[bytes, None]:
        """Relay a stream and keep what it says; its end is told once the exchange is stored."""
        recorder = AnswerRecorder()
        failure: UpstreamError | None = None
        ended = False
        try:
            try:
                async with stream:
                    if frames := recorder.feed(first):
                        yield frames
                    while not recorder.done and (chunk := await anext(stream, None)) is not None:
                        if frames := recorder.feed(chunk):
                            yield frames
                    if recorder.done:
                        await _exhaust(stream)
                    elif not recorder.finish_reason and recorder.error is None:
                        raise upstream_errors.broken_off(call.model.provider)
            except UpstreamError as error:
                failure = error
            ended = True
            yield await self._recorded_end(call, exchange, recorder, failure, request_id)
        finally:
            if not ended and not (answer := recorder.answer()).is_empty:
                # The caller is gone and nobody waits any more: the write goes on by itself.
                self._keep(self._store(call, exchange, answer, "client_disconnected"))

    async def _recorded_end(
        self,
        call: ChatCall,
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
                await self._kept(self._store(call, exchange, answer, "upstream_error" if broken else ""))
            except Exception:
                logger.exception("an answer could not be stored", extra={"request_id": request_id})
                failure = failure or ApiError(500, "the answer could not be stored", code="not_stored")
        if failure is not None:
            return error_frame(failure, request_id)
        return DONE_FRAME if recorder.error is None else b""

    async def _store(
        self, call: ChatCall, exchange: Exchange, answer: ChatAnswer, interruption: Interruption = ""
    ) -> str | None:
        """Write an exchange; returns the conversation's title afterwards."""
        own_title = text_title(call.own_messages)
        title = None
        if wants_title(exchange.title, exchange.metadata, user_messages(call.own_messages), own_title):
            title = own_title
            if self._titles is not None and not interruption:
                title = await self._titles.write(call.model, call.own_messages, answer) or own_title
        try:
            await store_exchange(
                self._database,
                exchange,
                call.request,
                call.own_messages,
                answer,
                title=title,
                interruption=interruption,
            )
        except Missing as failure:
            # Deleted while the model spoke: the answer is still the caller's.
            logger.info("an answer was not stored: %s", failure.message)
        return title or exchange.title

    def _keep(self, write: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = asyncio.create_task(write, name="store a chat")
        self._writes.add(task)
        task.add_done_callback(self._written)
        return task

    def _written(self, task: asyncio.Task[Any]) -> None:
        self._writes.discard(task)
        if not task.cancelled() and (failure := task.exception()) is not None:
            logger.error("an exchange was not stored: %s", failure)

    async def _kept(self, write: Coroutine[Any, Any, str | None]) -> str | None:
        """Await a write that goes on even when the caller leaves meanwhile."""
        title: str | None = await asyncio.shield(self._keep(write))
        return title


async def _relayed(
    stream: AnswerStream, model: OfferedModel, first: bytes, request_id: str
) -> AsyncGenerator[bytes, None]:
    """The provider's bytes as they come; only the end is looked at."""
    tail = first[-_TAIL_BYTES:]
    try:
        async with stream:
            yield first
            if not first.endswith(DONE_FRAME):
                async for chunk in stream:
                    tail = chunk if len(chunk) >= _TAIL_BYTES else (tail + chunk)[-_TAIL_BYTES:]
                    yield chunk
                    if chunk.endswith(DONE_FRAME):
                        break
            if tail.endswith(DONE_FRAME):
                await _exhaust(stream)
                return
        if tail.rstrip().endswith(b"[DONE]"):
            yield b"\n\n"
        elif _FINISHED.search(tail):
            # Some providers end without the closing frame, for which OpenAI's clients wait.
            yield _frame_boundary(tail) + DONE_FRAME
        else:
            raise upstream_errors.broken_off(model.provider)
    except UpstreamError as error:
        yield _frame_boundary(tail) + error_frame(error, request_id)


async def _exhaust(stream: AnswerStream) -> None:
    """Read to the end of the transfer, so that the connection can be used again."""
    try:
        async with asyncio.timeout(_CLOSING_SECONDS):
            async for _ in stream:
                pass
    except (TimeoutError, UpstreamError):
        pass


def _frame_boundary(tail: bytes) -> bytes:
    return b"" if tail.endswith((b"\n\n", b"\r\n\r\n")) else b"\n\n"


def error_frame(error: ApiError, request_id: str = "") -> bytes:
    """A failure in the middle of a stream, as OpenAI's clients recognise it."""
    return data_frame(orjson.dumps(error_body(error, request_id)))


def with_members(body: bytes, members: dict[str, Any]) -> bytes:
    """A JSON object with further members at its end, its own bytes untouched."""
    return body.rstrip()[:-1] + b"," + orjson.dumps(members)[1:]


def _check_first(model: OfferedModel, first: bytes) -> None:
    """Refuse what is no stream of chunks, as long as the caller can still be told with a status."""
    if _FIRST_ERROR.match(first) or first.lstrip()[:1] in (b"{", b"<"):
        raise _no_completion(model, first)


def _no_completion(model: OfferedModel, body: bytes) -> UpstreamError:
    """The error for a 200 that holds no completion; some providers write their errors that way."""
    text = body.strip()
    for prefix in (b"data:", b"error:"):
        text = text.removeprefix(prefix).lstrip()
    try:
        value = orjson.loads(text.split(b"\n", 1)[0] if body.lstrip()[:1] != b"{" else text)
    except orjson.JSONDecodeError:
        value = None
    error = value.get("error", value) if isinstance(value, dict) else None
    provider = model.provider
    status = error.get("code") if isinstance(error, dict) else None
    if not isinstance(status, int) or not 400 <= status < 600:
        status = 502
    told = orjson.dumps({"error": error or "its answer is not a chat completion"})
    return upstream_errors.from_answer(provider, provider.endpoints[0], status, {}, told)


def _upstream_body(request: ChatRequest, model: OfferedModel) -> bytes:
    body = request.body
    body["model"] = model.provider_model_id
    body["messages"] = request.messages
    for name, value in model.defaults.items():
        if body.get(name) is None and not (name == "max_tokens" and body.get("max_completion_tokens")):
            body[name] = value
    return orjson.dumps(body)
