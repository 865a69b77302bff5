"""How much of an exchange fits a model: the token estimate, and trimming to the context.

The estimate is deliberately simple, so that it costs little and works for every model. System
messages, tool calls together with their results, and the newest turns are kept; the oldest
turns go first (contract/llm-api.md, section 7.5).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

Message = Mapping[str, Any]

DEFAULT_CONTEXT_TOKENS = 220_000
MINIMUM_BUDGET_TOKENS = 1_000
_ANSWER_SHARE = 0.34
_MARGIN_TOKENS = 100

_CHARACTERS_A_TOKEN = 4
_CJK_CHARACTERS_A_TOKEN = 1.5
_CJK_SHARE = 0.3
_MESSAGE_TOKENS = 10
_TOOL_CALL_TOKENS = 20
_IMAGE_TOKENS = 850
_SMALL_IMAGE_TOKENS = 85
_TOOLS_TOKENS = 50
_TOOL_TOKENS = 20
_TOOL_SCHEMA_BYTES = 16_384

_TOOL_RESULT_TOKENS = 20_000
_TOOL_ARGUMENTS_TOKENS = 2_000
_OLDER_PARTS_TOKENS = 6_000
_TOOL_IMAGES = 6
_USER_IMAGES = 15

_CUT = "\n[… cut to fit the model's context]"
_IMAGE_LEFT_OUT = {"type": "text", "text": "[an earlier image was left out to fit the model's context]"}
_CJK = re.compile("[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\uff66-\uff9f]")


@dataclass(frozen=True, slots=True)
class Fitted:
    """Messages that fit, and whether anything had to go for it."""

    messages: list[dict[str, Any]]
    trimmed: bool


def text_tokens(text: str) -> int:
    """The estimated tokens of a text."""
    if not text.isascii():
        cjk = len(_CJK.findall(text))
        if cjk > len(text) * _CJK_SHARE:
            return int(cjk / _CJK_CHARACTERS_A_TOKEN + (len(text) - cjk) / _CHARACTERS_A_TOKEN)
    return len(text) // _CHARACTERS_A_TOKEN


def message_tokens(message: Message) -> int:
    """The estimated tokens of one message with its tool calls and images."""
    total = _MESSAGE_TOKENS + content_tokens(message.get("content"))
    for call in message.get("tool_calls") or ():
        function = call.get("function") or {}
        total += _TOOL_CALL_TOKENS + text_tokens(f"{function.get('name', '')}{function.get('arguments', '')}")
    return total


def content_tokens(content: Any) -> int:
    """The estimated tokens of a message's content."""
    if isinstance(content, str):
        return text_tokens(content)
    if not isinstance(content, list):
        return 0
    total = 0
    for part in content:
        if part.get("type") == "image_url":
            image = part.get("image_url")
            small = isinstance(image, dict) and image.get("detail") == "low"
            total += _SMALL_IMAGE_TOKENS if small else _IMAGE_TOKENS
        elif isinstance(part.get("text"), str):
            total += text_tokens(part["text"])
    return total


def tools_tokens(tools: Sequence[Any] | None) -> int:
    """The estimated tokens of tool definitions."""
    if not tools:
        return 0
    return _TOOLS_TOKENS + sum(
        _TOOL_TOKENS + min(len(orjson.dumps(tool)), _TOOL_SCHEMA_BYTES) // _CHARACTERS_A_TOKEN
        for tool in tools
    )


def upper_bound(body: bytes, messages: int) -> int:
    """More tokens than a request with this body can have by the estimate, without looking into it."""
    images, typed = body.count(b'"image'), body.count(b'"type"')
    return (
        len(body) // _CHARACTERS_A_TOKEN
        + messages * _MESSAGE_TOKENS
        + typed * _TOOL_CALL_TOKENS
        + images * _IMAGE_TOKENS
        + _TOOLS_TOKENS
    )


def budget(context_tokens: int | None, answer_tokens: int | None) -> int:
    """How many tokens the messages may have, the answer's share set aside.

    Args:
        context_tokens: The model's context length; None when unknown.
        answer_tokens: The limit that the request sets on the answer; None when it sets none.
    """
    context = context_tokens or DEFAULT_CONTEXT_TOKENS
    reserved = answer_tokens if answer_tokens and answer_tokens > 0 else int(context * _ANSWER_SHARE)
    return max(MINIMUM_BUDGET_TOKENS, context - reserved - _MARGIN_TOKENS)


