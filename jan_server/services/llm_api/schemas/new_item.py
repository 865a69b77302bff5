"""Items as callers write them: what each may hold, checked and made ready to be stored.

Members are those of the contract, and for the types that OpenAI's Conversations API knows also its own.

Source: contract/llm-api.md, section 12.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import orjson
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from jan_server.http.ids import is_public_id
from jan_server.services.llm_api.item_content import (
    parse_content,
    parse_tool_calls,
    tool_calls_block,
    tool_calls_of,
)
from jan_server.services.llm_api.items import NewItem
from jan_server.services.llm_api.refusals import Invalid

MAXIMUM_ITEMS = 20
MAXIMUM_ID = 50

TYPES = frozenset(
    {
        "message",
        "function_call",
        "function_call_output",
        "reasoning",
        "file_search_call",
        "web_search_call",
        "image_generation_call",
        "image_edit_call",
        "computer_call",
        "computer_call_output",
        "code_interpreter_call",
        "local_shell_call",
        "local_shell_call_output",
        "shell_call",
        "shell_call_output",
        "apply_patch_call",
        "apply_patch_call_output",
        "mcp_list_tools",
        "mcp_approval_request",
        "mcp_approval_response",
        "mcp_call",
        "custom_tool_call",
        "custom_tool_call_output",
        "file_search",
        "web_search",
        "code_interpreter",
        "computer_use",
        "mcp_item",
        "image_generation",
    }
)
ROLES = frozenset(
    {
        "system",
        "user",
        "assistant",
        "tool",
        "developer",
        "critic",
        "discriminator",
        "unknown",
    }
)
STATUSES = frozenset(
    {
        "incomplete",
        "in_progress",
        "completed",
        "failed",
        "cancelled",
        "searching",
        "generating",
        "calling",
        "streaming",
        "rate_limited",
    }
)

_TEXT = (str,)
_OBJECT = (dict,)
_LIST = (list,)

DETAILS: Mapping[str, tuple[type, ...]] = {
    "name": _TEXT,
    "server_label": _TEXT,
    "approval_request_id": _TEXT,
    "arguments": _TEXT,
    "output": (str, list, dict),
    "error": (str, dict),
    "reason": _TEXT,
    "action": _OBJECT,
    "operation": _OBJECT,
    "incomplete_details": _OBJECT,
    "tools": _LIST,
    "pending_safety_checks": _LIST,
    "acknowledged_safety_checks": _LIST,
    "commands": _LIST,
    "shell_outputs": _LIST,
    "approve": (bool,),
    "max_output_length": (int,),
}
"""The members that only some types of item have, and the JSON types that each may take."""

FURTHER_DETAILS: Mapping[str, Mapping[str, tuple[type, ...]]] = {
    "message": {"phase": _TEXT},
    "function_call": {"namespace": _TEXT},
    "function_call_output": {"namespace": _TEXT},
    "custom_tool_call": {"input": _TEXT, "namespace": _TEXT},
    "reasoning": {"summary": _LIST, "encrypted_content": _TEXT},
    "file_search_call": {"queries": _LIST, "results": _LIST},
    "image_generation_call": {
        "action": (str, dict),
        "background": _TEXT,
        "output_format": _TEXT,
        "quality": _TEXT,
        "result": _TEXT,
        "revised_prompt": _TEXT,
        "size": _TEXT,
    },
    "code_interpreter_call": {"code": _TEXT, "container_id": _TEXT, "outputs": _LIST},
    "computer_call": {"actions": _LIST},
    "shell_call": {"environment": _OBJECT},
}
"""The members that OpenAI's items of a type have beside, and the JSON types that each may take."""

_JSON_NAMES = {str: "a text", list: "a list", dict: "an object", bool: "true or false", int: "a whole number"}

_TIME = TypeAdapter(datetime)
# Within these years a moment has a place in every time zone, and in PostgreSQL.
_YEARS = range(1970, 9999)


