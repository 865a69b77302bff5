"""The LLM API as its callers meet it, in front of a realm and a database of its own."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import aiohttp
import httpx
import psycopg
import pytest
from fastapi import FastAPI

from jan_server.authentication.identity_header import IdentitySigner
from jan_server.http.context import ServiceContext
from jan_server.identity.app import create_app as create_identity
from jan_server.services.llm_api.accounts import Accounts
from jan_server.services.llm_api.app import create_app, identity_address
from jan_server.services.llm_api.identity_server import IdentityServer
from jan_server.settings.tree import Settings, plain
from tests.conftest import database_named
from tests.doubles.keycloak import BACKEND_SECRET, Keycloak
from tests.doubles.openai_upstream import OpenAIUpstream
from tests.identity.server import given_keycloak
from tests.services.llm_api.platform import Platform, free_socket, listening

HEADER_SECRET = "the header secret of the test platform"
UPSTREAM_KEY = "the key of the scripted provider"
PROVIDER_SECRET = "the provider secret of the test platform"


@pytest.fixture
async def keycloak() -> AsyncIterator[Keycloak]:
    """A scripted Keycloak, for what a working one does not do."""
    async with Keycloak().running() as realm:
        yield realm


@pytest.fixture(scope="session")
async def issuer_url(
    tmp_path_factory: pytest.TempPathFactory,
    postgres_url: str,
    migrated_template: str,
    client: aiohttp.ClientSession,
) -> AsyncIterator[str]:
    """The address of the platform's own identity server, which runs on a real socket, or of a Keycloak."""
    if keycloak := given_keycloak(lambda url: settings_for(url)):
        yield keycloak.url
        return
    name = f"identity_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f'create database "{name}" template "{migrated_template}"')
    bound = free_socket()
    url = f"http://127.0.0.1:{bound.getsockname()[1]}"
    home = tmp_path_factory.mktemp("identity")
    context = ServiceContext(settings_for(url), home, database_named(postgres_url, name), client)
    async with listening(create_identity(context), bound):
        yield url
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f'drop database "{name}" with (force)')


def settings_for(issuer_url: str, **llm_api: Any) -> Settings:
    """Settings of an LLM API whose identity server is at `issuer_url`."""
    return Settings.model_validate(
        {
            "identity": {"header_secret": HEADER_SECRET},
            "infrastructure": {
                # Tests speak for clients at addresses of their own, as a proxy in front would.
                "gateway": {"trusted_ips": ["127.0.0.1"]},
                "auth": {
                    "keycloak": {
                        "base_url": issuer_url,
                        "public_url": issuer_url,
                        "backend_client_secret": BACKEND_SECRET,
                    }
                },
            },
            # Most tests want to meet their own models alone.
            "inference": {"provider": "remote", "embeddings": {"builtin": False}},
            "services": {
                "llm_api": {
                    "model_provider_secret": PROVIDER_SECRET,
                    # What the server adds to prompts by itself has tests of its own.
                    "prompt_orchestration": {"enabled": False},
                    **llm_api,
                }
            },
        }
    )


class Serve(Protocol):
    """Starts an LLM API on a real socket; further sections of the settings replace the usual ones."""

    def __call__(self, upstream: OpenAIUpstream, **sections: Any) -> Awaitable[Platform]: ...


class Start(Protocol):
    """Starts an LLM API with some settings of its own; gives a client of its front door."""

    def __call__(self, issuer_url: str, **llm_api: Any) -> Awaitable[httpx.AsyncClient]: ...


@asynccontextmanager
async def running(context: ServiceContext) -> AsyncIterator[httpx.AsyncClient]:
    """A running LLM API, through its front door."""
    app = create_app(context)
    assert isinstance(app, FastAPI)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://llm-api") as caller,
    ):
        yield caller


@pytest.fixture
async def start(context: Callable[[Settings], ServiceContext]) -> AsyncIterator[Start]:
    async with AsyncExitStack() as stack:

        async def run(issuer_url: str, **llm_api: Any) -> httpx.AsyncClient:
            settings = settings_for(issuer_url, **llm_api)
            return await stack.enter_async_context(running(context(settings)))

        yield run


