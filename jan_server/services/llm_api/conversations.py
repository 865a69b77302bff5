"""Conversations: finding, listing, making, changing and deleting them.

Source: contract/llm-api.md, section 11.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import bindparam, func, insert, literal, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from jan_server.database.statements import execute
from jan_server.http.ids import is_public_id, public_id
from jan_server.http.pagination import PageRequest
from jan_server.services.llm_api.metrics import CONVERSATIONS_CREATED
from jan_server.services.llm_api.pages import Page, read_page
from jan_server.services.llm_api.projects import find_project
from jan_server.services.llm_api.refusals import Invalid, Missing
from jan_server.services.llm_api.share_revocation import revoke_shares_of_deleted_conversations
from jan_server.services.llm_api.tables.branch import BRANCHES
from jan_server.services.llm_api.tables.conversation import CONVERSATIONS
from jan_server.services.llm_api.titles import LOCK_KEY, UNTITLED, clean_title

MAIN = "MAIN"
"""The branch that every conversation has from its first moment."""

_BRANCH_NAME = re.compile(r"[^\x00-\x1f\x7f/]{1,50}\Z")
_LOCKED = "true"
_UNLOCKED = "false"


@dataclass(frozen=True, slots=True)
class Conversation:
    """A conversation as it was when it was read.

    Attributes:
        id: The key of its row; `public_id` is what clients see.
        metadata: The client's map, `title_locked` included.
        project_id: The key of its project's row; `project_public_id` is what clients see.
        active_branch: The name of the branch that reads and writes go to by default.
    """

    id: int
    public_id: str
    user_id: int
    title: str | None
    metadata: Mapping[str, str]
    referrer: str | None
    project_id: int | None
    project_public_id: str | None
    active_branch: str
    created_at: datetime
    updated_at: datetime


_COLUMNS = (
    CONVERSATIONS.c.id,
    CONVERSATIONS.c.public_id,
    CONVERSATIONS.c.user_id,
    CONVERSATIONS.c.title,
    CONVERSATIONS.c.metadata,
    CONVERSATIONS.c.referrer,
    CONVERSATIONS.c.project_id,
    CONVERSATIONS.c.project_public_id,
    CONVERSATIONS.c.active_branch,
    CONVERSATIONS.c.created_at,
    CONVERSATIONS.c.updated_at,
)

_ALIVE = CONVERSATIONS.c.deleted_at.is_(None)

_MADE = (
    insert(CONVERSATIONS)
    .values(
        **{
            name: bindparam(f"new_{name}", type_=CONVERSATIONS.c[name].type)
            for name in (
                "public_id",
                "user_id",
                "title",
                "metadata",
                "referrer",
                "project_id",
                "project_public_id",
            )
        },
        # The database's clock alone decides the order of the list, whichever process writes.
        created_at=func.statement_timestamp(),
        updated_at=func.statement_timestamp(),
    )
    .returning(*_COLUMNS)
    .cte("made")
)
_CREATE = select(_MADE).add_cte(
    insert(BRANCHES)
    .from_select(["conversation_id", "name"], select(_MADE.c.id, literal(MAIN)), include_defaults=False)
    .cte("branch")
)
# Made once: telling that a statement made anew is the same costs as much as running it.
_FIND = select(*_COLUMNS).where(
    CONVERSATIONS.c.public_id == bindparam("conv_id"),
    CONVERSATIONS.c.user_id == bindparam("user_id"),
    _ALIVE,
)


def branch_name(name: str) -> str | None:
    """`name` as branches are called, `main` in any letter case being `MAIN`; None when none can be called so.

    A name has 1 to 50 characters, none of them a slash or a control character.
    """
    if name.upper() == MAIN:
        return MAIN
    return name if _BRANCH_NAME.match(name) else None


async def find_conversation(session: AsyncSession, user_id: int, conv_id: str) -> Conversation:
    """The user's conversation with this public id.

    Raises:
        Invalid: It has not the form of a conversation id.
        Missing: It is unknown, deleted or another user's.
    """
    if not is_public_id("conv", conv_id):
        raise Invalid("invalid conversation ID", param="conversation")
    row = (await execute(session, _FIND, {"conv_id": conv_id, "user_id": user_id})).one_or_none()
    if row is None:
        raise _missing()
    return Conversation(*row)


async def lock_conversation(session: AsyncSession, conversation: Conversation) -> Conversation:
    """The conversation as it is now, held against every other change until the transaction ends.

    Whoever changes a conversation, its branches or its items locks its row first, so that
    nobody waits for the other in a circle.

    Raises:
        Missing: It was deleted in the meantime.
    """
    statement = select(*_COLUMNS).where(CONVERSATIONS.c.id == conversation.id, _ALIVE)
    row = (await execute(session, statement.with_for_update())).one_or_none()
    if row is None:
        raise _missing()
    return Conversation(*row)


async def list_conversations(
    session: AsyncSession,
    user_id: int,
    page: PageRequest,
    *,
    referrer: str | None = None,
    project_id: str | None = None,
) -> Page[Conversation]:
    """The user's conversations by their last change.

    Args:
        session: The open transaction.
        user_id: The key of the user's row.
        page: Which page.
        referrer: Only those with this referrer.
        project_id: Only those in the project with this public id; an unknown one has none.

    Raises:
        Invalid: `page.after` leads nowhere.
    """
    condition = (CONVERSATIONS.c.user_id == user_id) & _ALIVE
    if referrer is not None:
        condition &= CONVERSATIONS.c.referrer == referrer
    if project_id is not None:
        condition &= CONVERSATIONS.c.project_public_id == project_id
    return await read_page(
        session,
        CONVERSATIONS,
        _COLUMNS,
        Conversation,
        condition,
        page,
        user_id=user_id,
        bad_cursor="invalid offset number",
    )


async def create_conversation(
    session: AsyncSession,
    user_id: int,
    *,
    title: str | None = None,
    metadata: Mapping[str, str] | None = None,
    referrer: str | None = None,
    project_id: str | None = None,
    conv_id: str | None = None,
) -> Conversation:
    """Make a conversation with its branch `MAIN`.

    Args:
        session: The open transaction.
        user_id: The key of the owner's row.
        title: Cleaned here; `New Conversation` counts as none.
        metadata: The client's map; `title_locked` is added to it.
        referrer: Where the conversation came from.
        project_id: The public id of a project of the same user.
        conv_id: Its public id, where somebody was told it before; by default a new one.

    Raises:
        Invalid: `project_id` has not the form of a project id.
        Missing: There is no such project.
    """
    project = await find_project(session, user_id, project_id) if project_id else None
    title = clean_title(title or "")
    values = {
        "new_public_id": conv_id or public_id("conv"),
        "new_user_id": user_id,
        "new_title": None if title == UNTITLED else title or None,
        "new_metadata": {LOCK_KEY: _UNLOCKED, **(metadata or {})},
        "new_referrer": referrer,
        "new_project_id": project.id if project else None,
        "new_project_public_id": project.public_id if project else None,
    }
    row = (await execute(session, _CREATE, values)).one()
    CONVERSATIONS_CREATED.inc()
    return Conversation(*row)


async def update_conversation(
    session: AsyncSession,
    conversation: Conversation,
    *,
    title: str | None = None,
    metadata: Mapping[str, str] | None = None,
    referrer: str | None = None,
    project_id: str | None = None,
) -> Conversation:
    """Change what is given and keep the rest.

    Args:
        session: The open transaction.
        conversation: Which one.
        title: Cleaned here; an empty one is ignored. A title that is given is locked, so that
            no chat changes it later (`title_locked` becomes `"true"`).
        metadata: Replaces the whole map but for `title_locked`, which stays unless it is given.
        referrer: The new referrer.
        project_id: The public id of a project of the same user; an empty text detaches.

    Raises:
        Invalid: `project_id` has not the form of a project id.
        Missing: There is no such project, or the conversation was deleted in the meantime.
    """
    conversation = await lock_conversation(session, conversation)
    values: dict[str, object] = {}
    labels = dict(conversation.metadata)
    if metadata is not None:
        labels = {LOCK_KEY: labels.get(LOCK_KEY, _UNLOCKED), **metadata}
    if title := clean_title(title or ""):
        values["title"] = title
        labels[LOCK_KEY] = _LOCKED
    if labels != conversation.metadata:
        values["metadata"] = labels
    if referrer is not None:
        values["referrer"] = referrer
    if project_id is not None:
        project = await find_project(session, conversation.user_id, project_id) if project_id else None
        values["project_id"] = project.id if project else None
        values["project_public_id"] = project.public_id if project else None
    if not values:
        return conversation
    return await _write(session, conversation, values)


async def activate(session: AsyncSession, conversation: Conversation, branch: str) -> Conversation:
    """Make `branch`, which has to exist, the one that reads and writes go to by default."""
    return await _write(session, conversation, {"active_branch": branch})


async def touch_conversation(session: AsyncSession, conversation: Conversation) -> Conversation:
    """Note that something in a conversation changed; `Missing` when it was deleted in the meantime."""
    return await _write(session, conversation, {})


async def delete_conversation(session: AsyncSession, conversation: Conversation) -> None:
    """Delete a conversation and revoke what is shared of it; `Missing` when it is gone already."""
    if await _delete(session, conversation.user_id, conversation.id) == 0:
        raise _missing()


async def delete_conversations(session: AsyncSession, user_id: int) -> int:
    """Delete all conversations of a user and revoke their shares; returns how many there were."""
    return await _delete(session, user_id)


async def _delete(session: AsyncSession, user_id: int, conversation_id: int | None = None) -> int:
    which = (CONVERSATIONS.c.user_id == user_id) & _ALIVE
    if conversation_id is not None:
        which &= CONVERSATIONS.c.id == conversation_id
    gone = (
        update(CONVERSATIONS)
        .where(which)
        # The time of the last change stays: it is where a walk through the list goes on.
        .values(deleted_at=func.clock_timestamp(), updated_at=CONVERSATIONS.c.updated_at)
        .returning(CONVERSATIONS.c.id)
        .cte("gone")
    )
    count = int((await execute(session, select(func.count()).select_from(gone))).scalar_one())
    if count:
        await revoke_shares_of_deleted_conversations(session, user_id)
    return count


async def _write(
    session: AsyncSession, conversation: Conversation, values: Mapping[str, object]
) -> Conversation:
    statement = (
        update(CONVERSATIONS)
        .where(CONVERSATIONS.c.id == conversation.id, _ALIVE)
        .values(**values, updated_at=func.clock_timestamp())
        .returning(*_COLUMNS)
    )
    row = (await execute(session, statement)).one_or_none()
    if row is None:
        raise _missing()
    return Conversation(*row)


def _missing() -> Missing:
    return Missing("conversation not found", param="conversation")
