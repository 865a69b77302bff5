"""Items: what a conversation consists of, appended to branches and read back in their order.

Items of a branch are numbered from 1 without gaps. Writers take their numbers from the branch's
row while they hold it, so any number of them, in any number of processes, may append at once.

Source: contract/llm-api.md, section 12.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import orjson
from sqlalchemy import func, insert, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from jan_server.database.statements import execute
from jan_server.http.ids import is_public_id, public_id
from jan_server.http.pagination import PageRequest
from jan_server.services.llm_api.conversations import Conversation, branch_name
from jan_server.services.llm_api.item_content import Block, blocks_text, tool_calls_of
from jan_server.services.llm_api.refusals import Conflict, Invalid, Missing
from jan_server.services.llm_api.tables.branch import BRANCHES
from jan_server.services.llm_api.tables.conversation import CONVERSATIONS
from jan_server.services.llm_api.tables.item import ITEMS


@dataclass(frozen=True, slots=True)
class NewItem:
    """An item that is to be appended.

    Attributes:
        content: Blocks in their stored form (see `item_content`); None for none at all.
        id: A public id of the caller's choice; made when None.
        created_at: Now when None.
        details: The further members of section 12.6, such as `name`, `arguments` and `output`.
    """

    type: str = "message"
    role: str | None = None
    content: Sequence[Block] | None = None
    status: str | None = "completed"
    call_id: str | None = None
    id: str | None = None
    created_at: datetime | None = None
    completed_at: datetime | None = None
    incomplete_at: datetime | None = None
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Item:
    """An item as it is stored.

    Attributes:
        public_id: What clients see as its id.
        branch: The name of its branch.
        content_json: Its content blocks as JSON text, which most readers only pass on.
        details_json: Its further members as a JSON object, or None when there are none.
    """

    public_id: str
    branch: str
    sequence_number: int
    type: str
    role: str | None
    status: str | None
    call_id: str | None
    content_json: str | None
    details_json: str | None
    created_at: datetime
    completed_at: datetime | None
    incomplete_at: datetime | None

    @property
    def content(self) -> list[dict[str, Any]]:
        """The content blocks, parsed anew at each use."""
        return list(orjson.loads(self.content_json)) if self.content_json else []

    @property
    def details(self) -> dict[str, Any]:
        """The further members, parsed anew at each use."""
        return dict(orjson.loads(self.details_json)) if self.details_json else {}

    @property
    def text(self) -> str:
        """The text of all its blocks, joined by line breaks."""
        return blocks_text(self.content)


@dataclass(frozen=True, slots=True)
class ItemPage:
    """One page of a branch's items; `has_more` says whether the branch goes on behind them."""

    items: list[Item]
    has_more: bool


_COLUMNS = (
    ITEMS.c.public_id,
    BRANCHES.c.name,
    ITEMS.c.sequence_number,
    ITEMS.c.type,
    ITEMS.c.role,
    ITEMS.c.status,
    ITEMS.c.call_id,
    ITEMS.c.content,
    ITEMS.c.details,
    ITEMS.c.created_at,
    ITEMS.c.completed_at,
    ITEMS.c.incomplete_at,
)

_READABLE = (
    select(*_COLUMNS)
    .join(BRANCHES, BRANCHES.c.id == ITEMS.c.branch_id)
    .where(BRANCHES.c.deleted_at.is_(None))
)


async def append_items(
    session: AsyncSession,
    conversation: Conversation,
    items: Sequence[NewItem],
    *,
    branch: str | None = None,
) -> list[Item]:
    """Append items to a branch, in this order and with nothing of anybody else's between them.

    The numbers are final once the transaction commits; until then other writers to this
    conversation wait, so append at the end of a transaction.

    Args:
        session: The open transaction.
        conversation: Where to append.
        items: What to append.
        branch: The name of an existing branch; by default the one that is active by then.

    Raises:
        Missing: The conversation was deleted in the meantime, or it has no such branch.
        Conflict: An id that the caller chose is taken in this conversation.
    """
    if not items:
        return []
    wanted = branch_name(branch) if branch else None
    if branch and wanted is None:
        raise _no_branch()
    # A branch that was renamed while this waited for its turn is found at the second look.
    for _ in range(2):
        grown = await _grow_branch(session, conversation, wanted, len(items))
        if grown is not None:
            break
    else:
        raise _no_branch() if wanted else Missing("conversation not found", param="conversation")
    branch_id, name, count = grown
    await _refuse_taken_ids(session, conversation, items)
    stored = [_stored(item, name, number) for number, item in enumerate(items, start=count - len(items) + 1)]
    await execute(
        session,
        insert(ITEMS),
        [
            {
                "conversation_id": conversation.id,
                "branch_id": branch_id,
                "public_id": item.public_id,
                "sequence_number": item.sequence_number,
                "type": item.type,
                "role": item.role,
                "status": item.status,
                "call_id": item.call_id,
                "content": item.content_json,
                "details": item.details_json,
                "created_at": item.created_at,
                "completed_at": item.completed_at,
                "incomplete_at": item.incomplete_at,
            }
            for item in stored
        ],
    )
    return stored