class NewItems(BaseModel):
    """Items to append, at most 20."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "items": [
                    {
                        "type": "message",
                        "role": "user",
                        "content": [{"type": "input_text", "text": "Where shall we go?"}],
                    }
                ]
            }
        }
    )

    items: list[Any]


def new_items(values: Sequence[Any], *, foreign_ids: bool = False) -> list[NewItem]:
    """The items that a caller wants to append.

    Args:
        values: The items as they came.
        foreign_ids: Whether an id in somebody else's form, such as OpenAI's `fc_…`, is replaced by a
            new one instead of being refused.

    Raises:
        Invalid: There are too many, or one breaks a rule; `param` names the member, `code` the item.
    """
    if len(values) > MAXIMUM_ITEMS:
        raise Invalid(
            f"at most {MAXIMUM_ITEMS} items at once, not {len(values)}", param="items", code="items"
        )
    return [_new_item(value, f"items[{place}]", foreign_ids) for place, value in enumerate(values)]


def _new_item(value: Any, path: str, foreign_ids: bool) -> NewItem:
    try:
        return _parse_item(value, path, foreign_ids)
    except Invalid as failure:
        raise Invalid(failure.message, param=failure.param, code=path) from failure


def _parse_item(value: Any, path: str, foreign_ids: bool) -> NewItem:
    if not isinstance(value, dict):
        raise Invalid(f"{path} must be an object", param=path)
    try:
        orjson.dumps(value)
    except TypeError as failure:
        raise Invalid(f"{path} is nested too deeply", param=path) from failure
    kind = _word(value, "type", TYPES, path) or "message"
    role = _word(value, "role", ROLES, path)
    content = parse_content(value.get("content"), path=f"{path}.content", role=role)
    if (calls := value.get("tool_calls")) is not None and not tool_calls_of(content or ()):
        block = tool_calls_block(parse_tool_calls(calls, path=f"{path}.tool_calls"))
        content = [*(content or ()), block]
    return NewItem(
        type=kind,
        role=role,
        content=content,
        status=_word(value, "status", STATUSES, path) or "completed",
        call_id=_call_id(value, path),
        id=_id(value, path, foreign_ids),
        created_at=_time(value, "created_at", path),
        completed_at=_time(value, "completed_at", path),
        incomplete_at=_time(value, "incomplete_at", path),
        details=_details(value, kind, path),
    )


def _word(value: Mapping[str, Any], member: str, allowed: frozenset[str], path: str) -> str | None:
    given = value.get(member)
    if given is None:
        return None
    if not isinstance(given, str) or given not in allowed:
        where = f"{path}.{member}"
        raise Invalid(f"{where} must be one of {', '.join(sorted(allowed))}", param=where)
    return given


def _id(value: Mapping[str, Any], path: str, foreign_ids: bool) -> str | None:
    given = value.get("id")
    if given is None or given == "":
        return None
    if not isinstance(given, str) or not is_public_id("msg", given) or len(given) > MAXIMUM_ID:
        if foreign_ids and isinstance(given, str):
            return None
        where = f"{path}.id"
        raise Invalid(
            f"{where} must be msg_ and digits or small letters, at most {MAXIMUM_ID} characters", param=where
        )
    return given


def _call_id(value: Mapping[str, Any], path: str) -> str | None:
    for member in ("call_id", "tool_call_id"):
        given = value.get(member)
        if given is None or given == "":
            continue
        if not isinstance(given, str) or "\0" in given:
            where = f"{path}.{member}"
            raise Invalid(f"{where} must be a text without NUL characters", param=where)
        return given
    return None


def _time(value: Mapping[str, Any], member: str, path: str) -> datetime | None:
    given = value.get(member)
    if given is None:
        return None
    try:
        if isinstance(given, bool):
            raise ValueError(given)
        moment = _TIME.validate_python(given)
        if moment.year not in _YEARS:
            raise ValueError(given)
    except (ValidationError, ValueError) as failure:
        where = f"{path}.{member}"
        raise Invalid(f"{where} must be an RFC 3339 time or Unix seconds", param=where) from failure
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _details(value: Mapping[str, Any], kind: str, path: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for member, types in {**DETAILS, **FURTHER_DETAILS.get(kind, {})}.items():
        given = value.get(member)
        if given is None:
            continue
        # A boolean is an integer to Python, yet not to JSON.
        if not isinstance(given, types) or (isinstance(given, bool) and bool not in types):
            where = f"{path}.{member}"
            names = " or ".join(_JSON_NAMES[kind] for kind in types)
            raise Invalid(f"{where} must be {names}", param=where)
        found[member] = given
    return found
