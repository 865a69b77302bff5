"""An identity server stops or hangs under load: tokens and keys go on, log-ins say 503 until it is back."""

from __future__ import annotations

import asyncio
import base64
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
import httpx
import orjson
import pytest
from fastapi import FastAPI

from jan_server.authentication import jwks
from jan_server.gateway.app import create_app as create_gateway
from jan_server.http.context import ServiceContext
from jan_server.identity.app import create_app as create_identity
from jan_server.services.llm_api import identity_availability
from jan_server.services.llm_api.app import create_app as create_llm_api
from jan_server.settings.tree import Settings, plain
from tests.doubles.line import Line
from tests.doubles.openai_upstream import OpenAIUpstream
from tests.services.llm_api.conftest import UPSTREAM_KEY, bearer, eventually, settings_for
from tests.services.llm_api.platform import TRUST, free_socket, listening

GUEST = "/auth/guest-login"
TOKENS = "/auth/realms/jan/protocol/openid-connect/token"
MODEL = "unknown/scripted-model"
PROMPTLY = 5.0
"""Longest wait for a 503, in seconds."""


@dataclass(frozen=True)
class Outage:
    """A platform whose identity server is behind a line of its own, and callers who came before it went."""

    gateway: httpx.AsyncClient
    line: Line
    guest: dict[str, str]
    unseen: list[str]
    key: str


@pytest.fixture(scope="module")
async def outage(
    tmp_path_factory: pytest.TempPathFactory, database_url: str, client: aiohttp.ClientSession
) -> AsyncIterator[Outage]:
    bound = free_socket()
    async with (
        Line.to(bound.getsockname()[1]) as line,
        OpenAIUpstream(models=["scripted-model"], api_key=UPSTREAM_KEY) as upstream,
    ):
        settings = platform_settings(line.port, upstream.url)
        context = ServiceContext(settings, tmp_path_factory.mktemp("home"), database_url, client)
        llm_api = create_llm_api(context)
        assert isinstance(llm_api, FastAPI)
        async with (
            listening(create_identity(context), bound),
            llm_api.router.lifespan_context(llm_api),
            listening(create_gateway(context, {"llm-api": llm_api})) as address,
            httpx.AsyncClient(base_url=address, timeout=20, verify=TRUST) as gateway,
        ):
            await llm_api.state.resources.serving.sync.sync_providers()
            guest = (await gateway.post(GUEST)).json()
            unseen = [(await gateway.post(GUEST)).json()["access_token"] for _ in range(6)]
            made = await gateway.post(
                "/auth/api-keys", json={"name": "of a test"}, headers=bearer(guest["access_token"])
            )
            yield Outage(gateway, line, guest, unseen, made.json()["key"])


def platform_settings(issuer_port: int, upstream_url: str) -> Settings:
    """Settings of a platform that looks at the issuer's keys all the time."""
    tree = plain(settings_for(f"http://127.0.0.1:{issuer_port}"))
    tree["identity"]["http_port"] = issuer_port
    tree["infrastructure"]["gateway"]["rate_limits_enabled"] = False
    tree["infrastructure"]["auth"]["keycloak"]["refresh_jwks_interval"] = "100ms"
    tree["inference"]["remote"] = {"url": upstream_url, "api_key": UPSTREAM_KEY}
    return Settings.model_validate(tree)


