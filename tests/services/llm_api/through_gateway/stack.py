"""A whole stack in the test's own process: the shipped gateway, identity, the LLM API and a real PostgreSQL.

The providers of models alone are scripted: they stand for what lies outside this machine.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import aiohttp
import httpx
from fastapi import FastAPI
from starlette.types import ASGIApp

from jan_server.gateway.app import create_app as create_gateway
from jan_server.http.context import ServiceContext
from jan_server.identity.app import create_app as create_identity
from jan_server.services.llm_api.app import create_app as create_llm_api
from jan_server.settings.tree import Settings, plain
from tests.doubles.openai_upstream import OpenAIUpstream
from tests.identity.server import given_keycloak
from tests.services.llm_api.conftest import UPSTREAM_KEY, bearer, settings_for
from tests.services.llm_api.platform import TRUST, free_socket, listening

MODEL = "unknown/scripted-model"
"""The only model of the stack, as its callers know it."""

ADMIN_PASSWORD = "the pass phrase of the test stack's administrator"
PASSWORD = "a long pass phrase"
TOKENS = "/auth/realms/jan/protocol/openid-connect/token"


@dataclass(frozen=True)
class Asked:
    """One request that a test sent to the gateway, with the status of its answer."""

    method: str
    path: str
    status: int


@dataclass(frozen=True)
class Visitor:
    """Somebody in front of the gateway, with a real token or key, or with none.

    Attributes:
        client: An HTTP client of the gateway.
        asked: Takes down what is asked.
        mount: What stands in front of every path: nothing, or `/llm`.
        headers: The credential.
    """

    client: httpx.AsyncClient
    asked: list[Asked]
    mount: str = ""
    headers: dict[str, str] = field(default_factory=dict)

    async def send(self, method: str, path: str, *, status: int = 200, **request: Any) -> httpx.Response:
        """Ask, and expect an answer with this status."""
        headers = {**self.headers, **request.pop("headers", {})}
        answer = await self.client.request(method, self.mount + path, headers=headers, **request)
        self.asked.append(Asked(method, path, answer.status_code))
        assert answer.status_code == status, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer

    async def get(self, path: str, *, status: int = 200, **query: Any) -> Any:
        """The JSON of what is there."""
        return (await self.send("GET", path, status=status, params=query)).json()

    async def post(self, path: str, body: Any = None, *, status: int = 200) -> Any:
        return _value(await self.send("POST", path, status=status, json=body))

    async def put(self, path: str, body: Any = None, *, status: int = 200) -> Any:
        return _value(await self.send("PUT", path, status=status, json=body))

    async def patch(self, path: str, body: Any = None, *, status: int = 200) -> Any:
        return _value(await self.send("PATCH", path, status=status, json=body))

    async def delete(self, path: str, *, status: int = 200) -> Any:
        return _value(await self.send("DELETE", path, status=status))

    def with_token(self, token: str) -> Visitor:
        """The same way in, with this access token or API key as the bearer's."""
        return replace(self, headers=bearer(token))

    def with_key(self, key: str) -> Visitor:
        """The same way in, with this API key in the header that the gateway alone reads."""
        return replace(self, headers={"X-API-Key": key})

    async def log_in(self, username: str, password: str = PASSWORD) -> str:
        """An access token by user name and password."""
        form = {"grant_type": "password", "client_id": "jan-admin", "username": username}
        answer = await self.client.post(TOKENS, data={**form, "password": password})
        assert answer.status_code == 200, answer.text
        return str(answer.json()["access_token"])

    async def guest(self) -> Visitor:
        """A new guest."""
        return self.with_token((await self.post("/auth/guest-login", status=201))["access_token"])

    async def key(self, **members: Any) -> str:
        """A new API key of this visitor."""
        made = await self.post("/auth/api-keys", {"name": "of a test", **members}, status=201)
        return str(made["key"])


def _value(answer: httpx.Response) -> Any:
    return answer.json() if answer.content else None


@dataclass(frozen=True)
class WholeStack:
    """A running stack.

    Attributes:
        gateway: The gateway's address.
        llm_api: The app behind it.
        upstream: The provider of all models but those of pictures.
        painter: The provider of pictures.
        visitor: Somebody at the gateway without a credential.
    """

    gateway: str
    llm_api: FastAPI
    upstream: OpenAIUpstream
    painter: OpenAIUpstream
    visitor: Visitor


@asynccontextmanager
async def whole_stack(
    home: Path, database_url: str, client: aiohttp.ClientSession
) -> AsyncIterator[WholeStack]:
    """Run a stack on a migrated database; its issuer is the embedded one, or a Keycloak that was named."""
    bound = free_socket()
    identity_url = f"http://127.0.0.1:{bound.getsockname()[1]}"
    async with (
        OpenAIUpstream(models=["scripted-model"], api_key=UPSTREAM_KEY) as upstream,
        OpenAIUpstream(models=[], api_key=UPSTREAM_KEY) as painter,
    ):
        chosen = settings(identity_url, upstream, painter)
        keycloak = given_keycloak(lambda url: settings(url, upstream, painter, mode="keycloak"))
        if keycloak is not None:
            chosen = keycloak.settings
        context = ServiceContext(chosen, home, database_url, client)
        llm_api = create_llm_api(context)
        assert isinstance(llm_api, FastAPI)
        apps: dict[str, ASGIApp] = {"llm-api": llm_api}
        if keycloak is None:
            apps["identity"] = create_identity(context)
        async with (
            listening(apps["identity"], bound) if keycloak is None else nullcontext(),
            llm_api.router.lifespan_context(llm_api),
            listening(create_gateway(context, apps)) as gateway,
            httpx.AsyncClient(base_url=gateway, timeout=20, verify=TRUST) as caller,
        ):
            await llm_api.state.resources.serving.sync.sync_providers()
            yield WholeStack(gateway, llm_api, upstream, painter, Visitor(caller, []))


def settings(
    identity_url: str, upstream: OpenAIUpstream, painter: OpenAIUpstream, *, mode: str = "embedded"
) -> Settings:
    """The settings of the stack: nothing is counted, everything is switched on."""
    tree = plain(
        settings_for(
            identity_url,
            images={"enabled": True},
            admin_requests_per_minute=0,
            conversations={"public_reads_per_minute": 0},
        )
    )
    tree["identity"] |= {"application_admin_password": ADMIN_PASSWORD, "mode": mode}
    tree["infrastructure"]["gateway"]["rate_limits_enabled"] = False
    tree["inference"] |= {
        "remote": {"url": upstream.url, "api_key": UPSTREAM_KEY},
        "image": {"enabled": True, "url": painter.url, "api_key": UPSTREAM_KEY},
    }
    return Settings.model_validate(tree)


def fresh_name(kind: str) -> str:
    """A name that nobody has."""
    return f"{kind}{uuid.uuid4().hex[:10]}"


def matching(route: str, path: str) -> bool:
    """Whether `path` is one of those that `route` stands for: `{name}` is any text, slashes included."""
    pattern = re.sub(r"\\\{[^}]*\\\}", ".+", re.escape(route))
    return re.fullmatch(pattern, path) is not None
