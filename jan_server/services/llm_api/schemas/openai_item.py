"""Items and conversations as OpenAI's Conversations API shows them, for callers who speak it.

Whatever is stored becomes one of OpenAI's kinds of item, with all the members that its clients rely on.
Source: the types of OpenAI's Python package, `openai.types.conversations`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field

from jan_server.services.llm_api.conversations import Conversation
from jan_server.services.llm_api.items import Item, ItemPage
from jan_server.services.llm_api.schemas.conversation import conversation_members
from jan_server.services.llm_api.schemas.openai_content import openai_content, openai_reasoning
from jan_server.services.llm_api.titles import LOCK_KEY

_LEFT_OUT = object()
"""Stands for a member that need not be there."""

_RENAMED: Mapping[str, str] = {
    "file_search": "file_search_call",
    "web_search": "web_search_call",
    "code_interpreter": "code_interpreter_call",
    "computer_use": "computer_call",
    "mcp_item": "mcp_call",
    "image_generation": "image_generation_call",
    "image_edit_call": "image_generation_call",
}
"""The types that OpenAI does not have, and its own that are the nearest."""

_STATUSES: Mapping[str, str] = {
    "searching": "in_progress",
    "generating": "in_progress",
    "calling": "in_progress",
    "streaming": "in_progress",
    "failed": "incomplete",
    "cancelled": "incomplete",
    "rate_limited": "incomplete",
}
"""What stands for a status where a type of item does not have it."""

_BASIC = frozenset({"in_progress", "completed", "incomplete"})
_STATUSES_OF: Mapping[str, frozenset[str]] = {
    "file_search_call": _BASIC | {"searching", "failed"},
    "web_search_call": _BASIC | {"searching", "failed"},
    "image_generation_call": frozenset({"in_progress", "completed", "generating", "failed"}),
    "computer_call_output": _BASIC | {"failed"},
    "code_interpreter_call": _BASIC | {"failed"},
    "mcp_call": _BASIC | {"calling", "failed"},
    "apply_patch_call": frozenset({"in_progress", "completed"}),
    "apply_patch_call_output": frozenset({"completed", "failed"}),
    # These have none.
    "mcp_list_tools": frozenset(),
    "mcp_approval_request": frozenset(),
    "mcp_approval_response": frozenset(),
    "custom_tool_call": frozenset(),
    "custom_tool_call_output": frozenset(),
}
"""The statuses of the types that have others than the basic ones."""
_LAST_RESORT: Mapping[str, str] = {
    "image_generation_call": "failed",
    "apply_patch_call": "in_progress",
    "apply_patch_call_output": "failed",
}
"""The status of those that have no `incomplete`, where nothing else fits."""

_MEMBERS: Mapping[str, Mapping[str, Any]] = {
    "message": {"phase": _LEFT_OUT, "tool_calls": _LEFT_OUT},
    "function_call": {"call_id": "", "name": "", "arguments": "", "namespace": _LEFT_OUT},
    "function_call_output": {
        "call_id": _LEFT_OUT,
        "name": _LEFT_OUT,
        "namespace": _LEFT_OUT,
        "output": "",
    },
    "reasoning": {"summary": [], "encrypted_content": _LEFT_OUT},
    "file_search_call": {"queries": [], "results": None},
    "web_search_call": {"action": {"type": "search"}},
    "image_generation_call": {
        "result": None,
        "action": _LEFT_OUT,
        "background": _LEFT_OUT,
        "output_format": _LEFT_OUT,
        "quality": _LEFT_OUT,
        "revised_prompt": _LEFT_OUT,
        "size": _LEFT_OUT,
    },
    "computer_call": {
        "call_id": "",
        "action": _LEFT_OUT,
        "actions": _LEFT_OUT,
        "pending_safety_checks": [],
    },
    "computer_call_output": {
        "call_id": "",
        "output": {"type": "computer_screenshot"},
        "acknowledged_safety_checks": _LEFT_OUT,
    },
    "code_interpreter_call": {"code": None, "container_id": "", "outputs": None},
    "local_shell_call": {"call_id": "", "action": {"type": "exec", "command": [], "env": {}}},
    "local_shell_call_output": {"call_id": _LEFT_OUT, "output": ""},
    "shell_call": {"call_id": "", "action": {"commands": []}, "environment": _LEFT_OUT},
    "shell_call_output": {"call_id": "", "max_output_length": _LEFT_OUT, "output": []},
    "apply_patch_call": {"call_id": "", "operation": {}},
    "apply_patch_call_output": {"call_id": "", "output": _LEFT_OUT},
    "mcp_list_tools": {"server_label": "", "tools": [], "error": _LEFT_OUT},
    "mcp_approval_request": {"server_label": "", "name": "", "arguments": ""},
    "mcp_approval_response": {"approval_request_id": "", "approve": False, "reason": _LEFT_OUT},
    "mcp_call": {
        "server_label": "",
        "name": "",
        "arguments": "",
        "approval_request_id": _LEFT_OUT,
        "error": None,
        "output": None,
    },
    "custom_tool_call": {"call_id": "", "name": "", "input": "", "namespace": _LEFT_OUT},
    "custom_tool_call_output": {"call_id": "", "output": ""},
}
"""The members that items of a type show, each with what stands there when none is stored."""


class OpenAIItem(BaseModel):
    """An item in OpenAI's shape, for callers who send `X-Stainless-Lang`."""

    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={
            "example": {
                "id": "msg_0a1b2c3d4e5f6g7h",
                "type": "message",
                "status": "completed",
                "role": "user",
                "content": [{"type": "input_text", "text": "Hello"}],
            }
        },
    )

    id: str
    type: str
    status: str | None = None


