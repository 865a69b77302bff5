"""Pages of a list that is sorted by the time of its rows' last change.

A list is cut at a *position* (`updated_at`, row id), not at a row number: rows that are added
while somebody walks through the list neither repeat nor hide others, and a deep page costs
what the first one costs.

A caller may go on after a public id, or after the `next_cursor` of a page. The difference shows
only when the very row that ended a page is changed before the next page is asked for: its id
then stands for its new place, while the cursor still holds the old one.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Generic, TypeVar

from sqlalchemy import ColumnElement, Select, Table, func, select, tuple_
from sqlmodel.ext.asyncio.session import AsyncSession

from jan_server.database.statements import execute
from jan_server.http.pagination import PageRequest
from jan_server.services.llm_api.refusals import Invalid

T = TypeVar("T")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ID_DIGITS = 18
# No list is longer, and the database takes no larger number here.
_LONGEST = 2**31 - 2
_CURSOR = re.compile(rf"([0-9]{{1,17}})([0-9]{{{_ID_DIGITS}}})\Z")


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page of a list.

    Attributes:
        rows: The records of the page.
        has_more: Whether the list goes on behind them.
        total: How many records the whole list has.
        next_cursor: What to give as `after` for the next page; empty on the last page.
    """

    rows: list[T]
    has_more: bool
    total: int
    next_cursor: str


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a list that is sorted by (`updated_at`, row id)."""

    updated_at: datetime
    row_id: int

    def encode(self) -> str:
        """The position as a cursor: digits only, the time in microseconds before the row id."""
        microseconds = (self.updated_at - _EPOCH) // timedelta(microseconds=1)
        return f"{microseconds}{self.row_id:0{_ID_DIGITS}d}"

    @classmethod
    def decode(cls, cursor: str) -> Position | None:
        """The inverse of `encode`; None for anything else."""
        found = _CURSOR.match(cursor)
        if found is None:
            return None
        try:
            return cls(_EPOCH + timedelta(microseconds=int(found[1])), int(found[2]))
        except OverflowError:
            return None


async def read_page(
    session: AsyncSession,
    table: Table,
    columns: tuple[ColumnElement[Any], ...],
    record: Callable[..., T],
    condition: ColumnElement[bool],
    page: PageRequest,
    *,
    user_id: int,
    bad_cursor: str,
) -> Page[T]:
    """Read one page of a user's rows.

    Args:
        session: The open transaction.
        table: A table with the columns `id`, `public_id`, `user_id` and `updated_at`.
        columns: What to read of each row.
        record: Makes a record of the values of these columns.
        condition: Which rows the list has.
        page: Which page is asked for.
        user_id: Whose row a public id in `page.after` may name.
        bad_cursor: The message of the refusal of an `after` that leads nowhere.

    Raises:
        Invalid: `page.after` is neither a cursor nor the id of a row of this user.
    """
    descending = page.order == "desc"
    place = tuple_(table.c.updated_at, table.c.id)
    rows: Select[Any] = select(*columns, table.c.updated_at, table.c.id).where(condition)
    if page.offset is not None:
        rows = rows.offset(min(page.offset, _LONGEST))
    elif page.after is not None:
        start = await _position(session, table, page.after, user_id, bad_cursor)
        bound = tuple_(start.updated_at, start.row_id)
        rows = rows.where(place < bound if descending else place > bound)
    order = [column.desc() if descending else column.asc() for column in (table.c.updated_at, table.c.id)]
    limit = min(page.limit, _LONGEST)
    found = list((await execute(session, rows.order_by(*order).limit(limit + 1))).all())
    has_more = len(found) > limit
    del found[limit:]
    next_cursor = Position(*found[-1][-2:]).encode() if has_more else ""
    if page.offset is None and page.after is None and not has_more:
        total = len(found)
    else:
        counted = select(func.count()).select_from(table).where(condition)
        total = (await execute(session, counted)).scalar_one()
    return Page([record(*row[:-2]) for row in found], has_more, total, next_cursor)


async def _position(
    session: AsyncSession, table: Table, after: str, user_id: int, bad_cursor: str
) -> Position:
    if (position := Position.decode(after)) is not None:
        return position
    if "\0" in after:
        raise Invalid(bad_cursor, param="after")
    # Deleted rows count: deleting the row at which a page ended must not end the walk.
    statement = select(table.c.updated_at, table.c.id).where(
        table.c.public_id == after, table.c.user_id == user_id
    )
    found = (await execute(session, statement)).one_or_none()
    if found is None:
        raise Invalid(bad_cursor, param="after")
    return Position(*found)
