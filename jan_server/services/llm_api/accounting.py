"""Accounting: a row for each call of a model, written off the hot path and never lost.

A call that ends is appended to this process's journal and to memory; one writer a process takes
what has gathered to the database, rows and the sums of their days in one transaction. A row has
an id from the start, so that a call which is written twice counts once. While PostgreSQL is away
the calls wait in the journal (contract/llm-api.md, sections 21 and 24).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self
from uuid import uuid4

import orjson
from sqlalchemy import text
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import DataError, IntegrityError

from jan_server.database.engine import Database
from jan_server.http.background import repeating
from jan_server.http.errors import ApiError
from jan_server.services.llm_api.disconnect import CallerGone
from jan_server.services.llm_api.metrics import (
    ACTIVE_STREAMS,
    PROVIDER_ERROR_TYPES,
    PROVIDER_ERRORS,
    call_metrics,
)
from jan_server.services.llm_api.models import OfferedModel
from jan_server.services.llm_api.prices import Prices
from jan_server.services.llm_api.refusals import Refusal
from jan_server.services.llm_api.tables.token_usage import TOKEN_USAGE
from jan_server.services.llm_api.token_counts import TokenCounts
from jan_server.services.llm_api.usage_journal import JournalFile, left_files, new_file

logger = logging.getLogger("jan.llm-api.usage")

WRITE_SECONDS = 0.5
"""How long a call waits for the writer."""

MOST_CALLS_IN_MEMORY = 5_000
"""With more than this many calls waiting, the older ones are kept on disk only."""

CALLER_GONE = 499
_MOST_MILLISECONDS = 2**31 - 1
# A call that seems to cost more has a wrong price; the sums of a month have to fit into their columns.
_MOST_DOLLARS = Decimal(1_000_000)
_REQUEST_ID_LENGTH = 128


class Spending(Protocol):
    """Whoever limits what callers use."""

    def admit(self, user_id: int, key_id: str, model: OfferedModel) -> str | None:
        """Let one call through; the project for which it counts, if any. ApiError when it may not pass."""

    def spent(self, user_id: int, key_id: str, tokens: int, cost: Decimal) -> None:
        """Count one call."""


class MeteredCall:
    """One call of a model, from before it is sent until its end is known.

    Use it as a context manager around the call: leaving it early counts as the failure that it
    was. Only the first end counts. A request that is tried with several models is one call for each;
    `earlier` is then the one before.

    Raises:
        ApiError: The caller's limits do not let the call through.

    Attributes:
        finished: Whether its end is known.
    """

    __slots__ = (
        "_accounting",
        "_conversation_id",
        "_first",
        "_key_id",
        "_model",
        "_project_id",
        "_purpose",
        "_request_id",
        "_started",
        "_stream",
        "_user_id",
        "finished",
    )

    def __init__(
        self,
        accounting: Accounting,
        model: OfferedModel,
        *,
        user_id: int,
        key_id: str = "",
        request_id: str = "",
        stream: bool = False,
        conversation_id: str | None = None,
        project_id: str | None = None,
        earlier: MeteredCall | None = None,
        purpose: str | None = None,
    ) -> None:
        self.finished = False
        self._accounting = accounting
        self._model = model
        self._user_id = user_id
        self._key_id = key_id
        self._request_id = request_id
        self._stream = stream
        self._conversation_id = conversation_id
        self._project_id = project_id
        if earlier is not None:
            # The same request, at another model: it was let through and counted already.
            self._project_id = earlier._project_id
        elif accounting.spending is not None:
            # Limits know models by the name that the caller sent.
            project = accounting.spending.admit(user_id, key_id, model.asked or model)
            self._project_id = project_id or project
        self._purpose = purpose
        if stream:
            ACTIVE_STREAMS.labels(model.id).inc()
        self._started = time.perf_counter()
        self._first: float | None = None

    def began(self) -> None:
        """The first bytes of a stream are there."""
        self._first = time.perf_counter()

    def finish(self, status: int, counts: TokenCounts = TokenCounts()) -> None:
        """The call is over.

        Args:
            status: The HTTP status that it came to.
            counts: Its tokens.
        """
        if self.finished:
            return
        self.finished = True
        ended = time.perf_counter()
        cost = self._accounting.prices.cost(self._model, counts) if counts.total else None
        cost = None if cost is None else min(cost, _MOST_DOLLARS)
        self._accounting.record(
            {
                "call_id": uuid4(),
                "created_at": datetime.now(UTC),
                "user_id": self._user_id,
                "key_id": self._key_id or None,
                "project_id": self._project_id,
                "conversation_id": self._conversation_id,
                "model": self._model.id,
                "provider": self._model.provider.name,
                "prompt_tokens": counts.prompt,
                "completion_tokens": counts.completion,
                "total_tokens": counts.total,
                "estimated": counts.estimated,
                "estimated_cost_usd": None if cost is None else format(cost, "f"),
                "latency_ms": _milliseconds(ended - self._started),
                "first_token_ms": None if self._first is None else _milliseconds(self._first - self._started),
                "status": status,
                "stream": self._stream,
                "request_id": self._request_id[:_REQUEST_ID_LENGTH],
                "purpose": self._purpose,
            }
        )
        self._measure(status, counts, ended)
        if self._accounting.spending is not None:
            self._accounting.spending.spent(self._user_id, self._key_id, counts.total, cost or Decimal())

    def _measure(self, status: int, counts: TokenCounts, ended: float) -> None:
        model, provider = self._model.id, self._model.provider.name
        if self._stream:
            ACTIVE_STREAMS.labels(model).dec()
        if status == 200:
            measure = call_metrics(model, provider, "true" if self._stream else "false")
            measure.seconds.observe(ended - self._started)
            if self._first is not None:
                measure.first_token.observe(self._first - self._started)
            if counts.total:
                measure.count_tokens(counts.prompt, counts.completion)
        elif (kind := PROVIDER_ERROR_TYPES.get(status)) is not None:
            PROVIDER_ERRORS.labels(provider, kind).inc()

    def failed(self, failure: BaseException | None) -> None:
        """The call ended with an exception, or by its caller's leaving."""
        self.finish(failure_status(failure))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        failure: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is not None:
            self.failed(failure)