class OpenAIItemList(BaseModel):
    """Some items of a branch in OpenAI's shape, for callers who send `X-Stainless-Lang`."""

    object: Literal["list"]
    data: list[OpenAIItem]
    first_id: str = Field(description="Empty when the page is.")
    last_id: str = Field(description="Empty when the page is; give it as `after` for the next page.")
    has_more: bool


def openai_conversation_members(conversation: Conversation) -> dict[str, Any]:
    """A conversation as it travels to callers who speak OpenAI's API: only their own metadata."""
    metadata = {name: value for name, value in conversation.metadata.items() if name != LOCK_KEY}
    return {**conversation_members(conversation), "metadata": metadata}


def openai_item_list(page: ItemPage) -> dict[str, Any]:
    """Some items as they travel to callers who speak OpenAI's API."""
    return {
        "object": "list",
        "data": [openai_item_members(item) for item in page.items],
        "first_id": page.items[0].public_id if page.items else "",
        "last_id": page.items[-1].public_id if page.items else "",
        "has_more": page.has_more,
    }


def openai_item_members(item: Item) -> dict[str, Any]:
    """An item as it travels to callers who speak OpenAI's API."""
    kind = _shown_type(item)
    members: dict[str, Any] = {"id": item.public_id, "type": kind}
    if status := _status(item, kind):
        members["status"] = status
    given = item.details | {"call_id": item.call_id}
    for name, otherwise in _MEMBERS[kind].items():
        value = given.get(name)
        if value is None:
            value = otherwise
        if value is not _LEFT_OUT:
            members[name] = value
    if kind in _COMPLETIONS:
        _COMPLETIONS[kind](members, item)
    return members


def _shown_type(item: Item) -> str:
    if item.type == "message" and item.role == "tool":
        return "function_call_output"
    # What a chat asked for is an open `mcp_call`, whoever has the tool; OpenAI's own have no call id.
    if item.type == "mcp_call" and item.call_id and item.status == "in_progress":
        return "function_call"
    return _RENAMED.get(item.type, item.type)


def _status(item: Item, kind: str) -> str:
    """The item's status as far as the type has it; empty for a type that has none."""
    allowed = _STATUSES_OF.get(kind, _BASIC)
    if not allowed:
        return ""
    if item.type == "mcp_call" and kind == "function_call":
        # It waits for its result; the call itself is whole.
        return "completed"
    given = item.status or "completed"
    # The outcome of a call may have a status in words of its own.
    nearest = given if given in allowed else _STATUSES.get(given, "completed")
    return nearest if nearest in allowed else _LAST_RESORT[kind]


def _complete_message(members: dict[str, Any], item: Item) -> None:
    members["role"] = item.role or "unknown"
    members["content"] = openai_content(item.content, item.role)


def _complete_reasoning(members: dict[str, Any], item: Item) -> None:
    if content := openai_reasoning(item.content):
        members["content"] = content


def _complete_output(members: dict[str, Any], item: Item) -> None:
    output = item.details.get("output")
    if output is None:
        members["output"] = item.text
    elif isinstance(output, Mapping):
        members["output"] = orjson.dumps(output).decode()


def _complete_shell_call(members: dict[str, Any], item: Item) -> None:
    details = item.details
    if "action" not in details:
        limit = details.get("max_output_length")
        members["action"] = {"commands": details.get("commands") or [], "max_output_length": limit}


def _complete_shell_output(members: dict[str, Any], item: Item) -> None:
    details = item.details
    if not isinstance(details.get("output"), list):
        members["output"] = details.get("shell_outputs") or []


def _complete_mcp_call(members: dict[str, Any], item: Item) -> None:
    if isinstance(error := members["error"], str):
        members["error"] = {"type": "mcp_tool_execution_error", "content": error}
    if members["output"] is not None and not isinstance(members["output"], str):
        members["output"] = orjson.dumps(members["output"]).decode()


_COMPLETIONS: Mapping[str, Callable[[dict[str, Any], Item], None]] = {
    "message": _complete_message,
    "reasoning": _complete_reasoning,
    "function_call_output": _complete_output,
    "custom_tool_call_output": _complete_output,
    "shell_call": _complete_shell_call,
    "shell_call_output": _complete_shell_output,
    "mcp_call": _complete_mcp_call,
}
"""What is done further for some types."""