def fit(messages: list[dict[str, Any]], available: int) -> Fitted:
    """Trim `messages` to `available` tokens as far as that is possible without losing their sense.

    What was asked last always stays, even when it alone is too long: the provider then says so.
    The given messages are not changed.
    """
    costs = sum(map(message_tokens, messages))
    if costs <= available:
        return Fitted(messages, trimmed=False)
    shortened = _without_old_images(_shortened(messages))
    costs = sum(map(message_tokens, shortened))
    leading = [message for message in shortened if _is_system(message)]
    turns = _turns([message for message in shortened if not _is_system(message)])
    while costs > available and len(turns) > 1:
        costs -= sum(message_tokens(message) for step in turns.pop(0) for message in step)
    if turns:
        # One turn is left: an agent's long run after a single question. Its oldest steps go.
        last = turns[0]
        while costs > available and len(turns) == 1 and len(last) > 2:
            costs -= sum(map(message_tokens, last.pop(1)))
    kept = leading + [message for turn in turns for step in turn for message in step]
    return Fitted(_in_order(shortened, kept), trimmed=True)


def _is_system(message: Message) -> bool:
    return message["role"] in ("system", "developer")


def _in_order(original: list[dict[str, Any]], kept: list[dict[str, Any]]) -> list[dict[str, Any]]:
    identities = set(map(id, kept))
    return [message for message in original if id(message) in identities]


def _turns(messages: list[dict[str, Any]]) -> list[list[list[dict[str, Any]]]]:
    """Turns of steps: a turn begins with a user message, a step is a message with its tool results."""
    turns: list[list[list[dict[str, Any]]]] = []
    for message in messages:
        role = message["role"]
        if role == "user" or not turns:
            turns.append([[message]])
        elif role in ("tool", "function"):
            turns[-1][-1].append(message)
        else:
            turns[-1].append([message])
    return turns


def _shortened(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    newest_user = max(
        (index for index, message in enumerate(messages) if message["role"] == "user"), default=-1
    )
    result = []
    for index, message in enumerate(messages):
        content = message.get("content")
        role = message["role"]
        if role == "tool" and content_tokens(content) > _TOOL_RESULT_TOKENS:
            message = {**message, "content": _cut_content(content, _TOOL_RESULT_TOKENS)}
        elif role == "user" and index != newest_user and isinstance(content, list):
            message = {**message, "content": _cut_content(content, _OLDER_PARTS_TOKENS)}
        elif message.get("tool_calls"):
            message = {**message, "tool_calls": [_cut_arguments(call) for call in message["tool_calls"]]}
        result.append(message)
    return result


def _cut_content(content: Any, limit: int) -> Any:
    if isinstance(content, str):
        return _cut_text(content, limit)
    parts = []
    for part in content:
        text = part.get("text")
        if isinstance(text, str):
            part = {**part, "text": _cut_text(text, limit)}
            limit = max(0, limit - text_tokens(part["text"]))
        parts.append(part)
    return parts


def _cut_text(text: str, limit: int) -> str:
    tokens = text_tokens(text)
    if tokens <= limit:
        return text
    return text[: int(len(text) * limit / tokens)] + _CUT


def _cut_arguments(call: dict[str, Any]) -> dict[str, Any]:
    function = call.get("function") or {}
    arguments = function.get("arguments")
    if not isinstance(arguments, str) or text_tokens(arguments) <= _TOOL_ARGUMENTS_TOKENS:
        return call
    # Chat templates parse the arguments: what is cut has to stay a JSON object.
    cut = orjson.dumps({"cut": _cut_text(arguments, _TOOL_ARGUMENTS_TOKENS)}).decode()
    return {**call, "function": {**function, "arguments": cut}}


def _without_old_images(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    left = {"tool": _TOOL_IMAGES, "user": _USER_IMAGES}
    result = []
    for message in reversed(messages):
        content = message.get("content")
        if isinstance(content, list) and message["role"] in left:
            parts = []
            for part in reversed(content):
                if part.get("type") == "image_url":
                    left[message["role"]] -= 1
                    if left[message["role"]] < 0:
                        part = _IMAGE_LEFT_OUT
                parts.append(part)
            message = {**message, "content": parts[::-1]}
        result.append(message)
    return result[::-1]
