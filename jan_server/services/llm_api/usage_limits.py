"""Limits: what a key or a user may use, as it is stored.

Who holds callers to them is `limit_enforcement`. Sources: LiteLLM's virtual keys, for the notion.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fnmatch import fnmatchcase
from typing import Literal
from uuid import UUID

from sqlalchemy import RowMapping, func, literal, select
from sqlalchemy.dialects.postgresql import insert
from sqlmodel.ext.asyncio.session import AsyncSession

from jan_server.database.statements import execute
from jan_server.services.llm_api.response_cache import CacheWish
from jan_server.services.llm_api.tables import now
from jan_server.services.llm_api.tables.token_usage import TOKEN_USAGE_DAILY as DAILY
from jan_server.services.llm_api.tables.usage_limit import USAGE_COUNTERS, USAGE_LIMITS

Period = Literal["minute", "day", "month"]

# Beside the hash of a subject; there need not be a row yet that could be locked.
_LOCK = 0x6C696D


@dataclass(frozen=True, slots=True)
class UsageLimits:
    """The limits of one key or user; None stands for no limit.

    Attributes:
        managed: Whether an administrator set them.
        project_id: The project for which calls outside of projects count.
        allowed_models: Patterns of model ids, with `*` and `?`.
        denied_models: Patterns of model ids that are refused, allowed or not.
        cache: What is wished for requests that say nothing about the cache.
        budget_usd: Dollars in a budget period.
        budget_tokens: Tokens in a budget period.
        budget_period: `day` or `month`, in UTC.
    """

    managed: bool = False
    project_id: str | None = None
    allowed_models: tuple[str, ...] | None = None
    denied_models: tuple[str, ...] | None = None
    cache: CacheWish | None = None
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    budget_usd: Decimal | None = None
    budget_tokens: int | None = None
    budget_period: Literal["day", "month"] = "month"

    @property
    def counts_minutes(self) -> bool:
        """Whether something is limited by the minute."""
        return self.requests_per_minute is not None or self.tokens_per_minute is not None

    @property
    def has_budget(self) -> bool:
        """Whether there is a budget."""
        return self.budget_usd is not None or self.budget_tokens is not None

    @property
    def is_empty(self) -> bool:
        """Whether it says nothing at all."""
        return self == replace(NO_LIMITS, budget_period=self.budget_period)

    def allows(self, *model_ids: str) -> bool:
        """Whether a model with these ids may be called: none is denied, and one of them is allowed."""
        return may_call(model_ids, self.allowed_models, self.denied_models)

    @property
    def restricts(self) -> bool:
        """Whether it takes anything from its key or user."""
        return not replace(self, cache=None, managed=False).is_empty


def may_call(model_ids: Sequence[str], allowed: Sequence[str] | None, denied: Sequence[str] | None) -> bool:
    """Whether a model may be called by whoever has these lists.

    Args:
        model_ids: The names of the model.
        allowed: Patterns of which one has to match one of the names; None for any model.
        denied: Patterns of which none may match any of the names.
    """
    return not _matches(model_ids, denied or ()) and (allowed is None or _matches(model_ids, allowed))


def _matches(model_ids: Sequence[str], patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(model_id, pattern) for pattern in patterns for model_id in model_ids)


NO_LIMITS = UsageLimits()
LIMIT_NAMES = tuple(field.name for field in fields(UsageLimits) if field.name != "managed")


def key_subject(key_id: UUID | str) -> str:
    """How the limits of a key are found."""
    return f"key:{key_id}"


def user_subject(user_id: int) -> str:
    """How the limits of a user are found."""
    return f"user:{user_id}"


def window(period: Period, moment: datetime) -> tuple[datetime, datetime]:
    """The beginning and the end of the period that `moment` is in, in UTC."""
    moment = moment.astimezone(UTC).replace(second=0, microsecond=0)
    if period == "minute":
        return moment, moment + timedelta(minutes=1)
    start = moment.replace(hour=0, minute=0)
    if period == "day":
        return start, start + timedelta(days=1)
    start = start.replace(day=1)
    return start, (start + timedelta(days=32)).replace(day=1)


def limits_of(row: RowMapping) -> UsageLimits:
    """A stored row as limits."""
    values = {name: row[name] for name in LIMIT_NAMES}
    for name in ("allowed_models", "denied_models"):
        values[name] = None if row[name] is None else tuple(row[name])
    values["cache"] = None if row["cache"] is None else CacheWish(**row["cache"])
    return UsageLimits(managed=row["managed"], **values)


async def find_limits(session: AsyncSession, subjects: Sequence[str]) -> dict[str, UsageLimits]:
    """The stored limits of some keys and users; those without any are left out."""
    if not subjects:
        return {}
    statement = select(USAGE_LIMITS).where(USAGE_LIMITS.c.subject.in_(subjects))
    rows = (await execute(session, statement)).mappings()
    return {row["subject"]: limits_of(row) for row in rows}


async def lock_limits(session: AsyncSession, subject: str) -> UsageLimits:
    """The stored limits of one key or user, to be changed: others wait until the transaction ends."""
    await execute(session, select(func.pg_advisory_xact_lock(_LOCK, func.hashtext(subject))))
    return (await find_limits(session, [subject])).get(subject, NO_LIMITS)


async def changed_limits(session: AsyncSession, since: datetime | None) -> dict[str, UsageLimits]:
    """The limits that were written at or after a moment; all of them for None."""
    statement = select(USAGE_LIMITS)
    if since is not None:
        statement = statement.where(USAGE_LIMITS.c.updated_at >= since)
    rows = (await execute(session, statement)).mappings()
    return {row["subject"]: limits_of(row) for row in rows}


async def store_limits(session: AsyncSession, subject: str, limits: UsageLimits) -> None:
    """Write the limits of a key or a user, in place of those that it had.

    What was used already in the current budget period counts.
    """
    values = asdict(limits) | {"updated_at": func.clock_timestamp()}
    statement = insert(USAGE_LIMITS).values(subject=subject, **values)
    statement = statement.on_conflict_do_update(index_elements=["subject"], set_=values)
    await execute(session, statement)
    if limits.has_budget:
        await _count_past_usage(session, subject, limits.budget_period)


async def _count_past_usage(session: AsyncSession, subject: str, period: Literal["day", "month"]) -> None:
    start, _ = window(period, now())
    kind, _, value = subject.partition(":")
    mine = DAILY.c.key_id == UUID(value) if kind == "key" else DAILY.c.user_id == int(value)
    past = select(
        literal(subject),
        literal(period),
        literal(start),
        func.coalesce(func.sum(DAILY.c.request_count), 0),
        func.coalesce(func.sum(DAILY.c.total_tokens), 0),
        func.coalesce(func.sum(DAILY.c.estimated_cost_usd), 0),
    ).where(mine, DAILY.c.usage_date >= start.date())
    columns = ["subject", "period", "starts_at", "requests", "tokens", "cost_usd"]
    counted = insert(USAGE_COUNTERS).from_select(columns, past)
    # An earlier budget of this period stopped counting when it was taken away.
    most = {
        name: func.greatest(USAGE_COUNTERS.c[name], counted.excluded[name])
        for name in ("requests", "tokens", "cost_usd")
    }
    await execute(
        session,
        counted.on_conflict_do_update(index_elements=["subject", "period", "starts_at"], set_=most),
    )
