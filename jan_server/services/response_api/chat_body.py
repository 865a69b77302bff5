"""The chat completion that one turn of a response asks for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from jan_server.services.response_api.offered_tools import OfferedTool
from jan_server.services.response_api.request import ResponseRequest

_CHAT_OPTIONS = (
    "temperature",
    "top_p",
    "presence_penalty",
    "frequency_penalty",
    "top_logprobs",
    "user",
    "service_tier",
)
TOOL_MEMBERS = ("tools", "tool_choice", "parallel_tool_calls")
"""What a provider that takes no tools must not get."""


def chat_format(form: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """OpenAI's `text.format` as a chat completion's `response_format`; None for plain text."""
    if form is None or form["type"] == "text":
        return None
    if form["type"] == "json_object":
        return {"type": "json_object"}
    members = ("name", "description", "schema", "strict")
    return {
        "type": "json_schema",
        "json_schema": {name: form[name] for name in members if form.get(name) is not None},
    }


def chat_choice(wanted: Mapping[str, Any], tools: Mapping[str, OfferedTool]) -> str | dict[str, Any]:
    """OpenAI's `tool_choice` object as that of a chat completion; the contract's is one already."""
    kind = wanted["type"]
    if kind == "allowed_tools":
        return "required" if wanted.get("mode") == "required" else "auto"
    nested = wanted.get("function")
    name = (nested or {}).get("name") if isinstance(nested, dict) else wanted.get("name")
    if not name:
        of_kind = f"{kind.removesuffix('_preview')}_call" if kind != "mcp" else "mcp_call"
        name = next((tool.name for tool in tools.values() if tool.kind == of_kind), None)
    return {"type": "function", "function": {"name": name}} if name in tools else "required"


def chat_body(
    request: ResponseRequest,
    messages: Sequence[Mapping[str, Any]],
    tools: Mapping[str, OfferedTool],
    *,
    first: bool,
    calls_left: bool,
) -> dict[str, Any]:
    """The body of one call of a model.

    Args:
        request: What the response was asked for with.
        messages: Everything that was said so far.
        tools: What the model may call.
        first: Whether this is the first turn, which alone has to call what the request requires.
        calls_left: Whether the model may still call anything.
    """
    body: dict[str, Any] = {"model": request.model, "messages": messages}
    body.update({name: request.options[name] for name in _CHAT_OPTIONS if name in request.options})
    if request.max_output_tokens is not None:
        body["max_tokens"] = request.max_output_tokens
    if request.reasoning.get("effort"):
        body["reasoning_effort"] = request.reasoning["effort"]
    if request.text.get("verbosity"):
        body["verbosity"] = request.text["verbosity"]
    if (form := chat_format(request.text.get("format"))) is not None:
        body["response_format"] = form
    if "message.output_text.logprobs" in request.include:
        body["logprobs"] = True
    if tools:
        body["tools"] = [tool.definition for tool in tools.values()]
        body["tool_choice"] = _tool_choice(request, tools, first=first, calls_left=calls_left)
        if not request.parallel_tool_calls:
            body["parallel_tool_calls"] = False
    return body


def _tool_choice(
    request: ResponseRequest, tools: Mapping[str, OfferedTool], *, first: bool, calls_left: bool
) -> str | dict[str, Any]:
    wanted = request.tool_choice
    if not calls_left:
        return "none"
    if isinstance(wanted, str):
        return "auto" if wanted == "required" and not first else wanted
    return chat_choice(wanted, tools) if first else "auto"
