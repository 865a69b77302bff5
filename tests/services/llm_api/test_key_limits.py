"""Keys and users with limits: what they may call, how often, and for how much."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import httpx
import psycopg
import pytest

from jan_server.authentication.identity_header import HEADER
from jan_server.authentication.principal import Principal
from jan_server.database.engine import Database
from jan_server.http.errors import ApiError
from jan_server.inference.provider import Provider
from jan_server.services.llm_api.limit_enforcement import LimitEnforcement
from jan_server.services.llm_api.models import OfferedModel
from jan_server.services.llm_api.usage_limits import NO_LIMITS, UsageLimits, store_limits, window
from tests.services.llm_api.conftest import Serve, eventually
from tests.services.llm_api.platform import Platform

MODEL = "unknown/scripted-model"
HELLO: Any = [{"role": "user", "content": "Hello"}]
KEYS = "/auth/api-keys"
ADMIN_KEYS = "/v1/admin/api-keys"
MODEL_ROW = OfferedModel(MODEL, "scripted-model", 1, Provider("prov_x", "Provider", ()))


@dataclass
class Person:
    """A user of the platform, and what it calls with its keys."""

    platform: Platform
    principal: Principal

    async def send(self, method: str, path: str, body: Any = None, *, key: str = "") -> httpx.Response:
        principal = replace(self.principal, key_id=key, method="apikey" if key else "jwt")
        async with self.platform.client() as client:
            return await client.request(
                method, path, json=body, headers={HEADER: self.platform.signer.sign(principal)}
            )

    async def key(self, **members: Any) -> str:
        made = await self.send("POST", KEYS, {"name": "ci", **members})
        assert made.status_code == 201, made.text
        return str(made.json()["id"])

    async def chat(self, key: str = "", **members: Any) -> httpx.Response:
        body = {"model": MODEL, "messages": HELLO, **members}
        return await self.send("POST", "/v1/chat/completions", body, key=key)

    async def number(self) -> int:
        return int((await self.send("GET", "/v1/models")).headers["x-user-id"])


def new_person(platform: Platform, *roles: str) -> Person:
    name = f"person-{uuid.uuid4().hex[:8]}"
    principal = Principal(
        subject=name, issuer="http://issuer.example/realms/jan", username=name, email=f"{name}@example.org"
    )
    return Person(platform, replace(principal, roles=roles))


@pytest.fixture
def person(platform: Platform) -> Person:
    return new_person(platform)


@pytest.fixture
def admin(platform: Platform) -> Person:
    return new_person(platform, "admin")


@pytest.fixture(scope="module")
async def database(database_url: str) -> AsyncIterator[Database]:
    opened = Database(database_url)
    yield opened
    await opened.dispose()


async def test_a_key_shows_its_limits(person: Person) -> None:
    project = (await person.send("POST", "/v1/projects", {"name": "books"})).json()["id"]
    limits = {
        "project_id": project,
        "allowed_models": ["openai/*"],
        "requests_per_minute": 10,
        "tokens_per_minute": 1000,
        "budget_usd": "12.5",
        "budget_tokens": 5000,
        "budget_period": "day",
    }
    key = await person.key(**limits)
    [listed] = (await person.send("GET", KEYS)).json()["items"]
    assert {name: listed[name] for name in limits} == limits
    changed = await person.send(
        "PATCH", f"{KEYS}/{key}", {"name": "new", "budget_usd": None, "budget_tokens": None}
    )
    assert changed.status_code == 200
    shown = changed.json()
    assert shown["name"] == "new" and shown["requests_per_minute"] == 10
    assert not {"budget_usd", "budget_tokens", "budget_period"} & set(shown)


async def test_a_key_without_limits_shows_none(person: Person) -> None:
    made = (await person.send("POST", KEYS, {"name": "plain"})).json()
    assert set(made) == {"id", "name", "prefix", "suffix", "created_at", "expires_at", "status", "key"}


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"requests_per_minute": 0}, "requests_per_minute"),
        ({"tokens_per_minute": "many"}, "tokens_per_minute"),
        ({"budget_usd": -1}, "budget_usd"),
        ({"budget_usd": "NaN"}, "budget_usd"),
        ({"budget_period": "year"}, "budget_period"),
        ({"allowed_models": []}, "allowed_models"),
        ({"allowed_models": [""]}, "allowed_models[0]"),
        ({"project_id": "books"}, "project_id"),
        ({"project_id": "proj_unknown"}, "project_id"),
    ],
)
async def test_a_bad_limit_names_the_field(person: Person, body: dict[str, Any], param: str) -> None:
    answer = await person.send("POST", KEYS, {"name": "ci", **body})
    assert answer.status_code in (400, 404)
    assert answer.json()["error"]["param"] == param


async def test_models_that_are_not_allowed_are_403(person: Person, platform: Platform) -> None:
    for patterns, status in ((["openai/*"], 403), (["unknown/*"], 200), (["nothing", "scripted-*"], 200)):
        key = await person.key(allowed_models=patterns)
        answer = await person.chat(key)
        assert answer.status_code == status
        await person.send("DELETE", f"{KEYS}/{key}")
        if status == 403:
            assert answer.json()["error"]["code"] == "model_not_allowed"
            assert "openai/*" in answer.json()["message"]
            assert not platform.upstream.calls


@pytest.mark.parametrize("stream", [True, False])
async def test_requests_of_a_minute_are_limited(person: Person, stream: bool) -> None:
    key = await person.key(requests_per_minute=3)
    statuses = [(await person.chat(key, stream=stream)).status_code for _ in range(8)]
    # The minute may change once meanwhile.
    assert 429 in statuses
    assert 3 <= statuses.count(200) <= 6
    refused = await refusal(person, key)
    assert refused.status_code == 429
    assert refused.json()["error"]["code"] == "rate_limit_exceeded"
    assert "3 requests a minute" in refused.json()["message"] and "resets at" in refused.json()["message"]
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert (await person.chat()).status_code == 200


async def refusal(person: Person, key: str) -> httpx.Response:
    """The next answer that is none, as soon as the limit is reached."""
    for _ in range(10):
        answer = await person.chat(key)
        if answer.status_code != 200:
            return answer
    raise AssertionError("nothing was refused")


async def test_tokens_of_a_minute_are_limited(person: Person) -> None:
    key = await person.key(tokens_per_minute=20)
    refused = await refusal(person, key)
    assert refused.status_code == 429
    assert "20 tokens a minute" in refused.json()["message"]


async def test_a_token_budget_is_402_until_it_resets(person: Person) -> None:
    key = await person.key(budget_tokens=20, budget_period="day")
    refused = await refusal(person, key)
    assert refused.status_code == 402
    error = refused.json()["error"]
    assert (error["code"], error["type"]) == ("budget_exceeded", "insufficient_quota")
    assert "20 tokens a day" in error["message"] and "T00:00:00Z" in error["message"]
    assert int(refused.headers["retry-after"]) <= 24 * 3600
    raised = await person.send("PATCH", f"{KEYS}/{key}", {"budget_tokens": 10_000})
    assert raised.status_code == 200
    assert (await person.chat(key)).status_code == 200


async def test_a_money_budget_counts_costs(serve: Serve, platform: Platform) -> None:
    priced = await serve(
        platform.upstream,
        llm_api={"usage": {"prices": {MODEL: {"prompt": 100_000, "completion": 0}}}},
    )
    await priced.serving.registry.refresh()
    person = new_person(priced)
    key = await person.key(budget_usd="1.00")
    # Seven tokens of a prompt cost 0.7 dollars.
    assert [(await person.chat(key)).status_code for _ in range(3)] == [200, 200, 402]


async def test_what_was_used_before_a_budget_counts(person: Person, database_url: str) -> None:
    key = await person.key()
    assert (await person.chat(key)).status_code == 200

    async def counted(calls: int = 1) -> bool:
        async with await psycopg.AsyncConnection.connect(database_url) as connection:
            cursor = await connection.execute(
                "select 1 from llm_api.token_usage_daily where key_id = %s and request_count = %s",
                [key, calls],
            )
            return await cursor.fetchone() is not None

    await eventually(counted)
    await person.send("PATCH", f"{KEYS}/{key}", {"budget_tokens": 12})
    assert (await person.chat(key)).status_code == 402
    # Nor is what was used while there was no budget forgotten, when it had one before.
    await person.send("PATCH", f"{KEYS}/{key}", {"budget_tokens": None})
    assert (await person.chat(key)).status_code == 200
    await eventually(lambda: counted(2))
    await person.send("PATCH", f"{KEYS}/{key}", {"budget_tokens": 24})
    assert (await person.chat(key)).status_code == 402


async def test_a_key_counts_for_its_project(person: Person) -> None:
    project = (await person.send("POST", "/v1/projects", {"name": "keyed"})).json()["id"]
    key = await person.key(project_id=project)
    assert (await person.chat(key)).status_code == 200

    async def counted() -> bool:
        report = (await person.send("GET", f"/v1/usage/projects/{project}")).json()
        return bool(report["total_usage"]["request_count"] == 1)

    await eventually(counted)


async def test_a_limited_key_cannot_free_itself(person: Person) -> None:
    key = await person.key(requests_per_minute=1)
    for method, path in (("POST", KEYS), ("PATCH", f"{KEYS}/{key}")):
        answer = await person.send(method, path, {"name": "free"}, key=key)
        assert answer.status_code == 403


async def test_keys_of_others_cannot_be_changed(person: Person, platform: Platform) -> None:
    key = await person.key(requests_per_minute=1)
    stranger = new_person(platform)
    answer = await stranger.send("PATCH", f"{KEYS}/{key}", {"requests_per_minute": None})
    assert answer.status_code == 404
    for method, path in (
        ("GET", ADMIN_KEYS),
        ("PATCH", f"{ADMIN_KEYS}/{key}"),
        ("DELETE", f"{ADMIN_KEYS}/{key}"),
    ):
        assert (await stranger.send(method, path, {})).status_code == 403


async def test_limits_of_an_administrator_stay(person: Person, admin: Person) -> None:
    key = await person.key()
    limited = await admin.send("PATCH", f"{ADMIN_KEYS}/{key}", {"requests_per_minute": 1})
    assert limited.status_code == 200
    assert limited.json()["limits_managed"] is True
    assert limited.json()["email"] == person.principal.email
    lifted = await person.send("PATCH", f"{KEYS}/{key}", {"requests_per_minute": None})
    assert lifted.status_code == 403
    assert (await person.send("PATCH", f"{KEYS}/{key}", {"name": "mine"})).status_code == 200
    assert (await refusal(person, key)).status_code == 429


async def test_administrators_make_list_and_revoke_keys(person: Person, admin: Person) -> None:
    number = await person.number()
    for owner in (str(number), person.principal.username, person.principal.email):
        made = await admin.send("POST", ADMIN_KEYS, {"name": "team", "owner": owner, "budget_usd": 5})
        assert made.status_code == 201, made.text
        assert made.json()["user_id"] == number and made.json()["key"].startswith("sk_")
    listed = (await admin.send("GET", f"{ADMIN_KEYS}?owner={number}&limit=2")).json()
    assert listed["total"] == 3 and len(listed["items"]) == 2
    assert listed["items"][0]["budget_usd"] == "5" and "key" not in listed["items"][0]
    key = listed["items"][0]["id"]
    assert (await admin.send("DELETE", f"{ADMIN_KEYS}/{key}")).status_code == 204
    assert (await person.send("GET", KEYS)).json()["items"][0]["status"] == "revoked"
    assert (await admin.send("POST", ADMIN_KEYS, {"name": "x", "owner": "nobody"})).status_code == 404
    assert (await admin.send("DELETE", f"{ADMIN_KEYS}/{uuid.uuid4()}")).status_code == 404


async def test_a_users_limits_hold_for_all_credentials(person: Person, admin: Person) -> None:
    await person.number()
    path = f"/v1/admin/user-limits/{person.principal.email}"
    assert (await admin.send("PATCH", path, {"requests_per_minute": 1})).json()["requests_per_minute"] == 1
    assert "requests_per_minute" in (await admin.send("GET", path)).json()
    statuses = [(await person.chat(key)).status_code for key in ("", await person.key(), "")]
    assert 429 in statuses
    await admin.send("PATCH", path, {"requests_per_minute": None})
    assert (await person.chat()).status_code == 200


async def test_processes_share_what_is_used(database: Database) -> None:
    subject = f"key:{uuid.uuid4()}"
    async with database.session() as session:
        await store_limits(session, subject, UsageLimits(budget_tokens=100))
    first, second = LimitEnforcement(database), LimitEnforcement(database)
    await first.reload()
    await second.reload()
    key = subject.removeprefix("key:")
    first.admit(1, key, MODEL_ROW)
    first.spent(1, key, 100, Decimal())
    await first.share()
    # The other goes by what it knew until it shares again.
    second.admit(1, key, MODEL_ROW)
    await second.share()
    for process in (first, second):
        with pytest.raises(ApiError) as refused:
            process.admit(1, key, MODEL_ROW)
        assert refused.value.status == 402
    late = LimitEnforcement(database)
    await late.reload()
    with pytest.raises(ApiError):
        late.admit(1, key, MODEL_ROW)


async def test_changed_limits_reach_other_processes(database: Database) -> None:
    key = str(uuid.uuid4())
    process = LimitEnforcement(database)
    async with process.open():
        assert process.limits(f"key:{key}") == NO_LIMITS
        async with database.session() as session:
            await store_limits(session, f"key:{key}", UsageLimits(allowed_models=("none",)))

        async def arrived() -> bool:
            return process.limits(f"key:{key}") != NO_LIMITS

        await eventually(arrived)
        async with database.session() as session:
            await store_limits(session, f"key:{key}", NO_LIMITS)

        async def gone() -> bool:
            return process.limits(f"key:{key}") == NO_LIMITS

        await eventually(gone)


async def test_limits_hold_while_postgresql_is_away() -> None:
    away = LimitEnforcement(Database("postgresql://nobody@127.0.0.1:9/none"))
    away.learn("user:7", UsageLimits(budget_tokens=5))
    away.admit(7, "", MODEL_ROW)
    away.spent(7, "", 5, Decimal())
    with pytest.raises(Exception, match="refused"):
        await away.share()
    with pytest.raises(ApiError):
        away.admit(7, "", MODEL_ROW)


@pytest.mark.parametrize(
    ("period", "start", "end"),
    [
        ("minute", "2026-12-31T23:59:00", "2027-01-01T00:00:00"),
        ("day", "2026-12-31T00:00:00", "2027-01-01T00:00:00"),
        ("month", "2026-12-01T00:00:00", "2027-01-01T00:00:00"),
    ],
)
def test_periods_are_those_of_utc(period: Any, start: str, end: str) -> None:
    moment = datetime(2026, 12, 31, 23, 59, 30, tzinfo=UTC)
    assert window(period, moment) == tuple(
        datetime.fromisoformat(text).replace(tzinfo=UTC) for text in (start, end)
    )
