"""What calls of models added up to, as users, projects and administrators see it."""

from __future__ import annotations

import csv
import io
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from jan_server.authentication.identity_header import HEADER, IdentitySigner
from jan_server.database.engine import Database
from jan_server.services.llm_api.accounting import Accounting
from jan_server.services.llm_api.prices import Prices
from jan_server.services.llm_api.routes.usage import csv_lines
from jan_server.services.llm_api.usage import UsageFilter, grouped_usage, hold_still, total_usage
from tests.services.llm_api.administrators import new_admin
from tests.services.llm_api.callers import Caller, new_caller
from tests.sql import run_sql

TODAY = datetime.now(UTC).date()


class Ledger:
    """Takes down calls of the past, through the writer that the platform uses."""

    def __init__(self, database_url: str, folder: Path) -> None:
        self.database_url = database_url
        self.folder = folder

    async def add(self, *calls: dict[str, Any]) -> None:
        database = Database(self.database_url)
        accounting = Accounting(database, Prices())
        async with accounting.open(self.folder):
            for call in calls:
                accounting.record(CALL | {"call_id": uuid.uuid4()} | call)
        await database.dispose()


CALL: dict[str, Any] = {
    "created_at": datetime.now(UTC),
    "key_id": None,
    "project_id": None,
    "conversation_id": None,
    "model": "vendor/small",
    "provider": "Vendor",
    "prompt_tokens": 10,
    "completion_tokens": 5,
    "total_tokens": 15,
    "estimated": False,
    "estimated_cost_usd": "0.0015",
    "latency_ms": 5,
    "first_token_ms": None,
    "status": 200,
    "stream": False,
    "request_id": "",
}


@pytest.fixture
def ledger(database_url: str, tmp_path: Path) -> Ledger:
    return Ledger(database_url, tmp_path)


async def number_of(caller: Caller) -> int:
    """The local number of a caller, as the platform tells it."""
    return int((await caller.get("/v1/models")).headers["x-user-id"])


async def report(caller: Caller, path: str = "/v1/usage/me", **query: Any) -> dict[str, Any]:
    answer = await caller.get(path, **query)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def test_nobody_has_used_anything_at_first(llm_api: httpx.AsyncClient) -> None:
    caller = new_caller(llm_api)
    for prefix in ("", "/llm"):
        found = await report(caller, f"{prefix}/v1/usage/me")
        first = TODAY - timedelta(days=29)
        assert found["period"] == {"start_date": first.isoformat(), "end_date": TODAY.isoformat()}
        assert found["total_usage"]["total_tokens"] == found["total_usage"]["request_count"] == 0
        assert found["total_usage"]["estimated_cost_usd"] == "0"
        assert found["by_model"] == found["by_provider"] == []


async def test_own_usage_is_told_apart(llm_api: httpx.AsyncClient, ledger: Ledger) -> None:
    caller, stranger = new_caller(llm_api), new_caller(llm_api)
    user, other = await number_of(caller), await number_of(stranger)
    key = (await caller.post("/auth/api-keys", {"name": "ci"})).json()["id"]
    await ledger.add(
        {"user_id": user},
        {"user_id": user, "model": "vendor/large", "total_tokens": 100, "key_id": key},
        {"user_id": user, "status": 502, "total_tokens": 0, "estimated_cost_usd": None},
        {"user_id": other, "total_tokens": 1000},
    )
    found = await report(caller)
    assert found["total_usage"]["total_tokens"] == 115
    assert (found["total_usage"]["request_count"], found["total_usage"]["failed_count"]) == (3, 1)
    assert found["total_usage"]["estimated_cost_usd"] == "0.003"
    assert [(row["model"], row["provider"], row["total_tokens"]) for row in found["by_model"]] == [
        ("vendor/large", "Vendor", 100),
        ("vendor/small", "Vendor", 15),
    ]
    assert [row["total_tokens"] for row in found["by_provider"]] == [115]
    assert [(row["key_id"], row["key_name"]) for row in found["by_key"]] == [(key, "ci"), (None, None)]
    assert (await report(caller, key_id=key))["total_usage"]["total_tokens"] == 100
    assert (await report(caller, model="vendor/small"))["total_usage"]["request_count"] == 2


async def test_days_are_those_of_utc_and_both_ends_count(llm_api: httpx.AsyncClient, ledger: Ledger) -> None:
    caller = new_caller(llm_api)
    user = await number_of(caller)
    moments = ["2026-01-31T23:59:59+00:00", "2026-02-01T00:00:00+00:00", "2026-02-03T01:00:00+02:00"]
    await ledger.add(*({"user_id": user, "created_at": moment} for moment in moments))
    found = await report(caller, "/v1/usage/me/daily", start_date="2026-01-31", end_date="2026-02-02")
    assert [(day["date"], day["request_count"]) for day in found["data"]] == [
        ("2026-01-31", 1),
        ("2026-02-01", 1),
        ("2026-02-02", 1),
    ]
    found = await report(caller, start_date="2026-02-01", end_date="2026-02-01", group_by="day,model")
    assert [(row["date"], row["model"]) for row in found["data"]] == [("2026-02-01", "vendor/small")]


async def test_a_projects_usage_is_its_owners(llm_api: httpx.AsyncClient, ledger: Ledger) -> None:
    caller, stranger = new_caller(llm_api), new_caller(llm_api)
    project = (await caller.post("/v1/projects", {"name": "books"})).json()["id"]
    await ledger.add({"user_id": await number_of(caller), "project_id": project}, {"user_id": 1})
    found = await report(caller, f"/v1/usage/projects/{project}")
    assert found["total_usage"]["request_count"] == 1
    assert (await stranger.get(f"/v1/usage/projects/{project}")).status_code == 404
    assert (await caller.get("/v1/usage/projects/proj_unknown")).status_code == 404


