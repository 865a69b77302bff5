"""Callers who are no administrators, whichever credential they have."""

from __future__ import annotations

import uuid

import httpx

from jan_server.authentication.principal import Principal
from tests.services.llm_api.callers import Caller

ISSUER = "http://realm.example/realms/jan"


def guest(llm_api: httpx.AsyncClient) -> Caller:
    return Caller(llm_api, Principal(subject=str(uuid.uuid4()), issuer=ISSUER, roles=("guest",), guest=True))


def user(llm_api: httpx.AsyncClient) -> Caller:
    return Caller(llm_api, Principal(subject=str(uuid.uuid4()), issuer=ISSUER, roles=("user",)))


def key_of_a_user(llm_api: httpx.AsyncClient) -> Caller:
    principal = Principal(
        subject=str(uuid.uuid4()), issuer=ISSUER, method="apikey", user_id="7", roles=("user",), key_id="k"
    )
    return Caller(llm_api, principal)


def key_of_an_admin(llm_api: httpx.AsyncClient) -> Caller:
    """A key carries its owner's roles; its principal id is the number of a local row, no UUID."""
    principal = Principal(
        subject=f"service account {uuid.uuid4()}",
        issuer=ISSUER,
        method="apikey",
        user_id="8",
        roles=("admin",),
        key_id="k",
    )
    return Caller(llm_api, principal)


REFUSED = (guest, user, key_of_a_user)


async def assert_only_administrators(llm_api: httpx.AsyncClient, method: str, path: str) -> None:
    """A route answers 403 to a guest, a user and a key, 401 without a credential, also below `/llm`."""
    for prefix in ("", "/llm"):
        for make in REFUSED:
            answer = await make(llm_api).send(method, prefix + path, json={})
            assert (answer.status_code, answer.json()["message"]) == (403, "Admin access required")
        assert (await llm_api.request(method, prefix + path, json={})).status_code == 401
