"""Housekeeping: what is removed after a while, so that the database does not grow for ever.

Guests who do not return, keys that ended, shares that were revoked, and where the operator says
so single calls and entries of the audit log. Ages are told by PostgreSQL's clock. Processes take
turns: a job that another process is at is left to it.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import TextClause, text

from jan_server.database.engine import Database
from jan_server.services.llm_api.metrics import JOB_REMOVED, JOB_RUNS
from jan_server.settings.tree import Settings

logger = logging.getLogger("jan.llm-api.housekeeping")

ROWS_A_TRANSACTION = 5000

# Beside the hash of a job's name; the locks of other things have one number only.
_LOCK = 0x6A6F62


@dataclass(frozen=True, slots=True)
class Job:
    """Something that is removed again and again.

    Attributes:
        name: What it removes, for the log and the metrics.
        run: Does it, and says how many it removed.
    """

    name: str
    run: Callable[[], Awaitable[int]]


async def run_jobs(database: Database, jobs: Iterable[Job]) -> dict[str, int]:
    """Run each job that no other process is at; one that fails does not keep the others from theirs.

    Returns:
        How many rows each job removed, without those that were left out or failed.
    """
    removed: dict[str, int] = {}
    async with database.engine.connect() as connection:
        connection = await connection.execution_options(isolation_level="AUTOCOMMIT")
        for job in jobs:
            lock = {"lock": _LOCK, "job": job.name}
            if not (await connection.execute(_TRY_LOCK, lock)).scalar():
                JOB_RUNS.labels(job.name, "elsewhere").inc()
                continue
            try:
                removed[job.name] = count = await job.run()
            except Exception as failure:
                JOB_RUNS.labels(job.name, "failed").inc()
                logger.warning("removing %s failed, and is tried again: %s", job.name, failure)
            else:
                JOB_RUNS.labels(job.name, "done").inc()
                JOB_REMOVED.labels(job.name).inc(count)
                if count:
                    logger.info("removed %d: %s", count, job.name)
            finally:
                await connection.execute(_UNLOCK, lock)
    return removed


def row_jobs(database: Database, settings: Settings) -> list[Job]:
    """The jobs that remove rows which are older than the settings allow; those that are switched on."""
    own = settings.services.llm_api
    ages = (
        ("ended keys", own.api_key.kept_after_end, _ENDED_KEYS),
        ("revoked shares", own.conversations.revoked_shares_kept, _REVOKED_SHARES),
        ("calls", own.usage.calls_kept, _OLD_CALLS),
        ("audit entries", own.audit_kept, _OLD_AUDIT_ENTRIES),
    )
    return [_row_job(database, name, kept, statement) for name, kept, statement in ages if kept]


def _row_job(database: Database, name: str, kept: timedelta, statement: TextClause) -> Job:
    async def run() -> int:
        removed = 0
        while True:
            async with database.engine.begin() as connection:
                found = await connection.execute(statement, {"kept": kept, "most": ROWS_A_TRANSACTION})
                count = int(found.scalar_one())
            removed += count
            if count < ROWS_A_TRANSACTION:
                return removed

    return Job(name, run)


_TRY_LOCK = text("select pg_try_advisory_lock(:lock, hashtext(:job))")
_UNLOCK = text("select pg_advisory_unlock(:lock, hashtext(:job))")


def _older(table: str, column: str) -> TextClause:
    return text(
        f"""
        with gone as (
            delete from llm_api.{table} where id in (
                select id from llm_api.{table} where {column} < clock_timestamp() - cast(:kept as interval)
                limit :most for update skip locked
            ) returning id
        )
        select count(*) from gone
        """  # noqa: S608 - made of constants
    )


_REVOKED_SHARES = _older("conversation_shares", "revoked_at")
_OLD_CALLS = _older("token_usage", "created_at")
_OLD_AUDIT_ENTRIES = _older("audit_logs", "created_at")
# A key's limits go with it. least() passes over what is null.
_ENDED_KEYS = text(
    """
    with gone as (
        delete from llm_api.api_keys where id in (
            select id from llm_api.api_keys
            where least(expires_at, revoked_at) < clock_timestamp() - cast(:kept as interval)
            limit :most for update skip locked
        ) returning 'key:' || id as subject
    ), limits as (
        delete from llm_api.usage_limits where subject in (select subject from gone)
    ), counters as (
        delete from llm_api.usage_counters where subject in (select subject from gone)
    )
    select count(*) from gone
    """
)
