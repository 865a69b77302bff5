"""Items: what a conversation consists of, appended to branches and read back in their order.

Items of a branch are numbered from 1 without gaps. Writers take their numbers from the branch's
row while they hold it, so any number of them, in any number of processes, may append at once.

Source: contract/llm-api.md, section 12.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import orjson
from sqlalchemy import BigInteger, Integer, Text, bindparam, func, insert, select, update
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


COLUMNS = (
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

# Statements are made once: telling that one made anew is the same costs as much as running it.
READABLE = (
    select(*COLUMNS)
    .join(BRANCHES, BRANCHES.c.id == ITEMS.c.branch_id)
    .where(BRANCHES.c.deleted_at.is_(None), ITEMS.c.conversation_id == bindparam("conversation_id"))
)
"""The items of a conversation in the order of `COLUMNS`, to be narrowed down."""

_FIND = READABLE.where(ITEMS.c.public_id == bindparam("item_id"))

_FIND_BRANCH = select(BRANCHES.c.id, BRANCHES.c.name, BRANCHES.c.item_count).where(
    BRANCHES.c.conversation_id == bindparam("conversation_id"),
    BRANCHES.c.name == bindparam("branch"),
    BRANCHES.c.deleted_at.is_(None),
)

_OF_BRANCH = (
    select(*(column for column in COLUMNS if column.table is ITEMS))
    .where(ITEMS.c.branch_id == bindparam("branch_id"))
    .limit(bindparam("limit", type_=BigInteger))
)
_ASCENDING = _OF_BRANCH.where(ITEMS.c.sequence_number > bindparam("bound")).order_by(ITEMS.c.sequence_number)
_DESCENDING = _OF_BRANCH.where(ITEMS.c.sequence_number < bindparam("bound")).order_by(
    ITEMS.c.sequence_number.desc()
)

# The conversation goes first: whoever changes several rows of one begins with its own.
_TOUCHED = (
    update(CONVERSATIONS)
    .where(CONVERSATIONS.c.id == bindparam("conversation"), CONVERSATIONS.c.deleted_at.is_(None))
    .values(updated_at=func.clock_timestamp())
    .returning(CONVERSATIONS.c.id, CONVERSATIONS.c.active_branch)
    .cte("touched")
)
_GROW_BRANCH = (
    update(BRANCHES)
    .where(
        BRANCHES.c.conversation_id == _TOUCHED.c.id,
        BRANCHES.c.name == func.coalesce(bindparam("branch", type_=Text), _TOUCHED.c.active_branch),
        BRANCHES.c.deleted_at.is_(None),
    )
    .values(
        item_count=BRANCHES.c.item_count + bindparam("count", type_=Integer),
        updated_at=func.clock_timestamp(),
    )
    .returning(BRANCHES.c.id, BRANCHES.c.name, BRANCHES.c.item_count)
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
    stored = [
        stored_item(item, name, number) for number, item in enumerate(items, start=count - len(items) + 1)
    ]
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
    # Numbers have no gaps, so rows need not be counted to be skipped.
    skipped = min(page.offset or 0, count)
    bound = skipped if page.order == "asc" else count + 1 - skipped
    if page.offset is None and page.after is not None:
        bound = await _number_of(session, conversation, page.after)
    statement = _ASCENDING if page.order == "asc" else _DESCENDING
    parameters = {"branch_id": branch_id, "bound": bound, "limit": page.limit + 1}
    items = [Item(row[0], name, *row[1:]) for row in (await execute(session, statement, parameters)).all()]
    return ItemPage(items[: page.limit], has_more=len(items) > page.limit)


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
    parameters = {"conversation_id": conversation.id, "item_id": item_id}
    row = (await execute(session, _FIND, parameters)).one_or_none()
    if row is None:
        raise Missing("item not found", param=param)
    return Item(*row)


def stored_item(item: NewItem, branch: str, number: int) -> Item:
    """A new item as it is stored under this number of the branch with this name."""
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
        content_json=None if item.content is None else json_text(list(item.content)),
        details_json=json_text(details) if details else None,
        created_at=item.created_at or datetime.now(UTC),
        completed_at=item.completed_at,
        incomplete_at=item.incomplete_at,
    )


def json_text(value: Any) -> str:
    """A value as JSON text with the members of its objects sorted, as items keep it."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()


async def _grow_branch(
    session: AsyncSession, conversation: Conversation, branch: str | None, count: int
) -> tuple[int, str, int] | None:
    """Reserve `count` numbers: the branch's key, its name and its new item count."""
    parameters = {"conversation": conversation.id, "branch": branch, "count": count}
    row = (await execute(session, _GROW_BRANCH, parameters)).one_or_none()
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
        parameters = {"conversation_id": conversation.id, "branch": name}
        row = (await execute(session, _FIND_BRANCH, parameters)).one_or_none()
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


def _no_branch() -> Missing:
    return Missing("branch not found", param="branch")
