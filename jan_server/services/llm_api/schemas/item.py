"""What travels on the routes of items (contract/llm-api.md, section 12)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from jan_server.services.llm_api.items import Item, ItemPage
from jan_server.services.llm_api.schemas.plain_text import PlainText


class CallOutcome(BaseModel):
    """What came of a tool call."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"status": "completed", "output": "21 degrees", "name": "weather"}}
    )

    status: Annotated[PlainText, StringConstraints(min_length=1, max_length=64)]
    output: str | None = None
    error: str | None = None
    name: str | None = None
    arguments: str | None = None
    server_label: str | None = None


class ItemObject(BaseModel):
    """An item; members that only some types have are left out of the others."""

    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={
            "example": {
                "id": "msg_0a1b2c3d4e5f6g7h",
                "object": "conversation.item",
                "branch": "MAIN",
                "sequence_number": 1,
                "type": "message",
                "role": "user",
                "content": [{"type": "input_text", "input_text": "Hello"}],
                "status": "completed",
                "created_at": "2026-01-01T12:00:00Z",
            }
        },
    )

    id: str
    object: Literal["conversation.item"]
    branch: str
    sequence_number: int = Field(description="Counts from 1 without gaps within the branch.")
    type: str
    role: str | None = None
    content: list[dict[str, Any]] | None = None
    status: str | None = None
    created_at: datetime
    completed_at: datetime | None = None
    incomplete_at: datetime | None = None
    call_id: str | None = None
    tool_call_id: str | None = Field(None, description="On items of role tool: the same as `call_id`.")
    tool_calls: list[dict[str, Any]] | None = Field(
        None, description="The calls that an assistant asked for."
    )
    name: str | None = None
    server_label: str | None = None
    arguments: str | None = None
    output: Any = None
    error: Any = None


class ItemList(BaseModel):
    """Some items of a branch."""

    object: Literal["list"]
    data: list[ItemObject]
    first_id: str = Field(description="Empty when the page is.")
    last_id: str = Field(description="Empty when the page is; give it as `after` for the next page.")
    has_more: bool


def item_members(item: Item) -> dict[str, Any]:
    """An item as it travels."""
    members: dict[str, Any] = {
        "id": item.public_id,
        "object": "conversation.item",
        "branch": item.branch,
        "sequence_number": item.sequence_number,
        "type": item.type,
    }
    if item.role:
        members["role"] = item.role
    if item.content_json:
        members["content"] = orjson.Fragment(item.content_json)
    if item.status:
        members["status"] = item.status
    members["created_at"] = _rfc3339(item.created_at)
    if item.completed_at:
        members["completed_at"] = _rfc3339(item.completed_at)
    if item.incomplete_at:
        members["incomplete_at"] = _rfc3339(item.incomplete_at)
    if item.call_id:
        members["call_id"] = item.call_id
        if item.role == "tool":
            members["tool_call_id"] = item.call_id
    return members | item.details if item.details_json else members


def item_list(page: ItemPage) -> dict[str, Any]:
    """Some items as they travel."""
    return {
        "object": "list",
        "data": [item_members(item) for item in page.items],
        "first_id": page.items[0].public_id if page.items else "",
        "last_id": page.items[-1].public_id if page.items else "",
        "has_more": page.has_more,
    }


def _rfc3339(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
