"""The response as clients see it: OpenAI's members, all of them always there, and the contract's older ones.

Source: OpenAI API reference, "The response object"; Open Responses, `ResponseResource`;
contract/response-api.md, section 3.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from typing import Any

from jan_server.services.response_api.chat_messages import CALL, RESULT
from jan_server.services.response_api.request import ResponseRequest

ENDED = frozenset({"completed", "failed", "incomplete", "cancelled"})
"""What a response stays, once it is."""


def new_response_id() -> str:
    """A new id: `resp_` and a UUID."""
    return f"resp_{uuid.uuid4()}"


def response_object(
    request: ResponseRequest, response_id: str, created_at: int, *, conversation_id: str = ""
) -> dict[str, Any]:
    """A response that has just begun.

    Args:
        request: What was asked for.
        response_id: Its id.
        created_at: When, in Unix seconds.
        conversation_id: The conversation that it belongs to.
    """
    options = request.options
    body: dict[str, Any] = {
        "id": response_id,
        "object": "response",
        "created_at": created_at,
        "created": created_at,
        "completed_at": None,
        "status": "in_progress",
        "background": request.background,
        "error": None,
        "incomplete_details": None,
        "instructions": request.instructions or None,
        "max_output_tokens": request.max_output_tokens,
        "max_tool_calls": request.max_tool_calls,
        "model": request.model,
        "output": [],
        "output_text": "",
        "parallel_tool_calls": request.parallel_tool_calls,
        "previous_response_id": request.previous_response_id or None,
        "reasoning": {"effort": None, "summary": None, **request.reasoning},
        "store": request.store,
        "stream": request.stream,
        "service_tier": options.get("service_tier") or "default",
        "temperature": options.get("temperature", 1.0),
        "top_p": options.get("top_p", 1.0),
        "presence_penalty": options.get("presence_penalty", 0.0),
        "frequency_penalty": options.get("frequency_penalty", 0.0),
        "top_logprobs": options.get("top_logprobs", 0),
        "text": {"format": {"type": "text"}, **request.text},
        "tool_choice": request.tool_choice,
        "tools": [_told_tool(tool) for tool in request.tools or ()],
        "truncation": request.truncation,
        "usage": None,
        "user": options.get("user"),
        "safety_identifier": options.get("safety_identifier"),
        "prompt_cache_key": options.get("prompt_cache_key"),
        "metadata": request.metadata,
        "input": request.input,
    }
    form = body["text"]["format"]
    if form.get("type") == "json_schema":
        body["text"]["format"] = {"description": None, "strict": False, **form}
    if request.instructions:
        body["system_prompt"] = request.instructions
    if conversation_id:
        body["conversation_id"] = conversation_id
        body["conversation"] = {"id": conversation_id}
    return body


def _told_tool(tool: Mapping[str, Any]) -> dict[str, Any]:
    if tool.get("type") == "function" and "function" not in tool:
        return {"description": None, "parameters": None, "strict": None, **tool}
    # What lets a server of tools in is no business of whoever reads the response.
    return {name: value for name, value in tool.items() if name not in ("authorization", "headers")}


def shown_item(item: Mapping[str, Any], include: Iterable[str] = ()) -> dict[str, Any]:
    """An item as clients see it: without what is kept for the model, and with what they asked for."""
    asked = set(include)
    shown = {name: value for name, value in item.items() if name not in (CALL, RESULT)}
    kind = shown.get("type")
    if kind == "file_search_call" and "file_search_call.results" not in asked:
        shown["results"] = None
    if kind == "code_interpreter_call" and "code_interpreter_call.outputs" not in asked:
        shown["outputs"] = None
    if kind == "web_search_call" and "web_search_call.action.sources" not in asked:
        action = shown.get("action")
        if isinstance(action, dict):
            shown["action"] = {name: value for name, value in action.items() if name != "sources"}
    return shown


def output_text(items: Iterable[Mapping[str, Any]]) -> str:
    """The text of the messages among the items."""
    return "".join(
        str(part["text"])
        for item in items
        if item.get("type") == "message"
        for part in item["content"]
        if part.get("type") == "output_text"
    )


def no_usage() -> dict[str, Any]:
    """The usage of a run that has not asked a model yet."""
    return {
        "input_tokens": 0,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": 0,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 0,
        "prompt_tokens": 0,
        "completion_tokens": 0,
    }


def added_usage(usage: Mapping[str, Any] | None, chat: Mapping[str, Any]) -> dict[str, Any]:
    """The usage of a response after one more call of a model.

    Args:
        usage: That of the calls before.
        chat: What the chat completion told.
    """
    before = usage or no_usage()
    read, written = int(chat.get("prompt_tokens") or 0), int(chat.get("completion_tokens") or 0)
    cached = int((chat.get("prompt_tokens_details") or {}).get("cached_tokens") or 0)
    thought = int((chat.get("completion_tokens_details") or {}).get("reasoning_tokens") or 0)
    given, made = before["input_tokens"] + read, before["output_tokens"] + written
    return {
        "input_tokens": given,
        "input_tokens_details": {"cached_tokens": before["input_tokens_details"]["cached_tokens"] + cached},
        "output_tokens": made,
        "output_tokens_details": {
            "reasoning_tokens": before["output_tokens_details"]["reasoning_tokens"] + thought
        },
        "total_tokens": given + made,
        "prompt_tokens": given,
        "completion_tokens": made,
    }
