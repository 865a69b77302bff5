"""What travels on the routes of conversations (contract/llm-api.md, section 11)."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints
from pydantic_core import PydanticCustomError

from jan_server.services.llm_api.conversations import Conversation
from jan_server.services.llm_api.pages import Page
from jan_server.services.llm_api.schemas.plain_text import PlainText

MAXIMUM_KEYS = 16
MAXIMUM_VALUE = 512

_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_]{0,63}\Z")


def _checked_metadata(metadata: dict[str, str]) -> dict[str, str]:
    if len(metadata) > MAXIMUM_KEYS:
        raise PydanticCustomError(
            "metadata_size", f"metadata may have at most {MAXIMUM_KEYS} keys, not {len(metadata)}"
        )
    for key, value in metadata.items():
        if not _KEY.match(key):
            raise PydanticCustomError(
                "metadata_key",
                "the key {key} must have 1 to 64 letters, digits and underscores, "
                "and must not begin with an underscore",
                {"key": repr(key[:64])},
            )
        if len(value) > MAXIMUM_VALUE or "\0" in value:
            raise PydanticCustomError(
                "metadata_value",
                f"the value of {{key}} must have at most {MAXIMUM_VALUE} characters, none of them NUL",
                {"key": key},
            )
    return metadata


def _not_blank(text: str) -> str:
    if not text.strip():
        raise PydanticCustomError("blank", "must not be blank")
    return text


Metadata = Annotated[
    dict[str, str],
    AfterValidator(_checked_metadata),
    Field(description="At most 16 keys of letters, digits and underscores; values are texts."),
]

Referrer = Annotated[PlainText, StringConstraints(max_length=64), AfterValidator(_not_blank)]


class NewConversation(BaseModel):
    """A wanted conversation; everything is optional."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "title": "Trip plan",
                "metadata": {"model": "jan-v2-30b"},
                "items": [
                    {
                        "type": "message",
                        "role": "user",
                        "content": [{"type": "input_text", "text": "Where shall we go?"}],
                    }
                ],
            }
        }
    )

    title: str | None = Field(None, description="Cleaned, and cut at 256 characters.")
    items: list[Any] | None = Field(None, description="At most 20 items to begin with, as in `POST …/items`.")
    metadata: Metadata | None = None
    referrer: Referrer | None = Field(None, description="Where the conversation came from.")
    project_id: str | None = Field(None, description="A project of the caller.")


class ConversationChanges(BaseModel):
    """What to change of a conversation; what is left out stays."""

    model_config = ConfigDict(json_schema_extra={"example": {"title": "Trip to Lisbon"}})

    title: str | None = Field(
        None, description="Cleaned, and locked: no chat changes it later. An empty one is ignored."
    )
    metadata: Metadata | None = Field(None, description="Replaces the whole map.")
    referrer: Referrer | None = None
    project_id: str | None = Field(None, description="A project of the caller; an empty text detaches.")


class ConversationObject(BaseModel):
    """A conversation. `title`, `metadata`, `referrer` and `project_id` are left out when empty."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "id": "conv_0a1b2c3d4e5f6g7h",
                "object": "conversation",
                "title": "Trip plan",
                "created_at": 1730000000,
                "updated_at": 1730000100,
                "metadata": {"title_locked": "false"},
            }
        }
    )

    id: str
    object: Literal["conversation"]
    title: str | None = None
    created_at: int = Field(description="Unix seconds.")
    updated_at: int = Field(description="Unix seconds.")
    metadata: dict[str, str] | None = None
    referrer: str | None = None
    project_id: str | None = None


class ConversationList(BaseModel):
    """One page of conversations."""

    object: Literal["list"]
    data: list[ConversationObject]
    first_id: str = Field(description="Empty when the page is.")
    last_id: str = Field(description="Empty when the page is; give it as `after` for the next page.")
    has_more: bool
    total: int = Field(description="How many conversations the whole list has.")
    next_cursor: str | None = Field(
        None,
        description="Give it as `after` for the next page; unlike `last_id` it holds its place even when "
        "the last conversation of this page is changed meanwhile. Left out on the last page.",
    )


class ConversationDeleted(BaseModel):
    """A conversation is gone."""

    id: str
    object: Literal["conversation.deleted"]
    deleted: Literal[True]


class ConversationsDeleted(BaseModel):
    """All conversations of the caller are gone."""

    object: Literal["conversations.deleted"]
    deleted: Literal[True]
    deleted_count: int


def conversation_members(conversation: Conversation) -> dict[str, Any]:
    """A conversation as it travels."""
    members: dict[str, Any] = {"id": conversation.public_id, "object": "conversation"}
    if conversation.title:
        members["title"] = conversation.title
    members["created_at"] = int(conversation.created_at.timestamp())
    members["updated_at"] = int(conversation.updated_at.timestamp())
    if conversation.metadata:
        members["metadata"] = conversation.metadata
    if conversation.referrer:
        members["referrer"] = conversation.referrer
    if conversation.project_public_id:
        members["project_id"] = conversation.project_public_id
    return members


def conversation_list(page: Page[Conversation]) -> dict[str, Any]:
    """A page of conversations as it travels."""
    return {
        "object": "list",
        "data": [conversation_members(conversation) for conversation in page.rows],
        "first_id": page.rows[0].public_id if page.rows else "",
        "last_id": page.rows[-1].public_id if page.rows else "",
        "has_more": page.has_more,
        "total": page.total,
        **({"next_cursor": page.next_cursor} if page.next_cursor else {}),
    }
