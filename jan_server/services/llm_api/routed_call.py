"""Routed calls: one request to one model, wherever that is served, and what becomes of it.

A model's id leads to its provider, whose endpoints the inference client chooses among; failures
come back as errors with the provider's words, and whatever a call used is taken down. Every
OpenAI-compatible route that is no chat is made of these calls (contract/llm-api.md, section 22).
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass, replace
from typing import TypeVar

from jan_server.authentication.principal import Principal
from jan_server.http.errors import unavailable
from jan_server.inference.answer_stream import AnswerStream
from jan_server.inference.client import UpstreamClient
from jan_server.inference.provider import Provider
from jan_server.inference.request_body import StreamedBody
from jan_server.inference.upstream_errors import UpstreamError
from jan_server.services.llm_api.accounting import Accounting, MeteredCall, failure_status
from jan_server.services.llm_api.chat_stream import (
    begin_stream,
    error_frame,
    keeping,
    no_completion,
    once,
    relay,
)
from jan_server.services.llm_api.models import OfferedModel
from jan_server.services.llm_api.response_cache import CachePlace, CacheWish, ResponseCache
from jan_server.services.llm_api.routing import Routing, first_answer
from jan_server.services.llm_api.sync import ModelSync
from jan_server.services.llm_api.token_counts import StreamCounter, TokenCounts, told_counts

JSON = "application/json"
EVENT_STREAM = "text/event-stream"

_TAIL_BYTES = 4096

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class CallOrigin:
    """Who makes a call.

    Attributes:
        user_id: The key of the caller's row.
        principal: The caller.
        request_id: By which the call is found again.
        attempts: The calls so far for the same request, where several models may answer it.
    """

    user_id: int
    principal: Principal
    request_id: str = ""
    attempts: list[MeteredCall] | None = None

    @property
    def key_id(self) -> str:
        """The API key of the caller; empty for a token."""
        return self.principal.key_id


@dataclass(slots=True)
class RoutedCall:
    """One call, ready to be sent.

    Attributes:
        model: Which model answers.
        provider: Who is asked.
        path: Below the provider's address, for example `/embeddings`.
        body: What it gets.
        meter: Takes down what the call used.
        content_type: What the body is.
        estimate: The tokens of the request, for providers that do not tell; asked for only then.
        request_id: By which the call is found again.
        place: Where its answer is kept; None for nowhere.
    """

    model: OfferedModel
    provider: Provider
    path: str
    body: bytes | StreamedBody
    meter: MeteredCall
    content_type: str = JSON
    estimate: Callable[[], int] = int
    request_id: str = ""
    place: CachePlace | None = None

    def counts(self, told: TokenCounts | None, completion: int = 0) -> TokenCounts:
        """The tokens of the call: as the provider told them, else the estimate with this completion."""
        return told or TokenCounts(self.estimate(), completion, estimated=True)


class ModelCalls:
    """Makes calls to models by their ids.

    Args:
        sync: Finds models, also those that nobody knows yet.
        upstream: Calls providers.
        accounting: Takes down what calls use.
        routing: Finds the models behind routed names.
        cache: Keeps answers for those who ask for it.
        stream_seconds: How long a streamed answer may take.
    """

    def __init__(
        self,
        sync: ModelSync,
        upstream: UpstreamClient,
        accounting: Accounting,
        routing: Routing,
        cache: ResponseCache,
        *,
        stream_seconds: float = 600.0,
    ) -> None:
        self._sync = sync
        self._upstream = upstream
        self._accounting = accounting
        self._routing = routing
        self._cache = cache
        self._stream_seconds = stream_seconds

    async def answered(
        self,
        model_id: str,
        origin: CallOrigin,
        ask: Callable[[OfferedModel, CallOrigin], Awaitable[Result]],
        *,
        again: Callable[[], bool] = lambda: True,
    ) -> Result:
        """What the model says that answers for an id; for a routed name, the first one that does not fail.

        Args:
            model_id: What the client sent as `model`.
            origin: Who makes the call.
            ask: Calls a model until its answer has begun; called again for each further model.
            again: Whether the request can still be sent a second time.

        Raises:
            Missing: Nobody offers it.
            ApiError: 503 when its provider cannot be used.
            UpstreamError: It did not answer, nor did any that the route falls back on.
        """
        model = await self._sync.find(model_id, origin.principal)
        if model.route is None:
            if model.problem:
                raise unavailable(model.problem)
            return await ask(model, origin)
        candidates = await self._routing.candidates(model)
        origin = replace(origin, attempts=[])
        return await first_answer(candidates, lambda candidate: ask(candidate, origin), again)

    def meter(self, model: OfferedModel, origin: CallOrigin, *, stream: bool = False) -> MeteredCall:
        """What takes down a call of `model`."""
        attempts = origin.attempts
        meter = MeteredCall(
            self._accounting,
            model,
            user_id=origin.user_id,
            key_id=origin.key_id,
            request_id=origin.request_id,
            stream=stream,
            earlier=attempts[-1] if attempts else None,
        )
        if attempts is not None:
            attempts.append(meter)
        return meter

    def call(
        self,
        model: OfferedModel,
        path: str,
        body: bytes | StreamedBody,
        origin: CallOrigin,
        *,
        stream: bool = False,
        content_type: str = JSON,
        estimate: Callable[[], int] = int,
    ) -> RoutedCall:
        """A call of `model`, to be handed to one of the methods below."""
        meter = self.meter(model, origin, stream=stream)
        return RoutedCall(model, model.provider, path, body, meter, content_type, estimate, origin.request_id)

    def place(
        self, wish: CacheWish | None, model: OfferedModel, path: str, body: bytes, origin: CallOrigin
    ) -> CachePlace | None:
        """Where the answer to a request is kept; None when neither it nor its key asks for that.

        Args:
            wish: What the request says about the cache; None for as its key says.
            model: Who is asked.
            path: Below the provider's address.
            body: What the provider gets.
            origin: Who asks.
        """
        return self._cache.place(wish, origin.key_id, origin.user_id, model.key, path, body)

    async def whole(self, call: RoutedCall, *, member: bytes) -> bytes:
        """The provider's whole JSON answer, its bytes untouched.

        Args:
            call: What is asked; its body lies here as a whole.
            member: A member that every answer has; one without it is none.

        Raises:
            UpstreamError: The provider gave no answer.
        """
        assert isinstance(call.body, bytes)
        if call.place is not None and call.place.answer is not None:
            call.meter.finish(200)
            return call.place.answer
        with call.meter:
            answer = await self._upstream.complete(
                call.provider, call.path, call.body, content_type=call.content_type
            )
            # An answer that was cut off ends somewhere else; parsing vectors would take too long here.
            if b'"%s"' % member not in answer.body or not answer.body.rstrip().endswith(b"}"):
                raise no_completion(call.provider, answer.body, expected="what was asked for")
            call.meter.finish(200, call.counts(told_counts(answer.body)))
        if call.place is not None:
            call.place.keep(answer.body)
        return answer.body

    async def completion_stream(self, call: RoutedCall, *, hide_usage: bool) -> AsyncGenerator[bytes, None]:
        """Begin a stream of completion chunks that ends with `[DONE]`.

        Args:
            call: What is asked; its body lies here as a whole.
            hide_usage: Whether the chunk with the usage is kept from the caller, who did not ask for it.

        Raises:
            UpstreamError: The provider did not begin to answer.
        """
        assert isinstance(call.body, bytes)
        if call.place is not None and call.place.answer is not None:
            call.meter.finish(200)
            return once(call.place.answer)

        def ended(counter: StreamCounter, failure: BaseException | None) -> None:
            status = 200 if failure is None else failure_status(failure)
            call.meter.finish(status, call.counts(counter.counts, counter.chunks))

        with call.meter:
            stream = await begin_stream(
                self._upstream,
                call.provider,
                call.path,
                call.body,
                seconds=self._stream_seconds,
                counter=StreamCounter(strip=hide_usage),
                ended=ended,
            )
            call.meter.began()
        frames = relay(stream, call.request_id)
        return frames if call.place is None else keeping(frames, call.place.keep)

    async def begin(self, call: RoutedCall) -> AnswerStream:
        """Wait for the first bytes of an answer of any kind; hand it to `relayed`.

        The provider has as long for them as for a whole answer: it may have to hear an hour of sound.

        Raises:
            UpstreamError: The provider did not begin to answer.
        """
        timeouts = replace(call.provider.timeouts, first_token=call.provider.timeouts.answer)
        provider = replace(call.provider, timeouts=timeouts)
        with call.meter:
            answer = await self._upstream.stream(
                provider, call.path, call.body, content_type=call.content_type
            )
            call.meter.began()
        return answer


async def relayed(call: RoutedCall, answer: AnswerStream) -> AsyncGenerator[bytes, None]:
    """An answer's bytes as they come; a failure of an event stream becomes its last frame.

    Raises:
        UpstreamError: An answer that is no event stream broke off.
    """
    tail = b""
    with call.meter:
        try:
            async with answer:
                async for chunk in answer:
                    tail = (tail + chunk)[-_TAIL_BYTES:]
                    yield chunk
        except UpstreamError as error:
            call.meter.failed(error)
            if not answer.headers.get("Content-Type", "").startswith(EVENT_STREAM):
                raise
            yield (b"" if tail.endswith(b"\n\n") else b"\n\n") + error_frame(error, call.request_id)
        else:
            call.meter.finish(200, call.counts(told_counts(tail)))
