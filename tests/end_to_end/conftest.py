"""One running platform for all tests of this folder: the real command and the real engine, and beside them
a scripted provider that stands in for one on another machine."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from tests.builtin_model import give_builtin_model
from tests.doubles.openai_upstream import Answer, OpenAIUpstream
from tests.identity.server import given_keycloak, settings_for_tests
from tests.running_stack import StackHome, make_home, stop

SCRIPTED_MODEL = "scripted-model"
REASONING_MODELS = ("scripted-o3", "scripted-claude-sonnet-4")
"""Scripted as well; their names say to tools that look at names that they reason."""


@dataclass(frozen=True)
class Platform:
    """What the tests talk to: the running stack, and the provider double behind the scripted model."""

    stack: StackHome
    upstream: OpenAIUpstream

    @property
    def gateway(self) -> str:
        return self.stack.url("gateway")


@pytest.fixture(scope="session")
async def platform(tmp_path_factory: pytest.TempPathFactory, home_template: Path) -> AsyncIterator[Platform]:
    async with OpenAIUpstream(models=[SCRIPTED_MODEL, *REASONING_MODELS]) as upstream:
        provider = {"name": "Scripted", "url": upstream.url, "api_key": "a key of the provider's own"}
        stack = make_home(
            home_template,
            tmp_path_factory.mktemp("platform"),
            JAN_PROVIDERS=json.dumps([provider]),
            JAN_RATE_LIMITS_ENABLED="false",
        )
        give_builtin_model(stack.home)
        use_given_keycloak(stack)
        done = stack.jan("up", "-d")
        assert done.returncode == 0, f"{done.stdout}{done.stderr}\n{stack.logs()}"
        yield Platform(stack, upstream)
        stop(stack)


def use_given_keycloak(stack: StackHome) -> None:
    """Take the Keycloak of JAN_TEST_KEYCLOAK_URL for the platform's issuer, if such is named."""
    keycloak = given_keycloak(lambda url: settings_for_tests())
    if keycloak is None:
        return
    # A realm of other tests has other secrets and another administrator.
    keycloak.master_admin().delete_realm("jan")
    stack.environment.update(
        JAN_IDENTITY_MODE="keycloak",
        KEYCLOAK_BASE_URL=keycloak.url,
        KEYCLOAK_PUBLIC_URL=keycloak.url,
        KEYCLOAK_ADMIN=keycloak.master_user,
        KEYCLOAK_ADMIN_PASSWORD=keycloak.master_password,
    )
    stack.must("identity", "setup")


@pytest.fixture(autouse=True)
def answering_upstream(platform: Platform) -> None:
    """Each test begins with a provider that answers."""
    platform.upstream.reset()
    platform.upstream.always(Answer("Hi"))


@pytest.fixture(scope="session")
async def guest_token(platform: Platform) -> str:
    async with httpx.AsyncClient(base_url=platform.gateway) as client:
        answer = await client.post("/auth/guest-login")
    assert answer.status_code == 201, answer.text
    return str(answer.json()["access_token"])


@pytest.fixture(scope="session")
async def api_key(platform: Platform, guest_token: str) -> str:
    headers = {"Authorization": f"Bearer {guest_token}"}
    async with httpx.AsyncClient(base_url=platform.gateway, headers=headers) as client:
        answer = await client.post("/auth/api-keys", json={"name": "end to end"})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["key"])


@pytest.fixture(scope="session")
async def model_ids(platform: Platform, guest_token: str) -> list[str]:
    headers = {"Authorization": f"Bearer {guest_token}"}
    async with httpx.AsyncClient(base_url=platform.gateway, headers=headers) as client:
        answer = await client.get("/v1/models")
    return [model["id"] for model in answer.json()["data"]]


@pytest.fixture(scope="session")
def scripted_model(model_ids: list[str]) -> str:
    return next(name for name in model_ids if SCRIPTED_MODEL in name)


@pytest.fixture(scope="session")
def builtin_model_id(model_ids: list[str]) -> str:
    return next(name for name in model_ids if "smollm2" in name)


@pytest.fixture
def realm_key(platform: Platform, guest_token: str) -> tuple[Any, str]:
    """The realm's own signing key and its id, as only the operator has it."""
    value = platform.stack.must("config", "get", "JAN_REALM_SIGNING_KEY", "--reveal").strip()
    pem = value.encode() if value.startswith("-----") else base64.b64decode(value)
    return load_pem_private_key(pem, None), jwt.get_unverified_header(guest_token)["kid"]