async def list_items(
    session: AsyncSession, conversation: Conversation, page: PageRequest, *, branch: str | None = None
) -> ItemPage:
    """One page of a branch, in the order of its numbers.

    Args:
        session: The open transaction.
        conversation: Whose items.
        page: Which page; `after` is an item's id, `offset` counts from the end where the page begins.
        branch: The branch's name; the active one by default.

    Raises:
        Invalid: `page.after` is no item of this conversation.
        Missing: There is no such branch.
    """
    branch_id, name, count = await _find_branch(session, conversation, branch)
    descending = page.order == "desc"
    number = ITEMS.c.sequence_number
    statement = select(*_COLUMNS[:1], *_COLUMNS[2:]).where(ITEMS.c.branch_id == branch_id)
    if page.offset is not None:
        # Numbers have no gaps, so rows need not be counted to be skipped.
        skipped = min(page.offset, count)
        statement = statement.where(number <= count - skipped if descending else number > skipped)
    elif page.after is not None:
        last = await _number_of(session, conversation, page.after)
        statement = statement.where(number < last if descending else number > last)
    statement = statement.order_by(number.desc() if descending else number.asc()).limit(page.limit + 1)
    rows = (await execute(session, statement)).all()
    return ItemPage(
        [Item(row[0], name, *row[1:]) for row in rows[: page.limit]], has_more=len(rows) > page.limit
    )


async def list_branch_items(
    session: AsyncSession,
    conversation: Conversation,
    branch: str | None = None,
    *,
    newest: int | None = None,
) -> list[Item]:
    """The items of a branch from the oldest to the newest.

    Args:
        session: The open transaction.
        conversation: Whose items.
        branch: The branch's name; the active one by default.
        newest: At most so many, counted from the end; all by default.

    Raises:
        Missing: There is no such branch.
    """
    branch_id, name, count = await _find_branch(session, conversation, branch)
    statement = select(*_COLUMNS[:1], *_COLUMNS[2:]).where(ITEMS.c.branch_id == branch_id)
    if newest is not None:
        statement = statement.where(ITEMS.c.sequence_number > count - newest)
    rows = (await execute(session, statement.order_by(ITEMS.c.sequence_number))).all()
    return [Item(row[0], name, *row[1:]) for row in rows]


async def find_item(
    session: AsyncSession, conversation: Conversation, item_id: str, *, param: str = "item_id"
) -> Item:
    """The item with this public id, in whichever branch it lies.

    Raises:
        Invalid: It has not the form of an item id.
        Missing: The conversation has no such item.
    """
    if not is_public_id("msg", item_id):
        raise Invalid("invalid item ID", param=param)
    statement = _READABLE.where(ITEMS.c.conversation_id == conversation.id, ITEMS.c.public_id == item_id)
    row = (await execute(session, statement)).one_or_none()
    if row is None:
        raise Missing("item not found", param=param)
    return Item(*row)


async def complete_call(
    session: AsyncSession,
    conversation: Conversation,
    call_id: str,
    *,
    status: str,
    output: str | None = None,
    error: str | None = None,
    name: str | None = None,
    arguments: str | None = None,
    server_label: str | None = None,
) -> Item:
    """Write the outcome of a tool call into its `mcp_call` item.

    Where several branches hold the call, the active one goes first, then the newest item. The
    content becomes one block with the output, or the error where there is no output; members
    that are not given keep their values.

    Raises:
        Missing: The conversation has no `mcp_call` item with this call id.
    """
    if "\0" in call_id:
        raise _no_call()
    await _touch(session, conversation)
    statement = (
        _READABLE.add_columns(ITEMS.c.id)
        .where(
            ITEMS.c.conversation_id == conversation.id,
            func.md5(ITEMS.c.call_id) == func.md5(call_id),
            ITEMS.c.call_id == call_id,
            ITEMS.c.type == "mcp_call",
        )
        .order_by((BRANCHES.c.name == conversation.active_branch).desc(), ITEMS.c.id.desc())
        .limit(1)
        .with_for_update(of=ITEMS)
    )
    row = (await execute(session, statement)).one_or_none()
    if row is None:
        raise _no_call()
    given = {
        "output": output,
        "error": error,
        "name": name,
        "arguments": arguments,
        "server_label": server_label,
    }
    item = Item(*row[:-1])
    details = item.details | {key: value for key, value in given.items() if value is not None}
    block = {"type": "mcp_call", "tool_call_id": call_id, "mcp_call": output or error or ""}
    done = replace(
        item,
        status=status,
        completed_at=datetime.now(UTC),
        content_json=_json([block]),
        details_json=_json(details) if details else None,
    )
    await execute(
        session,
        update(ITEMS)
        .where(ITEMS.c.id == row[-1])
        .values(
            status=done.status,
            completed_at=done.completed_at,
            content=done.content_json,
            details=done.details_json,
        ),
    )
    return done


