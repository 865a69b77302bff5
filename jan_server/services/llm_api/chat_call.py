"""One chat request that is ready to be sent to a model, and the further models that may answer it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, fields, replace

from jan_server.inference.prompted_answer import PromptedTools
from jan_server.inference.upstream_errors import UpstreamError
from jan_server.services.llm_api import context_window
from jan_server.services.llm_api.accounting import MeteredCall, failure_status
from jan_server.services.llm_api.chat_request import ChatRequest
from jan_server.services.llm_api.chat_storage import Exchange
from jan_server.services.llm_api.model_registry import ModelRegistry
from jan_server.services.llm_api.models import OfferedModel
from jan_server.services.llm_api.response_cache import CachePlace
from jan_server.services.llm_api.routing import Candidates
from jan_server.services.llm_api.token_counts import StreamCounter, TokenCounts

PATH = "/chat/completions"
"""Below the address of a provider."""


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
        place: Where the answer is kept; None for nowhere.
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
    place: CachePlace | None = None
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
