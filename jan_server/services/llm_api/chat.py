"""Chat: one request through a model, with a conversation around it where one is asked for.

Without a conversation nothing is read from or written to the database, and the provider's bytes
go to the caller as they come (contract/llm-api.md, section 7).
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Any, TypeVar

import orjson

from jan_server.authentication.principal import Principal
from jan_server.http.errors import ApiError, unavailable
from jan_server.http.sse import DONE_FRAME
from jan_server.inference import upstream_errors
from jan_server.inference.client import UpstreamClient
from jan_server.inference.prompted_answer import PromptedTools
from jan_server.inference.prompted_tool_stream import PromptedToolStream
from jan_server.inference.prompted_tools import needs_prompt, prompt_tools, read_completion
from jan_server.inference.upstream_errors import UpstreamError
from jan_server.services.llm_api import context_window
from jan_server.services.llm_api.accounting import Accounting, MeteredCall, failure_status
from jan_server.services.llm_api.chat_answer import AnswerRecorder, ChatAnswer, is_completion, read_answer
from jan_server.services.llm_api.chat_history import Message
from jan_server.services.llm_api.chat_request import ChatRequest
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
from jan_server.services.llm_api.media_client import MediaCaller
from jan_server.services.llm_api.message_content import text_of
from jan_server.services.llm_api.message_media import MessageMedia
from jan_server.services.llm_api.model_registry import ModelRegistry
from jan_server.services.llm_api.models import JAN_KIND, OfferedModel
from jan_server.services.llm_api.prompt_modules import NOT_APPLIED
from jan_server.services.llm_api.prompt_orchestration import PromptOrchestration
from jan_server.services.llm_api.refusals import Invalid
from jan_server.services.llm_api.response_cache import CacheWish, ResponseCache
from jan_server.services.llm_api.routing import Candidates, Routing
from jan_server.services.llm_api.sync import ModelSync
from jan_server.services.llm_api.token_counts import StreamCounter, TokenCounts, ask_usage, told_counts

logger = logging.getLogger("jan.llm-api.chat")

PATH = "/chat/completions"


Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class OtherModels:
    """The models behind a routed name, for one request.

    Attributes:
        candidates: Those models.
        request: As it was before a model's own things were put into it.
        registry: Knows the partners of models.
        make: Makes the call of one model.
    """

    candidates: Candidates
    request: ChatRequest
    registry: ModelRegistry
    make: Callable[..., Awaitable[ChatCall]]

    async def call(self, model: OfferedModel, earlier: MeteredCall | None = None) -> ChatCall:
        """The call of one of them.

        Args:
            model: Which.
            earlier: What took down the call of the model before.
        """
        if self.request.instruct and (partner := self.registry.table.instruct_partner(model)):
            model = replace(partner, asked=model.asked)
        request = replace(self.request, body=dict(self.request.body))
        return await self.make(request, model, earlier=earlier)


@dataclass(slots=True)
class ChatCall:
    """One request, ready to be sent.

    Attributes:
        request: As it was checked.
        model: Who answers.
        body: What the provider gets.
        meter: Takes down what the call used.
        exchange: Its place in a conversation; None without one.
        trimmed: Whether messages had to go to fit the model's context.
        asked_usage: Whether the provider is asked for the usage of a stream although the caller did not ask.
        tools: How the answer is read where tools were described in the prompt.
        modules: The prompt modules that added to the messages.
        cache_key: Where the answer is kept; empty for nowhere.
        kept: The answer of an earlier call, which is given again.
        others: The further models that may answer; None where only one may.
    """

    request: ChatRequest
    model: OfferedModel
    body: bytes
    meter: MeteredCall
    exchange: Exchange | None = None
    trimmed: bool = False
    modules: Sequence[str] = ()
    asked_usage: bool = False
    tools: PromptedTools | None = None
    cache_key: bytes = b""
    kept: bytes | None = None
    others: OtherModels | None = None

    async def turn(self, failure: UpstreamError) -> None:
        """Become the call of the next model, after one that failed.

        Raises:
            UpstreamError: The same failure: no further model may answer.
        """
        others = self.others
        if others is None:
            raise failure
        made = await others.call(others.candidates.next(failure), earlier=self.meter)
        made.others = others
        for member in fields(self):
            setattr(self, member.name, getattr(made, member.name))

    def counts(self, told: TokenCounts | None, completion: int) -> TokenCounts:
        """The tokens of the call: as the provider told them, else the estimate with this completion."""
        if told is not None:
            return told
        prompt = context_window.tools_tokens(self.request.body.get("tools"))
        prompt += sum(map(context_window.message_tokens, self.request.messages))
        return TokenCounts(prompt, completion, estimated=True)

    def stream_ended(self, counter: StreamCounter, failure: BaseException | None) -> None:
        """Take down a stream that is over, however it ended; a chunk counts as a token where nobody told."""
        status = 200 if failure is None else failure_status(failure)
        self.meter.finish(status, self.counts(counter.counts, counter.chunks))


class Chat:
    """Answers chat requests.

    Args:
        registry: Knows the models.
        sync: Asked for models that nobody knows yet.
        upstream: Calls providers.
        writer: Reads and writes the conversations of exchanges.
        accounting: Takes down what calls use.
        routing: Finds the models behind routed names.
        ask_usage: Whether providers are asked for the usage of streams whose callers do not ask.
        prompts: Adds what prompt modules have to say; None where none may.
        cache: Keeps answers for those who ask for it.
        key_cache: What an API key says about the cache, for requests that say nothing.
        media: Puts the media that messages name into them; None where none can be named.
        user_tokens: The longest last user message, in estimated tokens; 0 for no limit.
        stream_seconds: How long a streamed answer may take.
    """

    def __init__(
        self,
        registry: ModelRegistry,
        sync: ModelSync,
        upstream: UpstreamClient,
        writer: ExchangeWriter,
        accounting: Accounting,
        routing: Routing,
        *,
        ask_usage: bool = True,
        prompts: PromptOrchestration | None = None,
        cache: ResponseCache | None = None,
        key_cache: Callable[[str], CacheWish | None] = lambda _: None,
        media: MessageMedia | None = None,
        user_tokens: int = 0,
        stream_seconds: float = 600.0,
    ) -> None:
        self._registry = registry
        self._sync = sync
        self._upstream = upstream
        self._writer = writer
        self._accounting = accounting
        self._routing = routing
        self._ask_usage = ask_usage
        self._prompts = prompts
        self._cache = cache
        self._key_cache = key_cache
        self._media = media
        self._user_tokens = user_tokens
        self._stream_seconds = stream_seconds

    async def prepare(
        self,
        request: ChatRequest,
        user_id: int,
        raw: bytes,
        *,
        caller: MediaCaller,
        key_id: str = "",
        request_id: str = "",
    ) -> ChatCall:
        """Find conversation and model, and make what the provider gets.

        Args:
            request: The checked request.
            user_id: The key of the caller's row.
            raw: The request's body as it came; its length bounds the number of tokens.
            caller: Who asks, and on whose behalf the media of messages are read.
            key_id: The API key of the caller; empty for a token.
            request_id: By which the call is found again.

        Raises:
            Invalid: The last user message is too long.
            Missing: The model, the conversation, its branch or a medium is unknown.
            ApiError: 502 when a medium cannot be read, 503 when the model's provider cannot be used.
        """
        own = request.messages
        exchange = None
        if request.conversation is not None:
            exchange = await self._writer.begin(user_id, request, request.conversation, key_id=key_id)
            request.messages = exchange.messages()
        has_history = request.messages is not own
        model = await self.choose(request, caller.principal)
        self._check_user_message(own, raw)
        make = partial(
            self._call,
            own=own,
            exchange=exchange,
            has_history=has_history,
            user_id=user_id,
            raw=raw,
            caller=caller,
            key_id=key_id,
            request_id=request_id,
        )
        if model.route is None:
            return await make(request, model)
        candidates = await self._routing.candidates(model)
        if candidates.falls_back_on("context_overflow"):
            tokens = context_window.tools_tokens(request.body.get("tools"))
            tokens += sum(map(context_window.message_tokens, request.messages))
            limit = request.answer_tokens
            candidates.prefer(lambda one: tokens <= context_window.budget(one.context_length, limit))
        others = OtherModels(candidates, request, self._registry, make)
        call = await others.call(candidates.first())
        call.others = others
        return call

    async def _call(
        self,
        request: ChatRequest,
        model: OfferedModel,
        *,
        own: list[Message],
        exchange: Exchange | None,
        has_history: bool,
        user_id: int,
        raw: bytes,
        caller: MediaCaller,
        key_id: str,
        request_id: str,
        earlier: MeteredCall | None = None,
    ) -> ChatCall:
        """Make what one model gets; the request's messages and body become those of this model."""
        applied = NOT_APPLIED
        if self._prompts is not None:
            applied = await self._prompts.apply(request, model.id, user_id, exchange)
            request.messages = applied.messages
        added = sum(map(context_window.message_tokens, applied.added))
        trimmed = self._fit(request, model, raw, has_history=has_history, added=added)
        if self._media is not None:
            request.messages = await self._media.resolve(request.messages, own, caller)
        asked_usage = self._ask_usage and request.stream and ask_usage(request.body)
        # It may refuse the tools, and a call that is metered has to be made.
        body, tools = _upstream_body(request, model)
        conversation = exchange.conversation if exchange else None
        meter = MeteredCall(
            self._accounting,
            model,
            user_id=user_id,
            key_id=key_id,
            request_id=request_id,
            stream=request.stream,
            conversation_id=exchange.id if exchange else None,
            project_id=conversation.project_public_id if conversation else None,
            earlier=earlier,
        )
        cache_key, kept = self._kept(request, user_id, key_id, model, body)
        return ChatCall(
            request,
            model,
            body,
            meter,
            exchange,
            trimmed,
            applied.names,
            asked_usage,
            tools,
            cache_key,
            kept,
        )

    def _kept(
        self, request: ChatRequest, user_id: int, key_id: str, model: OfferedModel, body: bytes
    ) -> tuple[bytes, bytes | None]:
        """Where the answer is kept, empty for nowhere, and the answer itself when there is one."""
        wish = request.cache or self._key_cache(key_id)
        # An exchange of a conversation is written, which an answer from memory would not be.
        if wish is None or not wish.ttl or self._cache is None or request.conversation is not None:
            return b"", None
        key = self._cache.key(wish, user_id, model.key, body)
        return key, self._cache.find(key, wish)

    async def choose(self, request: ChatRequest, principal: Principal) -> OfferedModel:
        """The model that a request gets.

        Raises:
            Missing: There is none of this name, or none that the caller may see.
            ApiError: 503 when its provider cannot be used.
        """
        model = self._registry.table.seen_by(principal).find(request.model)
        if model is None:
            model = await self._sync.find_late(request.model, principal)
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

    def _fit(
        self, request: ChatRequest, model: OfferedModel, raw: bytes, *, has_history: bool, added: int
    ) -> bool:
        """Trim the messages to the model's context; says whether anything had to go.

        Args:
            request: The request, with all the messages.
            model: Who answers.
            raw: The request's body as it came.
            has_history: Whether stored messages came in, which that body does not hold.
            added: The tokens of what prompt modules added.
        """
        available = context_window.budget(model.context_length, request.answer_tokens)
        # To write all messages costs less than to look into each of them.
        written = raw + orjson.dumps(request.messages) if has_history else raw
        if context_window.upper_bound(written, len(request.messages)) + added <= available:
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
        if call.kept is not None:
            call.meter.finish(200)
            return call.kept
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
        if call.cache_key and self._cache is not None:
            self._cache.keep(call.cache_key, body)
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
        if call.kept is not None:
            call.meter.finish(200)
            return once(call.kept)
        stream = await self._from_any(call, self._begin)
        if call.exchange is None:
            frames = relay(stream, request_id)
            if call.cache_key and self._cache is not None:
                return keeping(frames, partial(self._cache.keep, call.cache_key))
            return frames
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


def _upstream_body(request: ChatRequest, model: OfferedModel) -> tuple[bytes, PromptedTools | None]:
    """What the provider gets, and how its answer is read where the tools had to go into the prompt."""
    body, tools = request.body, None
    body["model"] = model.provider_model_id
    body["messages"] = request.messages
    for name, value in model.defaults.items():
        if body.get(name) is None and not (name == "max_tokens" and body.get("max_completion_tokens")):
            body[name] = value
    if model.provider.prompted_tools and needs_prompt(body):
        body, tools = prompt_tools(body, bounded=model.provider.kind == JAN_KIND)
    return orjson.dumps(body), tools
