"""A platform and its callers, to take the identity server away from: what goes on, and what says 503."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import httpx
from fastapi import FastAPI

from jan_server.gateway.app import create_app as create_gateway
from jan_server.http.context import ServiceContext
from jan_server.services.llm_api.app import create_app as create_llm_api
from jan_server.settings.tree import Settings, plain
from tests.doubles.openai_upstream import OpenAIUpstream
from tests.services.llm_api.conftest import UPSTREAM_KEY, bearer, settings_for
from tests.services.llm_api.platform import TRUST, listening

GUEST = "/auth/guest-login"
MODEL = "unknown/scripted-model"
PROMPTLY = 8.0
"""Longest wait for a 503, in seconds."""


@dataclass(frozen=True)
class Callers:
    """Callers of a platform who came before its identity server went.

    Attributes:
        gateway: A client of the gateway.
        guest: What a guest got at its log-in.
        unseen: Access tokens of guests who were not seen since.
        key: An API key of the guest.
    """

    gateway: httpx.AsyncClient
    guest: dict[str, str]
    unseen: list[str]
    key: str


@asynccontextmanager
async def platform(
    identity_url: str,
    backend_secret: str,
    home: Path,
    database_url: str,
    client: aiohttp.ClientSession,
    *,
    issuer: str = "",
) -> AsyncIterator[Callers]:
    """A gateway and an LLM API in front of an identity server, and callers of theirs."""
    async with OpenAIUpstream(models=["scripted-model"], api_key=UPSTREAM_KEY) as upstream:
        issuer = issuer or f"{identity_url}/realms/jan"
        settings = platform_settings(identity_url, issuer, backend_secret, upstream.url)
        context = ServiceContext(settings, home, database_url, client)
        llm_api = create_llm_api(context)
        assert isinstance(llm_api, FastAPI)
        async with (
            llm_api.router.lifespan_context(llm_api),
            listening(create_gateway(context, {"llm-api": llm_api})) as address,
            httpx.AsyncClient(base_url=address, timeout=30, verify=TRUST) as gateway,
        ):
            await llm_api.state.resources.serving.sync.sync_providers()
            guest = (await gateway.post(GUEST)).json()
            unseen = [(await gateway.post(GUEST)).json()["access_token"] for _ in range(6)]
            made = await gateway.post(
                "/auth/api-keys", json={"name": "of a test"}, headers=bearer(guest["access_token"])
            )
            yield Callers(gateway, guest, unseen, made.json()["key"])


def platform_settings(identity_url: str, issuer: str, backend_secret: str, upstream_url: str) -> Settings:
    """Settings of a platform that looks at the realm's keys all the time."""
    tree = plain(settings_for(identity_url))
    tree["identity"]["mode"] = "keycloak"
    tree["infrastructure"]["gateway"]["rate_limits_enabled"] = False
    tree["infrastructure"]["auth"]["keycloak"] |= {
        "refresh_jwks_interval": "100ms",
        "backend_client_secret": backend_secret,
        "issuer": issuer,
    }
    tree["inference"]["remote"] = {"url": upstream_url, "api_key": UPSTREAM_KEY}
    return Settings.model_validate(tree)


@dataclass
class Load:
    """What callers with a token and with a key got: how many answers of each status."""

    statuses: Counter[tuple[str, int]] = field(default_factory=Counter)

    @property
    def failures(self) -> dict[tuple[str, int], int]:
        """The answers that were not 200."""
        return {which: count for which, count in self.statuses.items() if which[1] != 200}

    def served(self, more: int = 4) -> Callable[[], Awaitable[bool]]:
        """Whether, from now on, callers of both kinds got some more answers."""
        before = Counter(self.statuses)

        async def enough() -> bool:
            return all(self.statuses[kind, 200] >= before[kind, 200] + more for kind in ("token", "key"))

        return enough


@asynccontextmanager
async def load(callers: Callers) -> AsyncIterator[Load]:
    """Chats and lists of models, with a token and with a key, while the context lasts."""
    found = Load()
    stop = asyncio.Event()

    async def call(kind: str, headers: dict[str, str]) -> None:
        chat = {"model": MODEL, "messages": [{"role": "user", "content": "?"}]}
        while not stop.is_set():
            for method, path, body in (
                ("GET", "/v1/models", None),
                ("POST", "/v1/chat/completions", chat),
            ):
                answer = await callers.gateway.request(method, path, json=body, headers=headers)
                found.statuses[kind, answer.status_code] += 1
            # The machine is for the identity server and the tests too.
            await asyncio.sleep(0.01)

    async with asyncio.TaskGroup() as group:
        for _ in range(2):
            group.create_task(call("token", bearer(callers.guest["access_token"])))
            group.create_task(call("key", {"X-API-Key": callers.key}))
        try:
            yield found
        finally:
            stop.set()


async def check_refusals(callers: Callers) -> None:
    """Everything that needs the identity server says 503, why, and when to come back; all at once."""
    token = bearer(callers.guest["access_token"])
    refused = await asyncio.gather(
        *(
            asyncio.wait_for(callers.gateway.request(method, path, json=body, headers=headers), PROMPTLY)
            for method, path, body, headers in (
                ("POST", GUEST, None, {}),
                ("POST", "/auth/refresh-token", {"refresh_token": callers.guest["refresh_token"]}, {}),
                ("GET", "/auth/login", None, {}),
                ("POST", "/auth/validate", None, token),
                ("POST", "/auth/revoke", {"refresh_token": "of nobody"}, {}),
                ("POST", "/auth/logout", {"refresh_token": "of nobody"}, {}),
                ("POST", "/auth/upgrade", {"email": "ann@example.org"}, token),
            )
        )
    )
    for answer in refused:
        assert answer.status_code == 503, answer.request.url
        assert answer.json()["code"] == "identity_unavailable", answer.request.url
        assert "the identity server cannot be reached" in answer.json()["message"]
        assert int(answer.headers["retry-after"]) > 0


def told_by_readyz(callers: Callers, status: str) -> Callable[[], Awaitable[bool]]:
    """Whether `/readyz` has this word for the identity server."""

    async def told() -> bool:
        answer = await callers.gateway.get("/readyz")
        return answer.status_code == 200 and answer.json()["checks"]["identity"]["status"] == status

    return told


def guests_come_in(callers: Callers) -> Callable[[], Awaitable[bool]]:
    """Whether log-ins work."""

    async def works() -> bool:
        return (await callers.gateway.post(GUEST)).status_code == 201

    return works