async def _grow_branch(
    session: AsyncSession, conversation: Conversation, branch: str | None, count: int
) -> tuple[int, str, int] | None:
    """Reserve `count` numbers: the branch's key, its name and its new item count."""
    touched = (
        update(CONVERSATIONS)
        .where(CONVERSATIONS.c.id == conversation.id, CONVERSATIONS.c.deleted_at.is_(None))
        .values(updated_at=func.clock_timestamp())
        .returning(CONVERSATIONS.c.id, CONVERSATIONS.c.active_branch)
        .cte("touched")
    )
    grown = (
        update(BRANCHES)
        .where(
            BRANCHES.c.conversation_id == touched.c.id,
            BRANCHES.c.name == (touched.c.active_branch if branch is None else branch),
            BRANCHES.c.deleted_at.is_(None),
        )
        .values(item_count=BRANCHES.c.item_count + count, updated_at=func.clock_timestamp())
        .returning(BRANCHES.c.id, BRANCHES.c.name, BRANCHES.c.item_count)
    )
    row = (await execute(session, grown)).one_or_none()
    return None if row is None else (row[0], row[1], row[2])


async def _refuse_taken_ids(
    session: AsyncSession, conversation: Conversation, items: Sequence[NewItem]
) -> None:
    places: dict[str, int] = {}
    for place, item in enumerate(items):
        if item.id is None:
            continue
        if item.id in places:
            raise Conflict(f"{item.id} occurs twice", param=f"items[{place}].id")
        places[item.id] = place
    if not places:
        return
    statement = select(ITEMS.c.public_id).where(
        ITEMS.c.conversation_id == conversation.id, ITEMS.c.public_id.in_(places)
    )
    for taken in (await execute(session, statement)).scalars():
        raise Conflict(
            f"{taken} exists already; leave `id` out to get a new one", param=f"items[{places[taken]}].id"
        )


async def _find_branch(
    session: AsyncSession, conversation: Conversation, branch: str | None
) -> tuple[int, str, int]:
    """The key of a branch, its name and its item count; `Missing` when there is none."""
    row = None
    if (name := branch_name(branch or conversation.active_branch)) is not None:
        statement = select(BRANCHES.c.id, BRANCHES.c.name, BRANCHES.c.item_count).where(
            BRANCHES.c.conversation_id == conversation.id,
            BRANCHES.c.name == name,
            BRANCHES.c.deleted_at.is_(None),
        )
        row = (await execute(session, statement)).one_or_none()
    if row is None:
        raise _no_branch()
    return row[0], row[1], row[2]


async def _number_of(session: AsyncSession, conversation: Conversation, item_id: str) -> int:
    if not is_public_id("msg", item_id):
        raise Invalid("invalid offset number", param="after")
    # Any branch will do: an item that an edit moved to a back-up keeps its number there.
    statement = select(ITEMS.c.sequence_number).where(
        ITEMS.c.conversation_id == conversation.id, ITEMS.c.public_id == item_id
    )
    number: int | None = (await execute(session, statement)).scalar_one_or_none()
    if number is None:
        raise Invalid("invalid offset number", param="after")
    return number


async def _touch(session: AsyncSession, conversation: Conversation) -> None:
    await execute(
        session,
        update(CONVERSATIONS)
        .where(CONVERSATIONS.c.id == conversation.id)
        .values(updated_at=func.clock_timestamp()),
    )


def _no_branch() -> Missing:
    return Missing("branch not found", param="branch")


def _no_call() -> Missing:
    return Missing("no mcp_call item has this call id", param="call_id")


def _stored(item: NewItem, branch: str, number: int) -> Item:
    details = {key: value for key, value in item.details.items() if value is not None}
    if item.content and (calls := tool_calls_of(item.content)):
        details["tool_calls"] = calls
    return Item(
        public_id=item.id or public_id("msg"),
        branch=branch,
        sequence_number=number,
        type=item.type,
        role=item.role,
        status=item.status,
        call_id=item.call_id,
        content_json=None if item.content is None else _json(list(item.content)),
        details_json=_json(details) if details else None,
        created_at=item.created_at or datetime.now(UTC),
        completed_at=item.completed_at,
        incomplete_at=item.incomplete_at,
    )


def _json(value: Any) -> str:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
