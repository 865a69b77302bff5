"""A chat completion request: checked by hand, and split into what the provider gets and what is Jan's.

Every member that is not Jan's own travels to the provider, known here or not. Only what this
server itself reads, and what no provider could use, is checked; ranges are the provider's own
(contract/llm-api.md, section 7.1; OpenAI API reference, "Create chat completion").
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from jan_server.http.ids import is_public_id
from jan_server.services.llm_api.member_checks import (
    Check,
    check_array,
    check_boolean,
    check_integer,
    check_members,
    check_number,
    check_object,
    check_objects,
    check_text,
    check_text_or_object,
    check_text_or_texts,
    model_of,
    wrong_type,
)
from jan_server.services.llm_api.message_content import JSON_PARTS, is_jan_part, openai_parts, parts_in_text
from jan_server.services.llm_api.prompt_hints import NO_HINTS, PromptHints
from jan_server.services.llm_api.refusals import Invalid
from jan_server.services.llm_api.response_cache import CacheWish, cache_wish

History = Literal["auto", "always", "never"]

OWN_MEMBERS = (
    "conversation",
    "store",
    "store_reasoning",
    "deep_research",
    "enable_thinking",
    "image",
    "cache",
)
"""Members of the body that are Jan's and never reach a provider."""

ROLES = frozenset({"system", "developer", "user", "assistant", "tool", "function"})
_HISTORIES: Mapping[str, History] = {"auto": "auto", "always": "always", "never": "never"}
_MAXIMUM_REFERRER = 64


@dataclass(frozen=True, slots=True)
class ConversationChoice:
    """Which conversation an exchange belongs to.

    Attributes:
        id: A conversation of the caller; empty asks for a new one.
        branch: The branch to read from and write to; None means the active one.
        history: Whether stored items precede the new messages.
        referrer: Where a new conversation says it came from.
    """

    id: str = ""
    branch: str | None = None
    history: History = "auto"
    referrer: str | None = None


@dataclass(slots=True)
class ChatRequest:
    """One checked request.

    Attributes:
        body: What the provider gets, Jan's members removed; `messages` is the same list as below.
        model: The model that the client asked for.
        messages: The request's own messages.
        stream: Whether the client asked for a stream.
        conversation: The conversation to attach to, if any.
        store: Whether the exchange is kept.
        store_reasoning: Whether reasoning text is kept too.
        instruct: Whether the model's instruct partner answers instead, when it has one.
        deep_research: Whether the model is told to research deeply.
        image: Whether the request is about images.
        hints: What the request says about prompts beside its body.
        cache: Whether and how its answer may be used again; None for as its key says.
    """

    body: dict[str, Any]
    model: str
    messages: list[dict[str, Any]]
    stream: bool = False
    conversation: ConversationChoice | None = None
    store: bool = True
    store_reasoning: bool = False
    instruct: bool = False
    deep_research: bool = False
    image: bool = False
    hints: PromptHints = NO_HINTS
    cache: CacheWish | None = None

    @property
    def answer_tokens(self) -> int | None:
        """The limit that the client set on the answer, in tokens."""
        limit = self.body.get("max_completion_tokens") or self.body.get("max_tokens")
        return limit if isinstance(limit, int) else None


def parse_chat_request(body: dict[str, Any], *, referrer: str | None = None) -> ChatRequest:
    """Check a request's body and take it apart; `body` itself becomes the provider's.

    Args:
        body: The parsed body.
        referrer: The query's `referrer`: with no conversation given it asks for a new one.

    Raises:
        Invalid: A member is missing or wrong; `param` names it.
    """
    check_members(body, _CHECKS)
    messages = _messages(body.get("messages"))
    model = model_of(body)
    if body.get("tool_choice") is not None and not body.get("tools"):
        del body["tool_choice"]
    request = ChatRequest(body=body, model=model, messages=messages, stream=bool(body.get("stream")))
    if not body.keys().isdisjoint(OWN_MEMBERS) or referrer:
        _take_own_members(request, referrer)
    return request


def _take_own_members(request: ChatRequest, referrer: str | None) -> None:
    body = request.body
    own = {name: body.pop(name, None) for name in OWN_MEMBERS}
    request.conversation = _conversation(own["conversation"], referrer)
    request.store = own["store"] is not False
    request.store_reasoning = own["store_reasoning"] is True
    request.deep_research = own["deep_research"] is True
    request.image = own["image"] is True
    request.cache = cache_wish(own["cache"])
    request.instruct = own["enable_thinking"] is False and not request.image


