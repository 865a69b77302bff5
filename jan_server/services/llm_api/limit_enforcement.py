"""Holds callers to their limits, in every process, without asking the database for a request.

Each process counts what it lets through, and twice a second adds that to the counters in
PostgreSQL and reads what all processes together have used. A limit can therefore be exceeded by
what the processes let through within that half second, and by the tokens of calls that are under
way: how many those will be is known when they end. While PostgreSQL is away each process holds
callers to what it knows.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import orjson
from sqlalchemy import text

from jan_server.database.engine import Database
from jan_server.http.background import repeating
from jan_server.http.errors import ApiError
from jan_server.services.llm_api.models import OfferedModel
from jan_server.services.llm_api.response_cache import CacheWish
from jan_server.services.llm_api.tables import now
from jan_server.services.llm_api.usage_limits import (
    NO_LIMITS,
    Period,
    UsageLimits,
    changed_limits,
    key_subject,
    user_subject,
    window,
)

logger = logging.getLogger("jan.llm-api.limits")

SHARE_SECONDS = 0.5
"""How long a process goes by what it knows of the others."""

RELOAD_SECONDS = 1.0
"""How long a change of limits, made in another process, may take to arrive."""

FORGET_SECONDS = 3600.0
_OVERLAP = timedelta(seconds=30)
_KEPT = timedelta(days=62)
_NOTHING = Decimal()


@dataclass(slots=True)
class Counter:
    """What one key or user used in one minute, day or month.

    Attributes:
        starts_at: The beginning of the period.
        ends_at: Its end, when the limit is free again.
        shared: Requests, tokens and dollars of all processes, as far as they are known.
        own: Those of this process that the others do not know yet.
        known: Whether `shared` was ever read.
    """

    starts_at: datetime
    ends_at: datetime
    shared: tuple[int, int, Decimal] = (0, 0, _NOTHING)
    own: tuple[int, int, Decimal] = (0, 0, _NOTHING)
    known: bool = False

    def add(self, requests: int, tokens: int, cost: Decimal) -> None:
        """Count something."""
        own = self.own
        self.own = (own[0] + requests, own[1] + tokens, own[2] + cost)

    @property
    def requests(self) -> int:
        """Requests so far."""
        return self.shared[0] + self.own[0]

    @property
    def tokens(self) -> int:
        """Tokens so far."""
        return self.shared[1] + self.own[1]

    @property
    def cost(self) -> Decimal:
        """Dollars so far."""
        return self.shared[2] + self.own[2]


@dataclass(slots=True)
class _Account:
    """A limited key or user, as this process knows it."""

    name: str
    limits: UsageLimits
    counters: dict[Period, Counter] = field(default_factory=dict)

    def counter(self, period: Period, moment: datetime) -> Counter:
        counter = self.counters.get(period)
        if counter is None or moment >= counter.ends_at:
            counter = self.counters[period] = Counter(*window(period, moment))
        return counter

    def periods(self) -> list[Period]:
        found: list[Period] = ["minute"] if self.limits.counts_minutes else []
        return [*found, self.limits.budget_period] if self.limits.has_budget else found


class LimitEnforcement:
    """Knows the limits of keys and users and what is left of them.

    Args:
        database: Where limits and counters are.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._accounts: dict[str, _Account] = {}
        self._since: datetime | None = None
        self._sharing = asyncio.Lock()

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Stay in step with the database while the context lasts."""
        async with (
            repeating("reading the limits of keys", RELOAD_SECONDS, self.reload),
            repeating("sharing the use of limits", SHARE_SECONDS, self.share),
            repeating("forgetting the use of limits", FORGET_SECONDS, self.forget),
        ):
            try:
                await self.reload()
            except Exception as failure:
                logger.warning("the limits of keys cannot be read yet: %s", failure)
            try:
                yield
            finally:
                try:
                    await self.share()
                except Exception as failure:
                    logger.warning("the last use of limits was not counted: %s", failure)

    def limits(self, subject: str) -> UsageLimits:
        """The limits of a key or a user."""
        account = self._accounts.get(subject)
        return NO_LIMITS if account is None else account.limits

    def cache_wish(self, key_id: str) -> CacheWish | None:
        """What a key says about the cache of answers, for requests that say nothing; empty for a token."""
        return self.limits(key_subject(key_id)).cache if key_id else None

    def restricts_models(self, user_id: int, key_id: str) -> bool:
        """Whether there are models that this caller may not call."""
        return any(
            account.limits.allowed_models is not None or account.limits.denied_models is not None
            for account in self._concerned(user_id, key_id)
        )

    def allows(self, user_id: int, key_id: str, model: OfferedModel) -> bool:
        """Whether this caller may call a model, as far as lists of models say."""
        return all(
            account.limits.allows(model.id, model.provider_model_id)
            for account in self._concerned(user_id, key_id)
        )

    def learn(self, subject: str, limits: UsageLimits) -> None:
        """Hold a key or a user to these limits from now on."""
        account = self._accounts.get(subject)
        if limits.is_empty:
            self._accounts.pop(subject, None)
        elif account is None:
            name = "this API key" if subject.startswith("key:") else "this user"
            self._accounts[subject] = _Account(name, limits)
        else:
            account.limits = limits

    async def adopt(self, subject: str, limits: UsageLimits) -> None:
        """The same, and read what is used of them already."""
        self.learn(subject, limits)
        self._look_at(subject)
        await self.share()

    def _look_at(self, subject: str) -> None:
        # Sharing a counter of nothing tells what the others have counted.
        if account := self._accounts.get(subject):
            for period in account.periods():
                account.counter(period, now()).known = False

    def admit(self, user_id: int, key_id: str, model: OfferedModel) -> str | None:
        """Let one call through and count it.

        Args:
            user_id: The key of the caller's row.
            key_id: The caller's API key; empty for a token.
            model: What is called.

        Returns:
            The project for which the call counts when it belongs to no other; None for none.

        Raises:
            ApiError: 403 for a model that is not allowed, 429 for too much in this minute, 402 for a
                budget that is used up; it says which limit, and when it is free again.
        """
        accounts = self._concerned(user_id, key_id)
        if not accounts:
            return None
        moment = now()
        for account in accounts:
            _check(account, model, moment)
        for account in accounts:
            for period in account.periods():
                account.counter(period, moment).add(1, 0, _NOTHING)
        return next((account.limits.project_id for account in accounts if account.limits.project_id), None)

    def spent(self, user_id: int, key_id: str, tokens: int, cost: Decimal) -> None:
        """Count what a call used, now that it has ended."""
        moment = now()
        for account in self._concerned(user_id, key_id):
            for period in account.periods():
                account.counter(period, moment).add(0, tokens, cost)

    def _concerned(self, user_id: int, key_id: str) -> list[_Account]:
        if not self._accounts:
            return []
        found = (
            self._accounts.get(key_subject(key_id)) if key_id else None,
            self._accounts.get(user_subject(user_id)),
        )
        return [account for account in found if account is not None]

    async def reload(self) -> None:
        """Read the limits that changed since the last time, and what is used of new ones."""
        # Transactions that began earlier may be seen later.
        since = self._since - _OVERLAP if self._since is not None else None
        async with self._database.session() as session:
            changed = await changed_limits(session, since)
            moment = (
                await (await session.connection()).execute(text("select clock_timestamp()"))
            ).scalar_one()
        for subject, limits in changed.items():
            known = self._accounts.get(subject)
            if known is None or known.limits != limits:
                self.learn(subject, limits)
                self._look_at(subject)
        self._since = moment
        await self.share()

    async def share(self) -> None:
        """Tell the other processes what this one let through, and learn what they did."""
        async with self._sharing:
            moment = now()
            told: dict[tuple[str, str, datetime], tuple[Counter, tuple[int, int, Decimal]]] = {}
            rows: list[dict[str, Any]] = []
            for subject, account in self._accounts.items():
                for period in account.periods():
                    counter = account.counters.get(period)
                    if counter is None or moment >= counter.ends_at + timedelta(minutes=1):
                        continue
                    if counter.known and counter.own == (0, 0, _NOTHING):
                        continue
                    told[subject, period, counter.starts_at] = (counter, counter.own)
                    rows.append(
                        {
                            "subject": subject,
                            "period": period,
                            "starts_at": counter.starts_at,
                            "requests": counter.own[0],
                            "tokens": counter.own[1],
                            "cost_usd": format(counter.own[2], "f"),
                        }
                    )
            if not rows:
                return
            async with self._database.engine.begin() as connection:
                found = (await connection.execute(_SHARE, {"rows": orjson.dumps(rows).decode()})).all()
            for subject, period, starts_at, requests, tokens, cost in found:
                counter, own = told[subject, period, starts_at]
                counter.shared, counter.known = (requests, tokens, cost), True
                counter.add(-own[0], -own[1], -own[2])

    async def forget(self) -> None:
        """Drop the counters of periods that are long over."""
        async with self._database.engine.begin() as connection:
            await connection.execute(_FORGET, {"minutes": now() - timedelta(hours=1), "days": now() - _KEPT})


def _check(account: _Account, model: OfferedModel, moment: datetime) -> None:
    limits = account.limits
    if not limits.allows(model.id, model.provider_model_id):
        may = "" if limits.allowed_models is None else f"; it may use: {', '.join(limits.allowed_models)}"
        may += "" if limits.denied_models is None else f"; it may not use: {', '.join(limits.denied_models)}"
        raise ApiError(
            403,
            f"{account.name} may not use the model {model.id}{may}",
            code="model_not_allowed",
            param="model",
        )
    if limits.has_budget:
        counter = account.counter(limits.budget_period, moment)
        if limits.budget_tokens is not None and counter.tokens >= limits.budget_tokens:
            raise _refusal(
                account, 402, f"{limits.budget_tokens} tokens a {limits.budget_period}", counter, moment
            )
        if limits.budget_usd is not None and counter.cost >= limits.budget_usd:
            amount = f"{limits.budget_usd.normalize():f}"
            raise _refusal(account, 402, f"{amount} USD a {limits.budget_period}", counter, moment)
    if limits.counts_minutes:
        counter = account.counter("minute", moment)
        if limits.requests_per_minute is not None and counter.requests >= limits.requests_per_minute:
            raise _refusal(account, 429, f"{limits.requests_per_minute} requests a minute", counter, moment)
        if limits.tokens_per_minute is not None and counter.tokens >= limits.tokens_per_minute:
            raise _refusal(account, 429, f"{limits.tokens_per_minute} tokens a minute", counter, moment)


def _refusal(account: _Account, status: int, limit: str, counter: Counter, moment: datetime) -> ApiError:
    resets = counter.ends_at.strftime("%Y-%m-%dT%H:%M:%SZ")
    seconds = max(1, math.ceil((counter.ends_at - moment).total_seconds()))
    return ApiError(
        status,
        f"{account.name} has used up its limit of {limit}; it resets at {resets}",
        type="rate_limit_error" if status == 429 else "insufficient_quota",
        code="rate_limit_exceeded" if status == 429 else "budget_exceeded",
        headers={"Retry-After": str(seconds)},
    )


_SHARE = text(
    """
    insert into llm_api.usage_counters as counted (subject, period, starts_at, requests, tokens, cost_usd)
    select subject, period, starts_at, requests, tokens, cost_usd
    from json_to_recordset(cast(:rows as json)) as given
        (subject text, period text, starts_at timestamptz, requests bigint, tokens bigint, cost_usd numeric)
    order by subject, period, starts_at
    on conflict (subject, period, starts_at) do update
    set requests = counted.requests + excluded.requests,
        tokens = counted.tokens + excluded.tokens,
        cost_usd = counted.cost_usd + excluded.cost_usd
    returning subject, period, starts_at, requests, tokens, cost_usd
    """
)
_FORGET = text(
    """
    delete from llm_api.usage_counters
    where period = 'minute' and starts_at < :minutes or starts_at < :days
    """
)
