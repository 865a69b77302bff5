"""What travels on the routes of shares (contract/llm-api.md, section 15)."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from jan_server.services.llm_api.refusals import Invalid
from jan_server.services.llm_api.schemas.plain_text import PlainText
from jan_server.services.llm_api.share_snapshots import SharedPart
from jan_server.services.llm_api.shares import PublicShare, Share

PUBLIC_PATH = "/v1/public/shares/"
MAXIMUM_TITLE = 256


class NewShare(BaseModel):
    """What to share of a conversation."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"scope": "conversation", "title": "Trip plan", "include_images": True}}
    )

    scope: Literal["conversation", "item"]
    item_id: str | None = Field(None, description="The answer to share; scope `item` needs it.")
    title: Annotated[PlainText, StringConstraints(strip_whitespace=True, max_length=MAXIMUM_TITLE)] | None = (
        Field(None, description="The conversation's title by default, else the beginning of its first text.")
    )
    include_images: bool | None = None
    include_context_messages: bool | None = Field(
        None, description="With scope `item`: also the nearest earlier message of the user."
    )
    branch: str | None = Field(None, description="The active branch by default.")


class ShareOptions(BaseModel):
    """The switches that were set; the others are left out."""

    include_images: bool | None = None
    include_context_messages: bool | None = None


class ShareObject(BaseModel):
    """A share. `share_options` is left out of reads when no switch was set."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "id": "shr_0a1b2c3d4e5f6g7h",
                "object": "share",
                "slug": "0a1B2c3D4e5F6g7H8i9J0k",
                "share_url": "https://jan.example.com/v1/public/shares/0a1B2c3D4e5F6g7H8i9J0k",
                "title": "Trip plan",
                "visibility": "unlisted",
                "view_count": 0,
                "snapshot_version": 1,
                "share_options": {"include_images": True},
                "created_at": 1730000000,
                "updated_at": 1730000000,
            }
        }
    )

    id: str
    object: Literal["share"]
    slug: str
    share_url: str
    title: str
    item_id: str | None = None
    visibility: str
    view_count: int = Field(description="Written a moment after a view.")
    snapshot_version: int
    share_options: ShareOptions | None = None
    created_at: int = Field(description="Unix seconds.")
    updated_at: int = Field(description="Unix seconds.")
    revoked_at: int | None = Field(None, description="Unix seconds.")
    last_viewed_at: int | None = Field(None, description="Unix seconds.")


class ShareList(BaseModel):
    """The newest 20 shares."""

    object: Literal["list"]
    data: list[ShareObject]


class ShareDeleted(BaseModel):
    """A link stopped working."""

    id: str
    object: Literal["share.deleted"]
    deleted: Literal[True]


class SnapshotItem(BaseModel):
    """An item as the public sees it."""

    id: str
    type: str
    role: str
    content: list[dict[str, Any]]
    call_id: str | None = Field(None, description="On items of role tool.")
    created_at: int = Field(description="Unix seconds.")


class SnapshotObject(BaseModel):
    """What a link shows."""

    title: str
    model_name: str | None = None
    assistant_name: str | None = None
    created_at: int = Field(description="When it was taken, in Unix seconds.")
    items: list[SnapshotItem]


class PublicShareObject(BaseModel):
    """A shared conversation."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "object": "public_share",
                "slug": "0a1B2c3D4e5F6g7H8i9J0k",
                "title": "Trip plan",
                "created_at": 1730000000,
                "snapshot": {
                    "title": "Trip plan",
                    "model_name": "jan-v2-30b",
                    "created_at": 1730000000,
                    "items": [
                        {
                            "id": "msg_0a1b2c3d4e5f6g7h",
                            "type": "message",
                            "role": "assistant",
                            "content": [{"type": "text", "text": "To Lisbon."}],
                            "created_at": 1730000001,
                        }
                    ],
                },
            }
        }
    )

    object: Literal["public_share"]
    slug: str
    title: str
    created_at: int = Field(description="Unix seconds.")
    snapshot: SnapshotObject


def shared_part(body: NewShare, branch: str | None) -> SharedPart:
    """What a caller wants to share.

    Args:
        body: The wish.
        branch: The branch that the query names, which wins over the body's.

    Raises:
        Invalid: Scope `item` without an item.
    """
    if body.scope == "item" and not body.item_id:
        raise Invalid("item_id is required for scope item", param="item_id", code="share-item-001")
    return SharedPart(
        item_id=body.item_id if body.scope == "item" else None,
        branch=branch or body.branch,
        title=body.title or None,
        include_images=bool(body.include_images),
        include_context_messages=bool(body.include_context_messages),
    )


def share_members(share: Share, origin: str) -> dict[str, Any]:
    """A share as it travels.

    Args:
        share: The share.
        origin: Scheme and authority under which the caller reaches the platform.
    """
    members: dict[str, Any] = {
        "id": share.public_id,
        "object": "share",
        "slug": share.slug,
        "share_url": f"{origin}{PUBLIC_PATH}{share.slug}",
        "title": share.title,
    }
    if share.item_public_id:
        members["item_id"] = share.item_public_id
    members["visibility"] = share.visibility
    members["view_count"] = share.view_count
    members["snapshot_version"] = share.snapshot_version
    if share.options:
        members["share_options"] = share.options
    members["created_at"] = int(share.created_at.timestamp())
    members["updated_at"] = int(share.updated_at.timestamp())
    if share.revoked_at is not None:
        members["revoked_at"] = int(share.revoked_at.timestamp())
    if share.last_viewed_at is not None:
        members["last_viewed_at"] = int(share.last_viewed_at.timestamp())
    return members


def share_list(shares: list[Share], origin: str) -> dict[str, Any]:
    """Some shares as they travel; `origin` as in `share_members`."""
    return {"object": "list", "data": [share_members(share, origin) for share in shares]}


def public_share_members(share: PublicShare) -> dict[str, Any]:
    """A share as the public sees it."""
    return {
        "object": "public_share",
        "slug": share.slug,
        "title": share.title,
        "created_at": int(share.created_at.timestamp()),
        "snapshot": orjson.Fragment(share.snapshot_json),
    }