def failure_status(failure: BaseException | None) -> int:
    """The status that a call with this failure came to."""
    if isinstance(failure, ApiError):
        return failure.status
    if isinstance(failure, Refusal):
        return 400
    if isinstance(failure, CallerGone):
        return CALLER_GONE
    return 500 if isinstance(failure, Exception) else CALLER_GONE


def _milliseconds(seconds: float) -> int:
    return min(round(seconds * 1000), _MOST_MILLISECONDS)


class Accounting:
    """Takes down the calls of this process and writes them to the database.

    Args:
        database: Where the rows go.
        prices: What calls cost.
        spending: Limits what callers use.

    Attributes:
        prices: What calls cost.
        spending: Limits what callers use; None where nothing is limited.
    """

    def __init__(self, database: Database, prices: Prices, spending: Spending | None = None) -> None:
        self.prices = prices
        self.spending = spending
        self._database = database
        self._folder: Path | None = None
        self._current = JournalFile()
        self._waiting: deque[JournalFile] = deque()
        self._writing = asyncio.Lock()

    @asynccontextmanager
    async def open(self, folder: Path) -> AsyncIterator[None]:
        """Take over what earlier processes left in `folder`, and write while the context lasts.

        At its end everything is written; what cannot be stays in the folder for the next start.
        """
        self._take_over(folder)
        loading = asyncio.create_task(asyncio.to_thread(self.prices.load), name="read the prices")
        try:
            async with repeating("writing the usage of models", WRITE_SECONDS, self.write):
                yield
        finally:
            await asyncio.gather(loading, return_exceptions=True)
            try:
                await self.write()
            except Exception as failure:
                logger.warning("the last calls are not written; the next start does it: %s", failure)
            for file in (*self._waiting, self._current):
                file.close()
            # A call that ends later still has a journal to go to.
            self._waiting.clear()
            self._current = JournalFile()

    def _take_over(self, folder: Path) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._folder = folder
            self._waiting.extend(left_files(folder))
        except OSError as failure:
            logger.warning("the journal of calls has no place on disk: %s", failure)

    def record(self, row: dict[str, Any]) -> None:
        """Take down one call; it is in the journal when this returns."""
        if not self._current.size:
            self._current = new_file(self._folder)
        self._current.append(orjson.dumps(row))
        if self._current.size >= MOST_CALLS_IN_MEMORY:
            self._turn_page()
            self._waiting[-1].forget_lines()

    def _turn_page(self) -> None:
        if self._current.size:
            self._waiting.append(self._current)
            self._current = JournalFile()

    async def write(self) -> None:
        """Write what has gathered; what cannot be written waits for the next call.

        Raises:
            DBAPIError: PostgreSQL is away.
        """
        async with self._writing:
            await self._write_waiting()
            self._turn_page()
            await self._write_waiting()

    async def _write_waiting(self) -> None:
        while self._waiting:
            file = self._waiting[0]
            try:
                await self._insert(file.calls())
            except (DataError, IntegrityError):
                refused = await self._insert_each(file.calls())
                self._waiting.popleft().set_aside(refused)
            else:
                self._waiting.popleft().remove()

    async def _insert_each(self, calls: Sequence[bytes]) -> list[bytes]:
        """Write calls one by one, for the sake of those that the database takes; returns the others."""
        refused = []
        for call in calls:
            try:
                await self._insert([call])
            except (DataError, IntegrityError) as failure:
                logger.error("a call that the database does not take is set aside: %s", failure.orig)
                refused.append(call)
        return refused

    async def _insert(self, calls: Sequence[bytes]) -> None:
        if not calls:
            return
        rows = (b"[" + b",".join(calls) + b"]").decode()
        async with self._database.engine.begin() as connection:
            await connection.execute(_WRITE, {"rows": rows})


