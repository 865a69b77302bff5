"""A chat completion as a Messages answer, and errors in Anthropic's shape."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from jan_server.http.errors import TYPES
from jan_server.http.ids import public_id
from jan_server.services.llm_api.message_content import text_of

STOP_REASONS: Mapping[str, str] = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "function_call": "tool_use",
    "content_filter": "refusal",
}

ERROR_TYPES: Mapping[int, str] = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    413: "request_too_large",
    422: "invalid_request_error",
    429: "rate_limit_error",
    503: "overloaded_error",
    529: "overloaded_error",
    504: "timeout_error",
}


CALLER: Mapping[str, str] = {"type": "direct"}
"""Who calls a tool: the model itself, and no program that it wrote."""


def message_id() -> str:
    """A new id of a message."""
    return public_id("msg", 24)


def message_answer(completion: Mapping[str, Any], model: str) -> dict[str, Any]:
    """The message that says what the completion's first choice says.

    Args:
        completion: A decoded chat completion, with at least one choice and its message.
        model: The model as the client named it.
    """
    choice = completion["choices"][0]
    message = choice["message"]
    content: list[dict[str, Any]] = []
    if thinking := text_of(message.get("reasoning_content") or message.get("reasoning")):
        content.append({"type": "thinking", "thinking": thinking, "signature": ""})
    if text := text_of(message.get("content") or message.get("refusal")):
        content.append({"type": "text", "text": text, "citations": None})
    for call in message.get("tool_calls") or ():
        function = call.get("function") or {}
        content.append(
            {
                "type": "tool_use",
                "id": call.get("id") or public_id("toolu", 24),
                "name": function.get("name", ""),
                "input": tool_input(function.get("arguments") or "{}"),
                "caller": CALLER,
            }
        )
    reason, stop = stop_of(
        choice.get("finish_reason"), choice.get("stop_reason"), has_calls=bool(message.get("tool_calls"))
    )
    return {
        "id": message_id(),
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": content,
        "stop_reason": reason,
        "stop_sequence": stop,
        "stop_details": None,
        "container": None,
        "usage": usage(completion.get("usage")),
    }


def stop_of(finish_reason: Any, stop: Any, *, has_calls: bool) -> tuple[str, str | None]:
    """Anthropic's word for why an answer ended, and the sequence that ended it.

    Args:
        finish_reason: OpenAI's word.
        stop: vLLM's `stop_reason`: the sequence, where it is a text. OpenAI's protocol has no such member.
        has_calls: Whether the answer calls tools.
    """
    if has_calls and finish_reason in (None, "stop"):
        return "tool_use", None
    reason = STOP_REASONS.get(str(finish_reason), "end_turn")
    if reason == "end_turn" and isinstance(stop, str):
        return "stop_sequence", stop
    return reason, None


def tool_input(arguments: Any) -> dict[str, Any]:
    """The arguments of a call as an object; what is no JSON object is kept under `arguments`."""
    if isinstance(arguments, dict):
        return arguments
    try:
        value = orjson.loads(arguments)
    except orjson.JSONDecodeError:
        return {"arguments": arguments}
    return value if isinstance(value, dict) else {"arguments": value}


def usage(counts: Any) -> dict[str, Any]:
    """Token counts in Anthropic's members; cached tokens are no part of `input_tokens` there."""
    counts = counts if isinstance(counts, Mapping) else {}
    details = counts.get("prompt_tokens_details")
    cached = details.get("cached_tokens") if isinstance(details, Mapping) else None
    read = cached if isinstance(cached, int) else 0
    return {
        "input_tokens": max(0, int(counts.get("prompt_tokens") or 0) - read),
        "output_tokens": int(counts.get("completion_tokens") or 0),
        "cache_creation": None,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": read,
        "output_tokens_details": _thinking_tokens(counts.get("completion_tokens_details")),
        "server_tool_use": None,
        "service_tier": "standard",
        "inference_geo": None,
    }


def _thinking_tokens(details: Any) -> dict[str, int] | None:
    thinking = details.get("reasoning_tokens") if isinstance(details, Mapping) else None
    return {"thinking_tokens": thinking} if isinstance(thinking, int) else None


def error_answer(status: int, message: str, request_id: str = "") -> dict[str, Any]:
    """An error as Anthropic's clients read it."""
    kind = ERROR_TYPES.get(status, "api_error")
    return {"type": "error", "error": {"type": kind, "message": message}, "request_id": request_id or None}


def status_of(error: Mapping[str, Any]) -> int:
    """The status of an error that came as a frame of a stream, in which no status line stands."""
    code = error.get("code")
    if isinstance(code, int) and not isinstance(code, bool):
        return code
    return next((status for status, kind in TYPES.items() if kind == error.get("type")), 502)
