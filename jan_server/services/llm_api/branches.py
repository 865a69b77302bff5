"""Branches: the lines along which a conversation went on, and the line that is active.

Source: contract/llm-api.md, section 13.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import (
    JSON,
    BigInteger,
    ColumnElement,
    and_,
    case,
    func,
    insert,
    literal,
    select,
    type_coerce,
    update,
)
from sqlmodel.ext.asyncio.session import AsyncSession

from jan_server.database.statements import execute
from jan_server.services.llm_api.conversations import (
    MAIN,
    Conversation,
    activate,
    branch_name,
    lock_conversation,
)
from jan_server.services.llm_api.items import find_item
from jan_server.services.llm_api.refusals import Conflict, Invalid, Missing
from jan_server.services.llm_api.tables.branch import BRANCHES
from jan_server.services.llm_api.tables.item import ITEMS

MAXIMUM_DESCRIPTION = 2000


@dataclass(frozen=True, slots=True)
class Branch:
    """A branch as it is stored.

    Attributes:
        id: The key of its row; clients know a branch by its name.
        forked_from_item_id: The last item that it has in common with its parent.
        item_count: How many items it has.
    """

    id: int
    name: str
    description: str | None
    parent_branch: str | None
    forked_at: datetime | None
    forked_from_item_id: str | None
    item_count: int
    created_at: datetime
    updated_at: datetime


_COLUMNS = (
    BRANCHES.c.id,
    BRANCHES.c.name,
    BRANCHES.c.description,
    BRANCHES.c.parent_branch,
    BRANCHES.c.forked_at,
    BRANCHES.c.forked_from_item_id,
    BRANCHES.c.item_count,
    BRANCHES.c.created_at,
    BRANCHES.c.updated_at,
)

# Half of a SHA-256 of a random UUID: made by the database, where a copy of many items happens.
_NEW_ITEM_ID = func.concat(
    "msg_", func.left(func.encode(func.sha256(func.uuid_send(func.gen_random_uuid())), "hex"), 16)
)

_COPIED = {
    column.name: column
    for column in ITEMS.c
    if column.name
    in {
        "conversation_id",
        "sequence_number",
        "type",
        "role",
        "status",
        "call_id",
        "created_at",
        "completed_at",
        "incomplete_at",
    }
} | {
    # As the columns are, not as the text that readers get.
    name: type_coerce(ITEMS.c[name], JSON)
    for name in ("content", "details")
}


async def list_branches(session: AsyncSession, conversation: Conversation) -> list[Branch]:
    """All branches, `MAIN` first and then in the order of their making."""
    statement = (
        select(*_COLUMNS)
        .where(BRANCHES.c.conversation_id == conversation.id, BRANCHES.c.deleted_at.is_(None))
        .order_by(case((BRANCHES.c.name == MAIN, 0), else_=1), BRANCHES.c.id)
    )
    return [Branch(*row) for row in await execute(session, statement)]


async def find_branch(
    session: AsyncSession, conversation: Conversation, name: str, *, param: str = "branch"
) -> Branch:
    """The branch of this name; `Missing` when there is none."""
    row = None
    if (known := branch_name(name)) is not None:
        statement = select(*_COLUMNS).where(_is_branch(conversation, known))
        row = (await execute(session, statement)).one_or_none()
    if row is None:
        raise Missing("branch not found", param=param)
    return Branch(*row)


async def create_branch(
    session: AsyncSession,
    conversation: Conversation,
    name: str,
    *,
    parent: str | None = None,
    fork_from_item_id: str | None = None,
    description: str | None = None,
) -> Branch:
    """Make a branch.

    Args:
        session: The open transaction.
        conversation: Where.
        name: Its name; blanks around it do not count.
        parent: The branch that it leaves; the active one by default.
        fork_from_item_id: The last item of the parent that is copied into it, under new ids; by
            default the branch starts empty.
        description: What it is for.

    Raises:
        Invalid: The name cannot be used, or the item's id has not the form of one.
        Missing: There is no such parent, or it has no such item.
        Conflict: There is a branch of this name.
    """
    wanted = branch_name(name.strip())
    if wanted == MAIN:
        raise Invalid("MAIN is always there; choose another name", param="name")
    if wanted is None or not wanted.isprintable():
        raise Invalid("name must have 1 to 50 printable characters, none of them a slash", param="name")
    conversation = await lock_conversation(session, conversation)
    source = await find_branch(
        session, conversation, parent or conversation.active_branch, param="parent_branch"
    )
    number = 0
    if fork_from_item_id is not None:
        item = await find_item(session, conversation, fork_from_item_id, param="fork_from_item_id")
        if item.branch != source.name:
            raise Missing(f"branch {source.name} has no such item", param="fork_from_item_id")
        number = item.sequence_number
    if await name_is_taken(session, conversation, wanted):
        raise Conflict(f"there is a branch called {wanted}", param="name")
    branch = await insert_branch(
        session, conversation, wanted, parent=source.name, item_id=fork_from_item_id, description=description
    )
    return await copy_items(session, source, branch, number)


async def activate_branch(session: AsyncSession, conversation: Conversation, name: str) -> Branch:
    """Make a branch the one that reads and writes go to by default; `Missing` when there is none."""
    conversation = await lock_conversation(session, conversation)
    branch = await find_branch(session, conversation, name)
    await activate(session, conversation, branch.name)
    return branch


async def delete_branch(session: AsyncSession, conversation: Conversation, name: str) -> None:
    """Delete a branch with its items; one that does not exist is fine.

    Raises:
        Invalid: It is `MAIN`, or the active branch.
    """
    known = branch_name(name)
    if known == MAIN:
        raise Invalid("MAIN cannot be deleted", param="branch")
    conversation = await lock_conversation(session, conversation)
    if known == conversation.active_branch:
        raise Invalid("the active branch cannot be deleted; activate another one first", param="branch")
    if known is not None:
        statement = update(BRANCHES).where(_is_branch(conversation, known))
        await execute(session, statement.values(deleted_at=func.clock_timestamp()))


async def name_is_taken(session: AsyncSession, conversation: Conversation, name: str) -> bool:
    """Whether the conversation has a branch of this name."""
    statement = select(BRANCHES.c.id).where(_is_branch(conversation, name))
    return (await execute(session, statement)).first() is not None


async def insert_branch(
    session: AsyncSession,
    conversation: Conversation,
    name: str,
    *,
    parent: str,
    item_id: str | None,
    description: str | None = None,
) -> Branch:
    """The row of a new branch, still empty, that leaves `parent` behind the item `item_id`."""
    statement = (
        insert(BRANCHES)
        .values(
            conversation_id=conversation.id,
            name=name,
            description=description,
            parent_branch=parent,
            forked_at=func.clock_timestamp(),
            forked_from_item_id=item_id,
            item_count=0,
        )
        .returning(*_COLUMNS)
    )
    return Branch(*(await execute(session, statement)).one())


async def copy_items(session: AsyncSession, source: Branch, target: Branch, count: int) -> Branch:
    """Copy the first `count` items of `source` into the empty `target`, under new ids; the target."""
    await _copy_rows(session, source.id, target.id, count)
    return await _set_item_count(session, target, count)


async def move_items(session: AsyncSession, source: Branch, target: Branch, count: int) -> Branch:
    """Move the first `count` items of `source`, ids included, into the empty `target`; the target.

    The source gets copies under new ids in their place, so it reads as before.
    """
    moved = (ITEMS.c.branch_id == source.id) & (ITEMS.c.sequence_number <= count)
    await execute(session, update(ITEMS).where(moved).values(branch_id=target.id))
    await _copy_rows(session, target.id, source.id, count)
    return await _set_item_count(session, target, count)


def _is_branch(conversation: Conversation, name: str) -> ColumnElement[bool]:
    return and_(
        BRANCHES.c.conversation_id == conversation.id,
        BRANCHES.c.name == name,
        BRANCHES.c.deleted_at.is_(None),
    )


async def _copy_rows(session: AsyncSession, source_id: int, target_id: int, count: int) -> None:
    copies = select(_NEW_ITEM_ID, literal(target_id, BigInteger), *_COPIED.values()).where(
        ITEMS.c.branch_id == source_id, ITEMS.c.sequence_number <= count
    )
    await execute(
        session,
        insert(ITEMS).from_select(["public_id", "branch_id", *_COPIED], copies, include_defaults=False),
    )


async def _set_item_count(session: AsyncSession, branch: Branch, count: int) -> Branch:
    """Write how many items a branch has; the branch as it is then."""
    statement = (
        update(BRANCHES)
        .where(BRANCHES.c.id == branch.id)
        .values(item_count=count, updated_at=func.clock_timestamp())
        .returning(*_COLUMNS)
    )
    return Branch(*(await execute(session, statement)).one())