_DIALECT = postgresql.dialect()  # type: ignore[no-untyped-call]
_ROW = {
    column.name: column.type.compile(dialect=_DIALECT)
    for column in TOKEN_USAGE.columns
    if column.name != "id"
}
_SUMS = {
    "prompt_tokens": "sum(prompt_tokens)",
    "completion_tokens": "sum(completion_tokens)",
    "total_tokens": "sum(total_tokens)",
    "estimated_tokens": "coalesce(sum(total_tokens) filter (where estimated), 0)",
    "request_count": "count(*)",
    "failed_count": "count(*) filter (where status >= 400)",
    "estimated_cost_usd": "coalesce(sum(estimated_cost_usd), 0)",
}
_DAY = "usage_date, user_id, key_id, project_id, model, provider"

# The sums are ordered as their unique index, so that two processes never wait for one another's rows.
_WRITE = text(
    f"""
    with written as (
        insert into llm_api.token_usage ({", ".join(_ROW)})
        select {", ".join(_ROW)}
        from json_to_recordset(cast(:rows as json)) as given
            ({", ".join(f"{name} {kind}" for name, kind in _ROW.items())})
        on conflict (call_id) do nothing
        returning *, cast(created_at at time zone 'UTC' as date) as usage_date
    )
    insert into llm_api.token_usage_daily as daily ({_DAY}, {", ".join(_SUMS)})
    select {_DAY}, {", ".join(_SUMS.values())} from written group by {_DAY} order by {_DAY}
    on conflict ({_DAY}) do update
    set {", ".join(f"{name} = daily.{name} + excluded.{name}" for name in _SUMS)}
    """  # noqa: S608 - made of the constants above
)
