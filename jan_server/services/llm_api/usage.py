"""Usage: what calls of models added up to, over any days, by user, key, project, model, provider and day.

Every question is answered from the sums of days, never from the calls themselves. Days are those
of UTC. Source: contract/llm-api.md, section 21.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Label, Select, func, select
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from jan_server.database.statements import execute
from jan_server.services.llm_api.tables.api_key import ApiKey
from jan_server.services.llm_api.tables.token_usage import TOKEN_USAGE_DAILY as DAILY
from jan_server.services.llm_api.tables.user import User

GROUPINGS = {
    "day": DAILY.c.usage_date,
    "user": DAILY.c.user_id,
    "key": DAILY.c.key_id,
    "project": DAILY.c.project_id,
    "model": DAILY.c.model,
    "provider": DAILY.c.provider,
}
"""By what usage can be told apart, in the order of rows."""

MOST_GROUPS = 10_000
TOP_USERS = 10


@dataclass(frozen=True, slots=True)
class UsageFilter:
    """Which usage is meant; everything that is given has to hold.

    Attributes:
        first: The first day.
        last: The last day, which is part of it.
        project_id: The project's public id.
    """

    first: date
    last: date
    user_id: int | None = None
    key_id: UUID | None = None
    project_id: str | None = None
    model: str | None = None
    provider: str | None = None

    def conditions(self) -> list[ColumnElement[bool]]:
        """The same for a query."""
        found: list[ColumnElement[bool]] = [DAILY.c.usage_date.between(self.first, self.last)]
        given = {
            DAILY.c.user_id: self.user_id,
            DAILY.c.key_id: self.key_id,
            DAILY.c.project_id: self.project_id,
            DAILY.c.model: self.model,
            DAILY.c.provider: self.provider,
        }
        found.extend(column == value for column, value in given.items() if value is not None)
        return found


@dataclass(frozen=True, slots=True)
class Usage:
    """What some calls added up to.

    Attributes:
        estimated_tokens: The part of `total_tokens` that was counted here, because providers did not say.
        requests: Calls, failed ones included.
        cost: Dollars, as far as prices are known.
    """

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    estimated_tokens: int
    requests: int
    failed: int
    cost: Decimal


@dataclass(frozen=True, slots=True)
class UsageGroup:
    """The usage of one group.

    Attributes:
        place: What tells it apart, by the names of `GROUPINGS`; None where a call had no such thing.
        usage: Its sums.
    """

    place: dict[str, Any]
    usage: Usage


_SUMS: tuple[Label[Any], ...] = tuple(
    func.coalesce(func.sum(DAILY.c[name]), 0).label(name)
    for name in (
        "prompt_tokens",
        "completion_tokens",
        "total_tokens",
        "estimated_tokens",
        "request_count",
        "failed_count",
        "estimated_cost_usd",
    )
)


async def hold_still(session: AsyncSession) -> None:
    """Let all queries of a transaction see the same moment, so that a report agrees with itself.

    Call it before the first one.
    """
    await session.connection(execution_options={"isolation_level": "REPEATABLE READ"})


async def total_usage(session: AsyncSession, wanted: UsageFilter) -> Usage:
    """The sum of everything that is meant."""
    return _usage((await execute(session, select(*_SUMS).where(*wanted.conditions()))).one())


async def grouped_usage(
    session: AsyncSession,
    wanted: UsageFilter,
    by: Sequence[str],
    *,
    most: int = MOST_GROUPS,
    largest_first: bool = True,
) -> list[UsageGroup]:
    """The usage that is meant, told apart.

    Args:
        session: The open transaction.
        wanted: Which usage.
        by: Names of `GROUPINGS`.
        most: How many groups at most.
        largest_first: Whether they come by their tokens instead of by what tells them apart.
    """
    statement = _grouped(wanted, by, largest_first=largest_first).limit(most)
    return [_group(row, by) for row in await execute(session, statement)]


async def each_group(
    session: AsyncSession, wanted: UsageFilter, by: Sequence[str]
) -> AsyncIterator[UsageGroup]:
    """The same in the order of what tells groups apart, however many there are, one after the other."""
    connection = await session.connection()
    async with connection.stream(_grouped(wanted, by, largest_first=False)) as rows:
        async for row in rows:
            yield _group(row, by)


async def user_names(session: AsyncSession, ids: Sequence[int]) -> dict[int, tuple[str, str]]:
    """Username and e-mail address of users, by the keys of their rows."""
    statement = select(col(User.id), col(User.username), col(User.email)).where(col(User.id).in_(ids))
    return {row[0]: (row[1], row[2]) for row in await execute(session, statement)}


async def key_names(session: AsyncSession, ids: Sequence[UUID]) -> dict[UUID, str]:
    """The names of API keys, by their ids."""
    statement = select(col(ApiKey.id), col(ApiKey.name)).where(col(ApiKey.id).in_(ids))
    return {row[0]: row[1] for row in await execute(session, statement)}


def _grouped(wanted: UsageFilter, by: Sequence[str], *, largest_first: bool) -> Select[Any]:
    columns = [GROUPINGS[name] for name in by]
    order = [_SUMS[2].desc(), *columns] if largest_first else columns
    return select(*columns, *_SUMS).where(*wanted.conditions()).group_by(*columns).order_by(*order)


def _group(row: Sequence[Any], by: Sequence[str]) -> UsageGroup:
    return UsageGroup(dict(zip(by, row, strict=False)), _usage(row[len(by) :]))


def _usage(sums: Sequence[Any]) -> Usage:
    prompt, completion, total, estimated, requests, failed = map(int, sums[:-1])
    return Usage(prompt, completion, total, estimated, requests, failed, Decimal(sums[-1]))
