"""The input of a response as items: a text, an item or a list of items, each given an id.

Source: OpenAI API reference, "Create a model response" (input); Open Responses, "Items";
contract/response-api.md, section 3 ("Input normalisation").
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from jan_server.http.errors import invalid_request
from jan_server.http.ids import public_id

ROLES = frozenset({"user", "assistant", "system", "developer"})

PREFIXES: Mapping[str, str] = {
    "message": "msg",
    "function_call": "fc",
    "function_call_output": "fco",
    "reasoning": "rs",
    "mcp_call": "mcp",
    "mcp_list_tools": "mcpl",
    "mcp_approval_request": "mcpr",
    "mcp_approval_response": "mcpa",
    "web_search_call": "ws",
    "file_search_call": "fs",
    "code_interpreter_call": "ci",
    "compaction": "cmp",
    "item_reference": "ref",
}
"""How the ids of items begin, by their type."""

_PARTS = frozenset(
    {
        "input_text",
        "input_image",
        "input_file",
        "input_audio",
        "output_text",
        "refusal",
        "text",
        "summary_text",
        "reasoning_text",
        "image_url",
    }
)
_NEEDED: Mapping[str, tuple[str, ...]] = {
    "function_call": ("call_id", "name", "arguments"),
    "function_call_output": ("call_id", "output"),
    "mcp_approval_response": ("approval_request_id", "approve"),
    "item_reference": ("id",),
}


def item_id(kind: str) -> str:
    """A new id for an item of this type."""
    return public_id(PREFIXES.get(kind, "item"), 24)


def input_items(value: Any) -> list[dict[str, Any]]:
    """The input as items; a missing one is none.

    Raises:
        ApiError: 400 that names the item at fault.
    """
    if value is None:
        return []
    if isinstance(value, str):
        return [_message("user", value.strip())]
    if isinstance(value, dict):
        return [_item(value, "input")]
    if isinstance(value, list):
        return [_item(each, f"input[{index}]") for index, each in enumerate(value)]
    return [_message("user", orjson.dumps(value).decode())]


def _item(value: Any, place: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise invalid_request(
            f"`{place}` must be an object: input items must be objects with role/content", param=place
        )
    kind = value.get("type")
    if kind is None:
        kind = "item_reference" if value.keys() == {"id"} else "message"
    if not isinstance(kind, str):
        raise invalid_request(f"`{place}.type` must be a text", param=f"{place}.type")
    if kind == "message":
        return _given_message(value, place)
    if kind not in PREFIXES:
        known = ", ".join(sorted(PREFIXES))
        raise invalid_request(f"`{place}.type` must be one of {known}", param=f"{place}.type")
    for name in _NEEDED.get(kind, ()):
        if value.get(name) is None:
            raise invalid_request(f"`{place}.{name}` is missing", param=f"{place}.{name}")
    if kind == "function_call" and not isinstance(value["arguments"], str):
        value = {**value, "arguments": orjson.dumps(value["arguments"]).decode()}
    if kind == "item_reference" and not isinstance(value["id"], str):
        raise invalid_request(f"`{place}.id` must be a text", param=f"{place}.id")
    given = value.get("id")
    return {**value, "type": kind, "id": given if isinstance(given, str) and given else item_id(kind)}


def _given_message(value: dict[str, Any], place: str) -> dict[str, Any]:
    role = value.get("role", "user")
    if role not in ROLES:
        raise invalid_request(
            f"`{place}.role` must be user, assistant, system or developer", param=f"{place}.role"
        )
    content = value.get("content", value.get("text"))
    if content is None:
        raise invalid_request(
            f"`{place}.content` is missing: input item missing content", param=f"{place}.content"
        )
    made = _message(role, _content(content, role, f"{place}.content"))
    given = value.get("id")
    if isinstance(given, str) and given:
        made["id"] = given
    if value.get("phase") is not None:
        made["phase"] = value["phase"]
    return made


def _content(content: Any, role: str, place: str) -> str | list[dict[str, Any]]:
    if isinstance(content, str):
        return content
    if isinstance(content, dict):
        text = content.get("text")
        return text if isinstance(text, str) else orjson.dumps(content).decode()
    if not isinstance(content, list):
        return orjson.dumps(content).decode()
    for index, part in enumerate(content):
        if not isinstance(part, dict) or part.get("type") not in _PARTS:
            known = ", ".join(sorted(_PARTS))
            raise invalid_request(
                f"`{place}[{index}].type` must be one of {known}", param=f"{place}[{index}].type"
            )
    return content


def _message(role: str, content: str | list[dict[str, Any]]) -> dict[str, Any]:
    if isinstance(content, str):
        content = [text_part(role, content)]
    return {
        "type": "message",
        "id": item_id("message"),
        "status": "completed",
        "role": role,
        "content": content,
    }


def text_part(role: str, text: str) -> dict[str, Any]:
    """A text as a part of a message of this role."""
    if role == "assistant":
        return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    return {"type": "input_text", "text": text}