async def test_administrators_see_everybody(llm_api: httpx.AsyncClient, ledger: Ledger) -> None:
    caller, admin = new_caller(llm_api), new_admin(llm_api)
    user = await number_of(caller)
    await ledger.add({"user_id": user, "total_tokens": 10**9, "created_at": "2025-06-01T00:00:00Z"})
    period = {"start_date": "2025-06-01", "end_date": "2025-06-30"}
    found = await report(admin, "/v1/admin/usage", **period)
    assert found["top_users"][0]["user_id"] == user
    assert found["total_usage"]["total_tokens"] == 10**9
    assert (await report(admin, "/v1/admin/usage", user_id=user, **period))["by_model"]
    assert not (await report(admin, "/v1/admin/usage", user_id=user + 1, **period))["by_model"]
    assert (await caller.get("/v1/admin/usage")).status_code == 403
    assert (await llm_api.get("/v1/usage/me")).status_code == 401


@pytest.mark.parametrize("accept", ["", "text/csv"])
async def test_usage_is_exported_as_csv(
    llm_api: httpx.AsyncClient, ledger: Ledger, signer: IdentitySigner, accept: str
) -> None:
    caller, admin = new_caller(llm_api), new_admin(llm_api)
    user = await number_of(caller)
    key = (await caller.post("/auth/api-keys", {"name": "=cmd()"})).json()["id"]
    await ledger.add({"user_id": user, "key_id": key})
    query: dict[str, Any] = {"user_id": user} | ({} if accept else {"format": "csv"})
    headers = {HEADER: signer.sign(admin.principal), **({"Accept": accept} if accept else {})}
    answer = await llm_api.get("/v1/admin/usage", params=query, headers=headers)
    assert answer.headers["content-type"].startswith("text/csv")
    assert "attachment" in answer.headers["content-disposition"]
    [row] = list(csv.DictReader(io.StringIO(answer.text)))
    assert (row["date"], row["user_id"], row["key_id"]) == (TODAY.isoformat(), str(user), key)
    assert (row["key_name"], row["total_tokens"], row["estimated_cost_usd"]) == ("'=cmd()", "15", "0.0015")


async def test_csv_has_the_columns_that_are_asked_for(llm_api: httpx.AsyncClient) -> None:
    caller = new_caller(llm_api)
    answer = await caller.get("/v1/usage/me", format="csv", group_by="model")
    assert answer.text.startswith("model,total_prompt_tokens,")
    assert answer.text.count("\n") == 1
    assert (await caller.get("/v1/usage/me/daily", format="csv")).text.startswith("date,total_prompt_tokens,")


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ({"start_date": "yesterday"}, "start_date"),
        ({"end_date": "2026-02-30"}, "end_date"),
        ({"start_date": "2026-02-02", "end_date": "2026-02-01"}, "start_date"),
        ({"start_date": "1999-01-01"}, "start_date"),
        ({"end_date": "0001-01-01"}, "start_date"),
        ({"format": "xml"}, "format"),
        ({"group_by": "user"}, "group_by"),
        ({"key_id": "mine"}, "key_id"),
        ({"model": "nul\0"}, "model"),
    ],
)
async def test_a_bad_query_names_the_parameter(
    llm_api: httpx.AsyncClient, query: dict[str, Any], param: str
) -> None:
    answer = await new_caller(llm_api).get("/v1/usage/me", **query)
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == param


async def test_the_sums_of_days_are_those_of_the_calls(database_url: str) -> None:
    async with await psycopg.AsyncConnection.connect(database_url) as connection:
        cursor = await connection.execute(
            "select (select sum(total_tokens) from llm_api.token_usage)"
            " = (select sum(total_tokens) from llm_api.token_usage_daily)"
        )
        assert await cursor.fetchone() == (True,)


async def test_a_report_sees_one_moment(database_url: str, tmp_path: Path) -> None:
    database, ledger = Database(database_url), Ledger(database_url, tmp_path)
    await ledger.add({"user_id": -20})
    async with database.session() as session:
        await hold_still(session)
        wanted = UsageFilter(TODAY, TODAY + timedelta(days=1), user_id=-20)
        total = await total_usage(session, wanted)
        await ledger.add({"user_id": -20})
        [group] = await grouped_usage(session, wanted, ["model"])
        assert group.usage == total
    await database.dispose()


async def test_an_export_sees_one_moment_however_long_it_takes(
    llm_api: httpx.AsyncClient, database_url: str, tmp_path: Path
) -> None:
    database, ledger, caller = Database(database_url), Ledger(database_url, tmp_path), new_caller(llm_api)
    user = await number_of(caller)
    keys = sorted([(await caller.post("/auth/api-keys", {"name": "before"})).json()["id"] for _ in range(3)])
    await ledger.add(*({"user_id": user, "key_id": key} for key in keys))
    wanted = UsageFilter(TODAY, TODAY + timedelta(days=1), user_id=user)
    lines = csv_lines(database, wanted, ("key",), at_once=1)
    told = [await anext(lines), await anext(lines)]
    await ledger.add(*({"user_id": user, "key_id": key} for key in keys))
    await run_sql(database_url, "update llm_api.api_keys set name = 'after' where user_id = %s", (user,))
    told += [line async for line in lines]
    await database.dispose()
    rows = list(csv.DictReader(io.StringIO(b"".join(told).decode())))
    assert [(row["key_id"], row["key_name"], row["request_count"]) for row in rows] == [
        (key, "before", "1") for key in keys
    ]
