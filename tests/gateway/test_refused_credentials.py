"""Guessing at credentials: an address that is refused too often is not listened to for a while."""

from __future__ import annotations

import aiohttp
import pytest

from jan_server.gateway import refused_credentials
from jan_server.gateway.refused_credentials import RefusedCredentials
from jan_server.http.errors import ApiError
from tests.gateway.platform import GOOD_KEY, LlmApi, platform
from tests.gateway.realm import Realm


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr(refused_credentials.time, "monotonic", lambda: now[0])
    return now


def refuses(refusals: RefusedCredentials, address: str) -> int:
    """The seconds after which the address may try again; 0 where it may now."""
    try:
        refusals.check(address)
    except ApiError as error:
        assert error.status == 429
        return int(error.headers["Retry-After"])
    return 0


async def test_keys_are_not_validated_without_end(realm: Realm, client: aiohttp.ClientSession) -> None:
    llm_api = LlmApi()
    async with platform(realm, client, {"llm-api": llm_api}, refused_credentials=3) as gateway:
        known = realm.bearer()
        assert (await gateway.ask("GET", "/v1/models", headers=known)).status == 200
        statuses = [
            (await gateway.get("/v1/models", X_API_Key=f"sk_bad_{number}")).status for number in range(5)
        ]
        assert statuses == [401, 401, 401, 429, 429]
        assert llm_api.validated == 3
        reply = await gateway.get("/v1/models", X_API_Key=GOOD_KEY)
        assert (reply.status, reply.json["code"]) == (429, "rate_limit_exceeded")
        assert 0 < int(reply.headers["Retry-After"]) <= 20
        # Who is known already is not a guess, and public paths ask for nothing.
        assert (await gateway.ask("GET", "/v1/models", headers=known)).status == 200
        assert (await gateway.get("/v1/mcp-tools")).status == 200


async def test_bad_tokens_count_too_and_missing_ones_do_not(
    realm: Realm, client: aiohttp.ClientSession
) -> None:
    async with platform(realm, client, {"llm-api": LlmApi()}, refused_credentials=2) as gateway:
        for _ in range(3):
            assert (await gateway.get("/v1/models")).status == 401
        statuses = [
            (await gateway.get("/v1/models", Authorization=f"Bearer nonsense{number}")).status
            for number in range(3)
        ]
        assert statuses == [401, 401, 429]


@pytest.mark.parametrize("off", [{"refused_credentials": 0}, {"rate_limits_enabled": False}])
async def test_it_can_be_switched_off(
    realm: Realm, client: aiohttp.ClientSession, off: dict[str, object]
) -> None:
    async with platform(realm, client, {"llm-api": LlmApi()}, **{"refused_credentials": 1, **off}) as gateway:
        for _ in range(3):
            assert (await gateway.get("/v1/models", X_API_Key="sk_bad")).status == 401


def test_time_fills_the_bucket_again(clock: list[float]) -> None:
    refusals = RefusedCredentials(60)
    for _ in range(60):
        assert refuses(refusals, "10.0.0.1") == 0
        refusals.count("10.0.0.1")
    assert refuses(refusals, "10.0.0.1") == 1
    assert refuses(refusals, "10.0.0.2") == 0
    clock[0] += 1
    assert refuses(refusals, "10.0.0.1") == 0


def test_an_ipv6_network_is_one_address_and_the_table_stays_small(clock: list[float]) -> None:
    refusals = RefusedCredentials(1)
    refusals.count("2001:db8:0:1::1")
    assert refuses(refusals, "2001:db8:0:1::2")
    assert not refuses(refusals, "2001:db8:0:2::1")
    for number in range(refused_credentials.REMEMBERED_ADDRESSES + 10):
        refusals.count(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
    assert len(refusals._buckets) == refused_credentials.REMEMBERED_ADDRESSES
