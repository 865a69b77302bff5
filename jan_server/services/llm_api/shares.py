"""Shares: public links that show what a conversation was when they were made.

Source: contract/llm-api.md, section 15.
"""

from __future__ import annotations

import re
import secrets
import string
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import orjson
from sqlalchemy import ColumnElement, insert, select
from sqlmodel.ext.asyncio.session import AsyncSession

from jan_server.database.statements import execute
from jan_server.http.ids import is_public_id, public_id
from jan_server.services.llm_api.conversations import Conversation, lock_conversation
from jan_server.services.llm_api.refusals import Invalid, Missing
from jan_server.services.llm_api.share_revocation import revoke_share, revoke_shares_of_conversation
from jan_server.services.llm_api.share_snapshots import SharedPart, Snapshot, take_snapshot
from jan_server.services.llm_api.tables import now
from jan_server.services.llm_api.tables.share import SHARES

NEWEST = 20
"""How many shares a list shows."""

SLUG_LENGTH = 22

_SLUG_CHARACTERS = string.digits + string.ascii_letters
_SLUG = re.compile(rf"[0-9A-Za-z]{{{SLUG_LENGTH}}}\Z")


@dataclass(frozen=True, slots=True)
class Share:
    """A share as its owner sees it.

    Attributes:
        id: The key of its row; `public_id` is what its owner sees.
        slug: The secret part of the link.
        item_public_id: The shared answer; None where the whole conversation is shared.
        options: The switches that were set when it was made.
        revoked_at: Since when the link shows nothing; None while it works.
    """

    id: int
    public_id: str
    slug: str
    item_public_id: str | None
    title: str
    visibility: str
    options: Mapping[str, bool]
    view_count: int
    snapshot_version: int
    created_at: datetime
    updated_at: datetime
    revoked_at: datetime | None
    last_viewed_at: datetime | None


@dataclass(frozen=True, slots=True)
class PublicShare:
    """A share as the public sees it.

    Attributes:
        id: The key of its row.
        snapshot_json: The snapshot as JSON text.
    """

    id: int
    slug: str
    title: str
    created_at: datetime
    snapshot_json: str


_COLUMNS = (
    SHARES.c.id,
    SHARES.c.public_id,
    SHARES.c.slug,
    SHARES.c.item_public_id,
    SHARES.c.title,
    SHARES.c.visibility,
    SHARES.c.share_options,
    SHARES.c.view_count,
    SHARES.c.snapshot_version,
    SHARES.c.created_at,
    SHARES.c.updated_at,
    SHARES.c.revoked_at,
    SHARES.c.last_viewed_at,
)
_PUBLIC_COLUMNS = (SHARES.c.id, SHARES.c.slug, SHARES.c.title, SHARES.c.created_at, SHARES.c.snapshot)


def is_slug(text: str) -> bool:
    """Whether `text` has the form of a slug: 22 letters and digits."""
    return _SLUG.match(text) is not None


async def create_share(session: AsyncSession, conversation: Conversation, part: SharedPart) -> Share:
    """Share a part of a conversation; the link that showed it before stops working with this one.

    When it is refused, the earlier link goes on.

    Raises:
        Invalid: The part cannot be shared (see `take_snapshot`).
        Missing: It is not there, or the conversation was deleted in the meantime.
    """
    conversation = await lock_conversation(session, conversation)
    snapshot = await take_snapshot(session, conversation, part)
    await revoke_shares_of_conversation(session, conversation.id)
    moment = now()
    options = {
        "include_images": part.include_images,
        "include_context_messages": part.include_context_messages,
    }
    statement = (
        insert(SHARES)
        .values(
            public_id=public_id("shr"),
            slug="".join(secrets.choice(_SLUG_CHARACTERS) for _ in range(SLUG_LENGTH)),
            conversation_id=conversation.id,
            user_id=conversation.user_id,
            item_public_id=part.item_id,
            title=snapshot.title,
            snapshot=_snapshot_json(snapshot, moment),
            share_options={name: True for name, chosen in options.items() if chosen},
            created_at=moment,
            updated_at=moment,
        )
        .returning(*_COLUMNS)
    )
    return Share(*(await execute(session, statement)).one())


async def list_shares(
    session: AsyncSession,
    user_id: int,
    conversation: Conversation | None = None,
    *,
    include_revoked: bool = True,
) -> list[Share]:
    """The newest 20 shares of a user, of one conversation or of all; the newest first."""
    condition = SHARES.c.user_id == user_id
    if conversation is not None:
        condition &= SHARES.c.conversation_id == conversation.id
    if not include_revoked:
        condition &= SHARES.c.revoked_at.is_(None)
    statement = select(*_COLUMNS).where(condition).order_by(SHARES.c.id.desc()).limit(NEWEST)
    return [Share(*row) for row in (await execute(session, statement)).all()]


async def end_share(
    session: AsyncSession, user_id: int, share_id: str, conversation: Conversation | None = None
) -> None:
    """Make a link stop working.

    Args:
        session: The open transaction.
        user_id: The key of the owner's row.
        share_id: The public id of the share.
        conversation: Where it has to belong to; anywhere by default.

    Raises:
        Missing: It is unknown, another user's, or of another conversation.
        Invalid: It was revoked before.
    """
    if not is_public_id("shr", share_id):
        raise Missing("share not found", param="share")
    condition: ColumnElement[bool] = (SHARES.c.public_id == share_id) & (SHARES.c.user_id == user_id)
    if conversation is not None:
        condition &= SHARES.c.conversation_id == conversation.id
    key: int | None = (await execute(session, select(SHARES.c.id).where(condition))).scalar_one_or_none()
    if key is None:
        raise Missing("share not found", param="share")
    if not await revoke_share(session, key):
        raise Invalid("share is already revoked", param="share")


async def find_public_share(session: AsyncSession, slug: str) -> PublicShare | None:
    """What a link shows; None once it is revoked, and for a slug that never was."""
    statement = select(*_PUBLIC_COLUMNS).where(SHARES.c.slug == slug, SHARES.c.revoked_at.is_(None))
    row = (await execute(session, statement)).one_or_none()
    return None if row is None else PublicShare(*row)


def _snapshot_json(snapshot: Snapshot, moment: datetime) -> str:
    members: dict[str, object] = {"title": snapshot.title}
    if snapshot.model_name:
        members["model_name"] = snapshot.model_name
    if snapshot.assistant_name:
        members["assistant_name"] = snapshot.assistant_name
    members["created_at"] = int(moment.timestamp())
    members["items"] = snapshot.items
    return orjson.dumps(members).decode()
