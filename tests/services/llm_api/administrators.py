"""Administrators in front of the LLM API, and people who are none."""

from __future__ import annotations

import uuid
from typing import Any

import httpx

from jan_server.authentication.principal import Principal
from tests.services.llm_api.callers import Caller


def new_admin(llm_api: httpx.AsyncClient) -> Caller:
    """An administrator who was never seen before, whose requests nobody counted yet."""
    subject = str(uuid.uuid4())
    principal = Principal(
        subject=subject,
        issuer="http://realm.example/realms/jan",
        username="root",
        email="root@example.org",
        roles=("admin",),
    )
    return Caller(llm_api, principal)


def key_of_an_admin(llm_api: httpx.AsyncClient) -> Caller:
    """A key carries its owner's roles; its principal id is the number of a local row, no UUID."""
    principal = Principal(
        subject=f"service account {uuid.uuid4()}",
        issuer="http://realm.example/realms/jan",
        method="apikey",
        user_id="8",
        roles=("admin",),
        key_id="k",
    )
    return Caller(llm_api, principal)


def fresh_name(kind: str) -> str:
    """A name that nobody has."""
    return f"{kind}-{uuid.uuid4().hex[:10]}"


async def make_user(admin: Caller, **members: Any) -> str:
    """The id of a new user."""
    body = {"email": f"{fresh_name('user')}@example.org", **members}
    made = await admin.post("/v1/admin/users", body)
    assert made.status_code == 201, made.text
    return str(made.json()["id"])


async def make_group(admin: Caller, **members: Any) -> str:
    """The id of a new group."""
    made = await admin.post("/v1/admin/groups", {"name": fresh_name("group"), **members})
    assert made.status_code == 201, made.text
    return str(made.json()["id"])


async def make_flag(admin: Caller, key: str, **members: Any) -> str:
    """The id of a new feature flag."""
    made = await admin.post("/v1/admin/feature-flags", {"key": key, "name": key, **members})
    assert made.status_code == 201, made.text
    assert made.content == b""
    return str(made.headers["location"].rpartition("/")[2])