@pytest.fixture(params=["stops", "hangs"])
async def gone(
    request: pytest.FixtureRequest, outage: Outage, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """Makes the identity server unreachable; afterwards it is back."""
    # A hanging server is found out as in production, in less time.
    monkeypatch.setattr("jan_server.services.llm_api.identity_server.PATIENCE_SECONDS", 0.3)
    monkeypatch.setattr(identity_availability, "PROBE_SECONDS", 0.5)
    monkeypatch.setattr(jwks, "UNKNOWN_KEY_PAUSE_SECONDS", 0.1)
    monkeypatch.setattr(jwks, "FETCH_SECONDS", 0.5)
    monkeypatch.setattr(identity_availability, "WATCH_SECONDS", 0.1)

    async def leave() -> None:
        if request.param == "stops":
            await outage.line.cut()
        else:
            outage.line.silence()

    yield leave
    await outage.line.restore()


@dataclass
class Load:
    """What callers with a token and with a key got: how many answers of each status."""

    statuses: Counter[tuple[str, int]] = field(default_factory=Counter)


@asynccontextmanager
async def load(outage: Outage) -> AsyncIterator[Load]:
    """Chats and lists of models, with a token and with a key, while the context lasts."""
    found = Load()
    stop = asyncio.Event()

    async def call(headers: dict[str, str]) -> None:
        while not stop.is_set():
            for method, path, body in (
                ("GET", "/v1/models", None),
                (
                    "POST",
                    "/v1/chat/completions",
                    {"model": MODEL, "messages": [{"role": "user", "content": "?"}]},
                ),
            ):
                answer = await outage.gateway.request(method, path, json=body, headers=headers)
                found.statuses["key" if "X-API-Key" in headers else "token", answer.status_code] += 1
            # The machine is for the issuer and the tests too.
            await asyncio.sleep(0.01)

    async with asyncio.TaskGroup() as group:
        for headers in (bearer(outage.guest["access_token"]), {"X-API-Key": outage.key}) * 2:
            group.create_task(call(headers))
        try:
            yield found
        finally:
            stop.set()


async def test_tokens_and_keys_go_on_and_log_ins_say_503_until_it_is_back(
    outage: Outage, gone: Callable[[], Awaitable[None]]
) -> None:
    gateway = outage.gateway
    async with load(outage) as found:
        await eventually(served(found))
        await gone()

        refused = await asyncio.gather(
            *(
                promptly(gateway.request(method, path, json=body, headers=headers))
                for method, path, body, headers in (
                    ("POST", GUEST, None, {}),
                    ("POST", "/auth/refresh-token", {"refresh_token": outage.guest["refresh_token"]}, {}),
                    ("GET", "/auth/login", None, {}),
                    ("POST", "/auth/validate", None, bearer(outage.guest["access_token"])),
                    ("POST", "/auth/revoke", {"refresh_token": "of nobody"}, {}),
                    ("POST", "/auth/logout", {"refresh_token": "of nobody"}, {}),
                    (
                        "POST",
                        "/auth/upgrade",
                        {"email": "ann@example.org"},
                        bearer(outage.guest["access_token"]),
                    ),
                )
            )
        )
        for answer in refused:
            assert answer.status_code == 503, answer.request.url
            assert answer.json()["code"] == "identity_unavailable", answer.request.url
            assert "the identity server cannot be reached" in answer.json()["message"]
            assert int(answer.headers["retry-after"]) > 0

        # Tokens that nobody has seen before are verified with the keys that are known.
        answer = await gateway.get("/v1/models", headers=bearer(outage.unseen.pop()))
        assert answer.status_code == 200

        # Whether a key of the realm has this name, nobody can tell now.
        async def untold() -> bool:
            answer = await gateway.get("/v1/models", headers=bearer(with_unknown_key(outage.unseen[0])))
            return (answer.status_code, answer.json()["code"]) == (503, "identity_unavailable")

        await eventually(untold)

        await eventually(told_by_readyz(gateway, "degraded"))
        await eventually(served(found))

        await outage.line.restore()

        async def works() -> bool:
            return (await gateway.post(GUEST)).status_code == 201

        await eventually(works)
        answer = await gateway.get("/v1/models", headers=bearer(outage.unseen.pop()))
        assert answer.status_code == 200

        await eventually(told_by_readyz(gateway, "ok"))
    assert {status for _, status in found.statuses} == {200}, found.statuses


async def test_the_realms_own_endpoints_say_503_at_the_gateway(outage: Outage) -> None:
    await outage.line.cut()
    try:
        form = {"grant_type": "password", "client_id": "jan-client", "username": "ann", "password": "-"}
        answer = await outage.gateway.post(TOKENS, data=form)
        assert (answer.status_code, answer.json()["code"]) == (503, "identity_unavailable")
        assert answer.headers["retry-after"]
    finally:
        await outage.line.restore()


def served(found: Load, more: int = 4) -> Callable[[], Awaitable[bool]]:
    """Whether callers of both kinds got some more answers."""
    before = Counter(found.statuses)

    async def enough() -> bool:
        return all(found.statuses[kind, 200] >= before[kind, 200] + more for kind in ("token", "key"))

    return enough


def told_by_readyz(gateway: httpx.AsyncClient, status: str) -> Callable[[], Awaitable[bool]]:
    async def told() -> bool:
        answer = await gateway.get("/readyz")
        return answer.status_code == 200 and answer.json()["checks"]["identity"]["status"] == status

    return told


async def promptly(answer: Awaitable[httpx.Response]) -> httpx.Response:
    return await asyncio.wait_for(answer, PROMPTLY)


def with_unknown_key(token: str) -> str:
    """A token of the realm that names a signing key which nobody knows."""
    header, rest = token.split(".", 1)
    names = orjson.loads(base64.urlsafe_b64decode(header + "=" * (-len(header) % 4)))
    named = base64.urlsafe_b64encode(orjson.dumps({**names, "kid": "of nobody"})).rstrip(b"=").decode()
    return f"{named}.{rest}"
