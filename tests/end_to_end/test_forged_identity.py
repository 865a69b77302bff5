"""Nobody becomes somebody by saying so: forged headers and tokens are refused at the front door."""

from __future__ import annotations

import time
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from jan_server.authentication.identity_header import IdentitySigner
from jan_server.authentication.principal import Principal
from tests.end_to_end.conftest import Platform

STRANGER = rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture
async def caller(platform: Platform):
    async with httpx.AsyncClient(base_url=platform.gateway) as client:
        yield client


@pytest.mark.parametrize(
    "headers",
    [
        {"X-User-ID": "1", "X-User-Subject": "somebody", "X-Auth-Method": "apikey"},
        {
            "X-Consumer-ID": "1",
            "X-Credential-Identifier": "somebody",
            "X-Consumer-Username": "keycloak-issuer",
        },
        {"X-Jan-Identity": "somebody"},
        {"X-Jan-Identity": IdentitySigner("x" * 40).sign(Principal(subject="somebody", issuer="jan"))},
        {},
    ],
)
@pytest.mark.parametrize("path", ["/v1/models", "/llm/v1/models", "/auth/me", "/v1/conversations"])
async def test_a_claimed_identity_is_no_identity(caller, headers, path):
    answer = await caller.get(path, headers=headers)
    assert answer.status_code == 401
    assert answer.json()["message"]


async def test_a_forged_header_beside_a_real_token_changes_nothing(caller, guest_token):
    real = {"Authorization": f"Bearer {guest_token}"}
    me = (await caller.get("/auth/me", headers=real)).json()
    forged = {
        **real,
        "X-User-ID": "1",
        "X-User-Subject": "admin",
        "X-Jan-Identity": "x",
        "X-Consumer-ID": "1",
    }
    assert (await caller.get("/auth/me", headers=forged)).json() == me


@pytest.mark.parametrize("service", ["llm-api"])
async def test_the_service_itself_believes_no_unsigned_header_either(platform, service):
    async with httpx.AsyncClient(base_url=platform.stack.url(service)) as direct:
        for headers in (
            {"X-User-ID": "1", "X-User-Subject": "s", "X-Auth-Method": "apikey"},
            {"X-Jan-Identity": "s"},
        ):
            assert (await direct.get("/v1/models", headers=headers)).status_code == 401


def claims(real: str, **changes: Any) -> dict[str, Any]:
    """What a real token says, with some of it changed."""
    said = jwt.decode(real, options={"verify_signature": False})
    return {**said, "sub": "somebody", **changes}


async def test_tokens_that_the_realm_did_not_sign_are_refused(caller, platform, guest_token):
    head = {"kid": jwt.get_unverified_header(guest_token)["kid"]}
    issuer = claims(guest_token)["iss"]
    async with httpx.AsyncClient() as plain:
        public = (await plain.get(issuer)).json()["public_key"]
    said = claims(guest_token)
    header, _, signature = guest_token.split(".")
    forged = {
        "no signature": jwt.encode(said, None, "none", headers=head),
        "a stranger's key": jwt.encode(said, STRANGER, "RS256", headers=head),
        "the public key as a shared secret": jwt.encode(said, public, "HS256", headers=head),
        "a changed body": f"{header}.{jwt.encode(said, None, 'none').split('.')[1]}.{signature}",
    }
    for name, token in forged.items():
        answer = await caller.get("/v1/models", headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == 401, name


async def test_an_expired_token_and_another_realms_are_refused(caller, guest_token, realm_key):
    key, kid = realm_key

    async def status(**changes: Any) -> int:
        token = jwt.encode(claims(guest_token, **changes), key, "RS256", headers={"kid": kid})
        return (await caller.get("/v1/models", headers={"Authorization": f"Bearer {token}"})).status_code

    now = int(time.time())
    assert await status() == 200
    assert await status(iat=now - 4000, exp=now - 400) == 401
    assert await status(iss=claims(guest_token)["iss"].replace("/jan", "/master")) == 401
    assert await status(azp="stranger") == 401
    assert await status(nbf=now + 600) == 401


async def test_a_key_is_refused_from_the_first_request_after_its_revocation(caller, guest_token):
    owner = {"Authorization": f"Bearer {guest_token}"}
    made = (await caller.post("/auth/api-keys", json={"name": "short-lived"}, headers=owner)).json()
    for header in ({"X-API-Key": made["key"]}, {"Authorization": f"Bearer {made['key']}"}):
        assert (await caller.get("/v1/models", headers=header)).status_code == 200
    assert (await caller.delete(f"/auth/api-keys/{made['id']}", headers=owner)).status_code == 204
    for header in ({"X-API-Key": made["key"]}, {"Authorization": f"Bearer {made['key']}"}):
        assert (await caller.get("/v1/models", headers=header)).status_code == 401


async def test_a_key_and_a_token_of_different_people_conflict(caller, guest_token, api_key):
    other = (await caller.post("/auth/guest-login")).json()["access_token"]
    answer = await caller.get(
        "/v1/models", headers={"Authorization": f"Bearer {other}", "X-API-Key": api_key}
    )
    assert answer.status_code == 401
    assert "conflicting credentials" in answer.json()["message"]
