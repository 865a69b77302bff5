"""Rate limits: who is counted, when it is enough, and what the caller is told; in memory and in Redis."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
import redis

from jan_server.gateway.plugins import rate_limiting
from jan_server.gateway.plugins.ip_restriction import read_networks
from jan_server.gateway.plugins.rate_limiting import LocalCounters, Window, window_start
from tests.gateway.conftest import Running, Start, start_redis
from tests.gateway.realm import Realm
from tests.gateway.serving import EchoService, free_port

FILE = """
_format_version: "3.0"
services:
  - name: a
    host: a
    routes:
      - name: limited
        paths: [/limited]
        plugins: [{name: rate-limiting, config: CONFIG}]
      - {name: free, paths: [/free]}
      - {name: free-too, paths: [/too]}
plugins:
  - {name: rate-limiting, config: {minute: 4, hour: 100, limit_by: ip}}
"""

NOON = 1_800_000_020.0
"""A Unix time that is 20 s after the beginning of a minute."""


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The clock of the limits, standing still until moved."""
    now = [NOON]
    monkeypatch.setattr(rate_limiting, "unix_time", lambda: now[0])
    return now


def limits(reply: Any) -> dict[str, str]:
    return {name.lower(): text for name, text in reply.headers.items() if "ratelimit" in name.lower()}


@pytest.fixture(params=["local", "redis"])
def policy(request: pytest.FixtureRequest) -> str:
    if request.param == "local":
        return "policy: local"
    port = request.getfixturevalue("redis_port")
    redis.Redis(port=port).flushall()
    return f"policy: redis, redis_host: 127.0.0.1, redis_port: {port}"


async def limited(start: Start, config: str) -> Running:
    return await start(FILE.replace("CONFIG", f"{{{config}}}"), {"a": EchoService()})


async def test_the_caller_is_told_and_then_refused(start: Start, policy: str, clock: list[float]) -> None:
    gateway = await limited(start, f"minute: 2, hour: 10, limit_by: ip, {policy}")
    first = await gateway.get("/limited")
    reset = "40"
    assert limits(first) == {
        "x-ratelimit-limit-minute": "2",
        "x-ratelimit-remaining-minute": "1",
        "x-ratelimit-limit-hour": "10",
        "x-ratelimit-remaining-hour": "9",
        "ratelimit-limit": "2",
        "ratelimit-remaining": "1",
        "ratelimit-reset": reset,
    }
    assert limits(await gateway.get("/limited"))["ratelimit-remaining"] == "0"

    refused = await gateway.get("/limited")
    assert refused.status == 429
    assert refused.json["message"] == refused.json["error"]["message"] == "API rate limit exceeded"
    assert (refused.json["code"], refused.json["error"]["type"]) == (
        "rate_limit_exceeded",
        "rate_limit_error",
    )
    assert refused.headers["Retry-After"] == limits(refused)["ratelimit-reset"] == reset
    assert limits(refused)["x-ratelimit-remaining-minute"] == "0"

    clock[0] += 60
    again = await gateway.get("/limited")
    assert (again.status, limits(again)["x-ratelimit-remaining-minute"]) == (200, "1")


async def test_a_refused_request_is_not_counted(start: Start, policy: str, clock: list[float]) -> None:
    gateway = await limited(start, f"second: 1, minute: 3, limit_by: ip, {policy}")
    assert (await gateway.get("/limited")).status == 200
    for _ in range(5):
        assert (await gateway.get("/limited")).status == 429
    clock[0] += 1
    assert limits(await gateway.get("/limited"))["x-ratelimit-remaining-minute"] == "1"


async def test_a_routes_own_limit_replaces_the_global_one(start: Start, clock: list[float]) -> None:
    gateway = await limited(start, "minute: 6, limit_by: ip")
    for _ in range(6):
        assert (await gateway.get("/limited")).status == 200
    # The global bucket is one for all routes that have none of their own, and still full.
    statuses = [(await gateway.get(path)).status for path in ("/free", "/too", "/free", "/too", "/free")]
    assert statuses == [200, 200, 200, 200, 429]
    assert (await gateway.get("/free")).headers["X-RateLimit-Limit-Hour"] == "100"


@pytest.mark.parametrize(
    ("config", "one", "other"),
    [
        ("limit_by: header, header_name: X-Team", {"X-Team": "one"}, {"X-Team": "two"}),
        ("limit_by: path, path: /limited/x", "/limited/x", "/limited/y"),
    ],
)
async def test_who_is_counted(start: Start, clock: list[float], config: str, one: Any, other: Any) -> None:
    gateway = await limited(start, f"minute: 1, {config}")

    async def ask(who: Any) -> int:
        path, headers = (who, {}) if isinstance(who, str) else ("/limited", who)
        return (await gateway.ask("GET", path, headers=headers)).status

    assert [await ask(one), await ask(one), await ask(other), await ask(other)] == [200, 429, 200, 429]


async def test_a_service_is_one_bucket_for_all(start: Start, clock: list[float]) -> None:
    gateway = await limited(start, "minute: 1, limit_by: service")
    assert [(await gateway.get("/limited")).status for _ in range(2)] == [200, 429]


