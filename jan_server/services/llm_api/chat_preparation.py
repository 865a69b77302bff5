"""What happens to a chat request before a model is asked: its conversation, its model, what that gets.

Source: contract/llm-api.md, section 7.
"""

from __future__ import annotations

from functools import partial

import orjson

from jan_server.authentication.principal import Principal
from jan_server.http.errors import unavailable
from jan_server.inference.prompted_answer import PromptedTools
from jan_server.inference.prompted_tools import needs_prompt, prompt_tools
from jan_server.services.llm_api import context_window
from jan_server.services.llm_api.accounting import Accounting, MeteredCall
from jan_server.services.llm_api.chat_call import PATH, ChatCall, OtherModels
from jan_server.services.llm_api.chat_history import Message
from jan_server.services.llm_api.chat_request import ChatRequest
from jan_server.services.llm_api.chat_storage import Exchange
from jan_server.services.llm_api.exchange_writer import ExchangeWriter
from jan_server.services.llm_api.media_client import MediaCaller
from jan_server.services.llm_api.message_content import text_of
from jan_server.services.llm_api.message_media import MessageMedia
from jan_server.services.llm_api.model_registry import ModelRegistry
from jan_server.services.llm_api.models import JAN_KIND, OfferedModel
from jan_server.services.llm_api.prompt_modules import NOT_APPLIED
from jan_server.services.llm_api.prompt_orchestration import PromptOrchestration
from jan_server.services.llm_api.refusals import Invalid
from jan_server.services.llm_api.response_cache import CachePlace, ResponseCache
from jan_server.services.llm_api.routing import Routing
from jan_server.services.llm_api.sync import ModelSync
from jan_server.services.llm_api.token_counts import ask_usage


class ChatPreparation:
    """Makes calls of chat requests.

    Args:
        registry: Knows the models.
        sync: Finds models, also those that nobody knows yet.
        writer: Reads the conversations of exchanges.
        accounting: Takes down what calls use.
        routing: Finds the models behind routed names.
        cache: Keeps answers for those who ask for it.
        ask_usage: Whether providers are asked for the usage of streams whose callers do not ask.
        prompts: Adds what prompt modules have to say; None where none may.
        media: Puts the media that messages name into them; None where none can be named.
        user_tokens: The longest last user message, in estimated tokens; 0 for no limit.
    """

    def __init__(
        self,
        registry: ModelRegistry,
        sync: ModelSync,
        writer: ExchangeWriter,
        accounting: Accounting,
        routing: Routing,
        cache: ResponseCache,
        *,
        ask_usage: bool = True,
        prompts: PromptOrchestration | None = None,
        media: MessageMedia | None = None,
        user_tokens: int = 0,
    ) -> None:
        self._registry = registry
        self._sync = sync
        self._writer = writer
        self._accounting = accounting
        self._routing = routing
        self._cache = cache
        self._ask_usage = ask_usage
        self._prompts = prompts
        self._media = media
        self._user_tokens = user_tokens

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
        place: CachePlace | None = None
        # An exchange of a conversation is written, which an answer from memory would not be.
        if request.conversation is None:
            place = self._cache.place(request.cache, key_id, user_id, model.key, PATH, body)
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
            place,
        )

    async def choose(self, request: ChatRequest, principal: Principal) -> OfferedModel:
        """The model that a request gets.

        Raises:
            Missing: There is none of this name, or none that the caller may see.
            ApiError: 503 when its provider cannot be used.
        """
        model = await self._sync.find(request.model, principal)
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