def _conversation(given: Any, referrer: str | None) -> ConversationChoice | None:
    if referrer is not None and (
        not referrer.strip() or len(referrer) > _MAXIMUM_REFERRER or not referrer.isprintable()
    ):
        raise Invalid(
            f"referrer must be 1 to {_MAXIMUM_REFERRER} printable characters",
            param="referrer",
            code="invalid_value",
        )
    if given is None:
        return ConversationChoice(referrer=referrer) if referrer else None
    if isinstance(given, str):
        given = {"id": given}
    conversation_id = given.get("id") or ""
    if conversation_id and not (isinstance(conversation_id, str) and is_public_id("conv", conversation_id)):
        raise Invalid("invalid conversation ID", param="conversation", code="invalid_value")
    branch = given.get("branch") or None
    if branch is not None and (not isinstance(branch, str) or not branch.isprintable()):
        raise wrong_type("conversation.branch", "the name of a branch")
    history = _HISTORIES.get(given.get("history") or "auto")
    if history is None:
        raise Invalid(
            'conversation.history must be "auto", "always" or "never"',
            param="conversation.history",
            code="invalid_value",
        )
    return ConversationChoice(id=conversation_id, branch=branch, history=history, referrer=referrer)


def _messages(messages: Any) -> list[dict[str, Any]]:
    if not messages:
        raise Invalid(
            "messages is required and must hold at least one message",
            param="messages",
            code="missing_required_parameter",
        )
    for index, message in enumerate(messages):
        if not isinstance(message, dict):
            raise wrong_type(f"messages[{index}]", "an object")
        role = message.get("role")
        if not isinstance(role, str) or role not in ROLES:
            raise _wrong_role(index, role)
        content = message.get("content")
        if isinstance(content, str):
            if content.startswith(JSON_PARTS) and (parts := parts_in_text(content)):
                message["content"] = parts
        elif isinstance(content, list):
            _check_parts(f"messages[{index}].content", content)
            if any(is_jan_part(part) for part in content):
                message["content"] = openai_parts(content)
        elif content is not None or role not in ("assistant", "function"):
            raise wrong_type(f"messages[{index}].content", "a string or an array of parts")
        if role == "tool" and not isinstance(message.get("tool_call_id"), str):
            raise wrong_type(f"messages[{index}].tool_call_id", "a string")
        if message.get("tool_calls") is not None:
            _check_tool_calls(f"messages[{index}].tool_calls", message["tool_calls"])
    return messages  # type: ignore[no-any-return]  # each entry was just checked


def _wrong_role(index: int, role: Any) -> Invalid:
    if role is None:
        return Invalid(
            f"messages[{index}].role is required",
            param=f"messages[{index}].role",
            code="missing_required_parameter",
        )
    return Invalid(
        f"messages[{index}].role must be one of {', '.join(sorted(ROLES))}",
        param=f"messages[{index}].role",
        code="invalid_value",
    )


def _check_parts(name: str, parts: list[Any]) -> None:
    for index, part in enumerate(parts):
        if not isinstance(part, dict):
            raise wrong_type(f"{name}[{index}]", "an object")
        if not isinstance(part.get("type"), str):
            raise wrong_type(f"{name}[{index}].type", "a string")


def _check_tool_calls(name: str, calls: Any) -> None:
    check_objects(name, calls)
    for index, call in enumerate(calls):
        if not isinstance(call.get("id"), str):
            raise wrong_type(f"{name}[{index}].id", "a string")


def _check_tools(name: str, value: Any) -> None:
    check_objects(name, value)
    for index, tool in enumerate(value):
        if not isinstance(tool.get("type"), str):
            raise wrong_type(f"{name}[{index}].type", "a string")
        if tool["type"] != "function":
            continue
        function = tool.get("function")
        if not isinstance(function, dict):
            raise wrong_type(f"{name}[{index}].function", "an object")
        if not isinstance(function.get("name"), str):
            raise wrong_type(f"{name}[{index}].function.name", "a string")


_CHECKS: Mapping[str, Check] = {
    "model": check_text,
    "messages": check_array,
    "stream": check_boolean,
    "store": check_boolean,
    "store_reasoning": check_boolean,
    "deep_research": check_boolean,
    "enable_thinking": check_boolean,
    "image": check_boolean,
    "conversation": check_text_or_object,
    "max_tokens": check_integer,
    "max_completion_tokens": check_integer,
    "n": check_integer,
    "seed": check_integer,
    "top_k": check_integer,
    "top_logprobs": check_integer,
    "temperature": check_number,
    "top_p": check_number,
    "presence_penalty": check_number,
    "frequency_penalty": check_number,
    "repetition_penalty": check_number,
    "logprobs": check_boolean,
    "parallel_tool_calls": check_boolean,
    "stop": check_text_or_texts,
    "tools": _check_tools,
    "tool_choice": check_text_or_object,
    "functions": check_objects,
    "function_call": check_text_or_object,
    "response_format": check_object,
    "stream_options": check_object,
    "logit_bias": check_object,
    "metadata": check_object,
    "chat_template_kwargs": check_object,
    "user": check_text,
}