@pytest.fixture(scope="module")
async def llm_api(
    tmp_path_factory: pytest.TempPathFactory,
    database_url: str,
    client: aiohttp.ClientSession,
    issuer_url: str,
) -> AsyncIterator[httpx.AsyncClient]:
    """The LLM API as it is usually set up, one for a test module."""
    home = tmp_path_factory.mktemp("home")
    async with running(ServiceContext(settings_for(issuer_url), home, database_url, client)) as caller:
        yield caller


@pytest.fixture(scope="module")
async def identity(client: aiohttp.ClientSession, issuer_url: str) -> IdentityServer:
    """The realm, seen by its service account: how tests prepare users."""
    return IdentityServer(client, identity_address(settings_for(issuer_url)))


@pytest.fixture(scope="module")
async def accounts(identity: IdentityServer) -> Accounts:
    return Accounts(identity)


@dataclass(frozen=True)
class Person:
    """A registered user with a token."""

    id: str
    email: str
    password: str
    token: str
    refresh_token: str

    @property
    def headers(self) -> dict[str, str]:
        return bearer(self.token)


@pytest.fixture(scope="module")
async def register(identity: IdentityServer, accounts: Accounts) -> Callable[..., Awaitable[Person]]:
    """Makes a user with some roles and logs it in."""

    async def make(*roles: str) -> Person:
        name = f"person-{uuid.uuid4().hex[:8]}"
        email, password = f"{name}@example.org", "a long pass phrase"
        user_id = await accounts.create(username=name, email=email, password=password, attributes={})
        for role in roles:
            await accounts.add_role(user_id, role)
        tokens = await identity.password_grant(email, password)
        return Person(user_id, email, password, tokens.access_token, tokens.refresh_token)

    return make


@pytest.fixture(scope="module")
async def upstream() -> AsyncIterator[OpenAIUpstream]:
    """A scripted provider of models on a real socket."""
    async with OpenAIUpstream(models=["scripted-model"], api_key=UPSTREAM_KEY) as running:
        yield running


@pytest.fixture(scope="module")
async def serve(
    database_url: str, client: aiohttp.ClientSession, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Serve]:
    """Starts LLM APIs on real sockets."""
    async with AsyncExitStack() as stack:

        async def run(upstream: OpenAIUpstream, **sections: Any) -> Platform:
            remote = {"url": upstream.url, "api_key": UPSTREAM_KEY}
            settings = settings_for("http://127.0.0.1:9", **sections.pop("llm_api", {}))
            tree = plain(settings) | {"inference": {"provider": "remote", "remote": remote}} | sections
            tree["inference"] = {"embeddings": {"builtin": False}} | tree["inference"]
            surroundings = ServiceContext(
                settings=Settings.model_validate(tree),
                home=tmp_path_factory.mktemp("home"),
                database_url=database_url,
                client=client,
            )
            app = create_app(surroundings)
            assert isinstance(app, FastAPI)
            url = await stack.enter_async_context(listening(app))
            return Platform(url, app, upstream, IdentitySigner(HEADER_SECRET))

        yield run


@pytest.fixture(scope="module")
async def serving_platform(serve: Serve, upstream: OpenAIUpstream) -> Platform:
    platform = await serve(upstream)
    await platform.serving.sync.sync_providers()
    return platform


@pytest.fixture
def platform(serving_platform: Platform) -> Platform:
    """A running LLM API whose only provider answers what the test scripts."""
    serving_platform.upstream.reset()
    return serving_platform


@pytest.fixture
def signer() -> IdentitySigner:
    """Signs as the platform's gateway does."""
    return IdentitySigner(HEADER_SECRET)


def bearer(credential: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {credential}"}


async def eventually(condition: Callable[[], Awaitable[bool]], seconds: float = 10.0) -> None:
    """Ask until `condition` holds; TimeoutError when it never does."""
    async with asyncio.timeout(seconds):
        while not await condition():  # noqa: ASYNC110 - what is waited for is on the other side
            await asyncio.sleep(0.05)