@pytest.mark.parametrize("by", ["consumer", "credential"])
async def test_people_do_not_share_a_bucket(start: Start, realm: Realm, clock: list[float], by: str) -> None:
    key = orjson.dumps(realm.public_pem).decode()
    gateway = await start(
        f"""
        _format_version: "3.0"
        consumers:
          - username: realm
            jwt_secrets: [{{key: "{realm.issuer}", algorithm: RS256, rsa_public_key: {key}}}]
        services: [{{name: a, host: a, routes: [{{name: r, paths: [/]}}]}}]
        plugins: [{{name: jwt}}, {{name: rate-limiting, config: {{minute: 1, limit_by: {by}}}}}]
        """,
        {"a": EchoService()},
    )
    ada, bob = realm.bearer(), realm.bearer(sub="bob")
    statuses = [(await gateway.ask("GET", "/", headers=who)).status for who in (ada, ada, bob, bob)]
    assert statuses == [200, 429, 200, 429]


async def test_the_headers_can_be_hidden_and_the_refusal_worded(start: Start, clock: list[float]) -> None:
    gateway = await limited(
        start, "minute: 1, limit_by: ip, hide_client_headers: true, error_code: 420, error_message: Calm down"
    )
    first, second = await gateway.get("/limited"), await gateway.get("/limited")
    assert limits(first) == limits(second) == {}
    assert (second.status, second.json["message"]) == (420, "Calm down")


@pytest.mark.parametrize(("tolerant", "status"), [("true", 200), ("false", 500)])
async def test_a_redis_that_does_not_answer(start: Start, tolerant: str, status: int) -> None:
    address = f"policy: redis, redis_host: 127.0.0.1, redis_port: {free_port()}"
    gateway = await limited(start, f"minute: 1, fault_tolerant: {tolerant}, {address}")
    reply = await gateway.get("/limited")
    assert reply.status == status
    assert limits(reply) == {}


async def test_gateways_that_use_one_redis_share_their_counts_and_survive_its_restart(
    start: Start, tmp_path: Path
) -> None:
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("redis-server is not installed (Debian: apt-get install redis-server)")
    port = free_port()
    process = start_redis(program, port, tmp_path)
    try:
        config = f"hour: 2, limit_by: ip, policy: redis, redis_host: 127.0.0.1, redis_port: {port}"
        one, other = await limited(start, config), await limited(start, config)
        assert [(await each.get("/limited")).status for each in (one, other, one)] == [200, 200, 429]
        process.terminate()
        process.wait(5)
        assert (await one.get("/limited")).status == 200
        process = start_redis(program, port, tmp_path)
        assert [(await one.get("/limited")).status for _ in range(3)] == [200, 200, 429]
    finally:
        process.terminate()
        process.wait(5)


async def test_counters_of_past_windows_are_dropped() -> None:
    counters = LocalCounters()
    for number in range(100):
        await counters.take(f"ip:{number}", [Window("minute", 5, 0)])
    await counters.take("ip:1", [Window("minute", 5, 60)])
    assert len(counters._windows["minute"][1]) == 1


async def test_as_many_callers_as_fit_are_remembered_and_those_who_ask_stay() -> None:
    counters, minute = LocalCounters(most=10), [Window("minute", 2, 0)]
    for _ in range(2):
        await counters.take("ip:busy", minute)
    for number in range(100):
        await counters.take(f"ip:{number}", minute)
        assert await counters.take("ip:busy", minute) == [2]
    assert len(counters._windows["minute"][1]) == 10


async def test_an_ipv6_network_is_one_caller_and_long_names_are_not_kept(
    start: Start, clock: list[float]
) -> None:
    text = FILE.replace("CONFIG", "{minute: 2, limit_by: header, header_name: X-Team}")
    gateway = await start(text, {"a": EchoService()}, trusted=read_networks(["127.0.0.1"], "trusted"))

    async def ask(address: str, **headers: str) -> int:
        return (await gateway.ask("GET", "/limited", headers={"X-Real-IP": address, **headers})).status

    assert [await ask(f"2001:db8:0:1::{number:x}") for number in range(3)] == [200, 200, 429]
    assert await ask("2001:db8:0:2::1") == 200
    long = "x" * 5_000
    answers = [await ask("10.0.0.1", **{"X-Team": f"{long}{end}"}) for end in ("a", "a", "a", "b")]
    assert answers == [200, 200, 429, 200]


@pytest.mark.parametrize(
    ("name", "begins"),
    [
        ("second", datetime(2027, 1, 15, 8, 0, 20, tzinfo=UTC)),
        ("minute", datetime(2027, 1, 15, 8, 0, tzinfo=UTC)),
        ("hour", datetime(2027, 1, 15, 8, tzinfo=UTC)),
        ("day", datetime(2027, 1, 15, tzinfo=UTC)),
        ("month", datetime(2027, 1, 1, tzinfo=UTC)),
        ("year", datetime(2027, 1, 1, tzinfo=UTC)),
    ],
)
def test_windows_begin_where_clocks_and_calendars_say(name: str, begins: datetime) -> None:
    assert window_start(name, NOON) == begins.timestamp()
