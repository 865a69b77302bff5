"""An identity server stops or hangs under load: tokens and keys go on, log-ins say 503 until it is back."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import aiohttp
import orjson
import pytest

from jan_server.authentication import jwks
from jan_server.http.context import ServiceContext
from jan_server.identity.app import create_app as create_identity
from jan_server.services.llm_api import identity_availability, identity_server
from tests.doubles.keycloak import BACKEND_SECRET
from tests.doubles.line import Line
from tests.services.llm_api.conftest import bearer, eventually, settings_for
from tests.services.llm_api.outages import (
    Callers,
    check_refusals,
    guests_come_in,
    load,
    platform,
    told_by_readyz,
)
from tests.services.llm_api.platform import free_socket, listening

TOKENS = "/auth/realms/jan/protocol/openid-connect/token"


@dataclass(frozen=True)
class Outage:
    """Callers of a platform whose identity server is at the other end of a line."""

    callers: Callers
    line: Line


@pytest.fixture(scope="module")
async def outage(
    tmp_path_factory: pytest.TempPathFactory, database_url: str, client: aiohttp.ClientSession
) -> AsyncIterator[Outage]:
    bound, home = free_socket(), tmp_path_factory.mktemp("home")
    async with Line.to(bound.getsockname()[1]) as line:
        url = f"http://127.0.0.1:{line.port}"
        issuer = create_identity(ServiceContext(settings_for(url), home, database_url, client))
        async with (
            listening(issuer, bound),
            platform(url, BACKEND_SECRET, home, database_url, client) as callers,
        ):
            yield Outage(callers, line)


@pytest.fixture(params=["stops", "hangs"])
async def leave(
    request: pytest.FixtureRequest, outage: Outage, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """Makes the identity server unreachable; afterwards it is back."""
    # A hanging server is found out as in production, in less time.
    monkeypatch.setattr(identity_server, "PATIENCE_SECONDS", 0.3)
    monkeypatch.setattr(identity_availability, "PROBE_SECONDS", 0.5)
    monkeypatch.setattr(identity_availability, "WATCH_SECONDS", 0.1)
    monkeypatch.setattr(jwks, "UNKNOWN_KEY_PAUSE_SECONDS", 0.1)
    monkeypatch.setattr(jwks, "FETCH_SECONDS", 0.5)

    async def go() -> None:
        if request.param == "stops":
            await outage.line.cut()
        else:
            outage.line.silence()

    yield go
    await outage.line.restore()


async def test_tokens_and_keys_go_on_and_log_ins_say_503_until_it_is_back(
    outage: Outage, leave: Callable[[], Awaitable[None]]
) -> None:
    callers = outage.callers

    async def status_of(token: str) -> int:
        return (await callers.gateway.get("/v1/models", headers=bearer(token))).status_code

    async with load(callers) as found:
        await eventually(found.served())
        await leave()
        await check_refusals(callers)
        assert await status_of(callers.unseen.pop()) == 200, "the keys that are known verify new tokens too"

        async def nobody_can_tell() -> bool:
            return await status_of(with_unknown_key(callers.unseen[0])) == 503

        await eventually(nobody_can_tell)
        await eventually(told_by_readyz(callers, "degraded"))
        await eventually(found.served())

        await outage.line.restore()
        await eventually(guests_come_in(callers))
        assert await status_of(callers.unseen.pop()) == 200
        await eventually(told_by_readyz(callers, "ok"))
    assert found.failures == {}


async def test_the_realms_own_endpoints_say_503_at_the_gateway(outage: Outage) -> None:
    await outage.line.cut()
    try:
        form = {"grant_type": "password", "client_id": "jan-client", "username": "ann", "password": "-"}
        answer = await outage.callers.gateway.post(TOKENS, data=form)
        assert (answer.status_code, answer.json()["code"]) == (503, "identity_unavailable")
        assert answer.headers["retry-after"]
    finally:
        await outage.line.restore()


def with_unknown_key(token: str) -> str:
    """A token of the realm that names a signing key which nobody knows."""
    header, rest = token.split(".", 1)
    names = orjson.loads(base64.urlsafe_b64decode(header + "=" * (-len(header) % 4)))
    named = base64.urlsafe_b64encode(orjson.dumps({**names, "kid": "of nobody"})).rstrip(b"=").decode()
    return f"{named}.{rest}"
