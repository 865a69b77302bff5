"""What is removed after a while, by one process at a time, by PostgreSQL's clock."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from jan_server.database.engine import Database
from jan_server.services.llm_api.housekeeping import Job, row_jobs, run_jobs
from jan_server.services.llm_api.metrics import REGISTRY
from jan_server.services.llm_api.usage_limits import UsageLimits, find_limits, key_subject, store_limits
from tests.services.llm_api.callers import new_caller
from tests.services.llm_api.conftest import settings_for
from tests.sql import run_sql

DAYS = timedelta(days=30)
KEPT: dict[str, Any] = {
    "api_key": {"kept_after_end": DAYS},
    "conversations": {"revoked_shares_kept": DAYS},
    "usage": {"calls_kept": DAYS},
    "audit_kept": DAYS,
}
_SETTINGS = settings_for("http://127.0.0.1:9", **KEPT)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    opened = Database(database_url)
    yield opened
    await opened.dispose()


async def count(database: Database, table: str, condition: str, **values: Any) -> int:
    async with database.engine.connect() as connection:
        found = await connection.execute(
            text(f"select count(*) from llm_api.{table} where {condition}"), values
        )
        return int(found.scalar_one())


async def clean(database: Database) -> dict[str, int]:
    return await run_jobs(database, row_jobs(database, _SETTINGS))


async def test_keys_go_when_they_ended_long_ago(
    llm_api: httpx.AsyncClient, database: Database, database_url: str
) -> None:
    caller = new_caller(llm_api)
    keys = [(await caller.post("/auth/api-keys", {"name": "ci"})).json()["id"] for _ in range(4)]
    expired, revoked, fresh, endless = keys
    for change, key in (
        ("expires_at = now() - interval '31 days'", expired),
        ("revoked_at = now() - interval '31 days'", revoked),
        ("expires_at = now() - interval '29 days'", fresh),
        ("expires_at = null", endless),
    ):
        await run_sql(database_url, f"update llm_api.api_keys set {change} where id = %s", [key])
    async with database.session() as session:
        await store_limits(session, key_subject(expired), UsageLimits(budget_tokens=5))
    assert (await clean(database))["ended keys"] == 2
    left = {key["id"] for key in (await caller.get("/auth/api-keys")).json()["items"]}
    assert left == {fresh, endless}
    async with database.session() as session:
        assert not await find_limits(session, [key_subject(expired)])


async def test_revoked_shares_go_with_what_they_showed(
    llm_api: httpx.AsyncClient, database: Database, database_url: str
) -> None:
    caller = new_caller(llm_api)
    conversation = await caller.conversation()
    await caller.append(conversation, "Hello")
    await caller.append(conversation, "Hi", role="assistant")
    shared = await caller.post(f"{conversation}/share", {"scope": "conversation"})
    assert shared.status_code in (200, 201), shared.text
    await clean(database)
    shares = "conversation_shares"
    assert await count(database, shares, "true") == 1
    old = "update llm_api.conversation_shares set revoked_at = now() - interval '31 days'"
    await run_sql(database_url, old)
    assert (await clean(database))["revoked shares"] == 1
    assert await count(database, shares, "true") == 0


async def test_old_calls_go_and_the_sums_of_days_stay(database: Database, database_url: str) -> None:
    for age in (31, 29):
        await run_sql(
            database_url,
            "insert into llm_api.token_usage (call_id, user_id, model, provider, prompt_tokens,"
            " completion_tokens, total_tokens, estimated, latency_ms, status, stream, request_id, created_at)"
            f" values (%s, -9, 'm', 'p', 1, 1, 2, false, 1, 200, false, '', now() - interval '{age} days')",
            [uuid.uuid4()],
        )
    days = await count(database, "token_usage_daily", "true")
    assert (await clean(database))["calls"] == 1
    assert await count(database, "token_usage", "user_id = -9") == 1
    assert await count(database, "token_usage_daily", "true") == days


async def test_what_is_kept_for_ever_has_no_job(database: Database) -> None:
    names = {job.name for job in row_jobs(database, settings_for("http://127.0.0.1:9"))}
    assert names == {"ended keys", "revoked shares"}


async def test_a_job_is_done_by_one_process_at_a_time(database: Database) -> None:
    begun, end = asyncio.Event(), asyncio.Event()
    runs = 0

    async def work() -> int:
        nonlocal runs
        runs += 1
        begun.set()
        await end.wait()
        return 3

    async def fail() -> int:
        raise RuntimeError("away")

    job = Job("test", work)
    first = asyncio.create_task(run_jobs(database, [Job("broken", fail), job]))
    await begun.wait()
    other = Database(database.url)
    assert await run_jobs(other, [job]) == {}
    end.set()
    assert await first == {"test": 3}
    assert await run_jobs(other, [job]) == {"test": 3}
    await other.dispose()
    assert runs == 2
    for status, times in (("done", 2), ("elsewhere", 1)):
        assert (
            REGISTRY.get_sample_value("jan_llm_api_job_runs_total", {"job": "test", "status": status})
            == times
        )
    assert REGISTRY.get_sample_value("jan_llm_api_job_runs_total", {"job": "broken", "status": "failed"}) == 1
    assert REGISTRY.get_sample_value("jan_llm_api_job_removed_total", {"job": "test"}) == 6
