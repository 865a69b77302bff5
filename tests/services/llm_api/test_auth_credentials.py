"""Which credentials count: only what somebody with a key has signed."""

import time

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from jan_server.authentication.identity_header import HEADER, IdentitySigner
from jan_server.authentication.principal import Principal
from tests.services.llm_api.conftest import bearer

FORGED = {
    "X-User-ID": "1",
    "X-User-Subject": "somebody",
    "X-Auth-Method": "apikey",
    "X-Consumer-ID": "1",
    "X-Credential-Identifier": "keycloak-jwt",
    "X-Consumer-Username": "admin",
    "X-User-Email": "admin@example.org",
}


@pytest.fixture(scope="module")
async def person(register):
    return await register("user")


async def test_without_a_credential_nobody_comes_in(llm_api):
    for method, path in [
        ("GET", "/auth/me"),
        ("POST", "/auth/upgrade"),
        ("GET", "/auth/api-keys"),
        ("POST", "/auth/api-keys"),
        ("DELETE", "/auth/api-keys/1"),
        ("GET", "/v1/version"),
        ("GET", "/v1/healthz"),
        ("GET", "/llm/v1/readyz"),
    ]:
        answer = await llm_api.request(method, path, json={})
        assert answer.status_code == 401, path
        assert answer.json()["error"]["type"] == "authentication_error"


async def test_unsigned_identity_headers_are_not_believed(llm_api, person):
    assert (await llm_api.get("/auth/me", headers=FORGED)).status_code == 401
    answer = await llm_api.get("/auth/me", headers={**FORGED, **person.headers})
    assert answer.json()["subject"] == person.id
    assert answer.headers["x-user-subject"] == person.id


@pytest.mark.parametrize("header", ["forged", "unsigned", "signed by another"])
async def test_a_forged_identity_header_is_refused_even_beside_a_good_token(llm_api, person, header):
    claims = {
        "aud": "jan-internal",
        "exp": int(time.time()) + 60,
        "principal": {"subject": "x", "issuer": "y", "roles": ["admin"]},
    }
    value = {
        "forged": "admin",
        "unsigned": jwt.encode(claims, None, algorithm="none"),
        "signed by another": IdentitySigner("another secret of thirty-two bytes or more").sign(
            Principal(subject="x", issuer="y", roles=("admin",))
        ),
    }[header]
    answer = await llm_api.get("/auth/me", headers={**person.headers, HEADER: value})
    assert answer.status_code == 401


async def test_the_gateways_signed_header_is_believed(llm_api, signer):
    principal = Principal(subject="somebody", issuer="http://issuer", username="some-body", roles=("admin",))
    answer = await llm_api.get("/auth/me", headers={HEADER: signer.sign(principal)})
    assert answer.status_code == 200
    assert answer.json()["username"] == "some-body"
    assert answer.json()["is_admin"] is True


def broken_tokens(good):
    claims = jwt.decode(good, options={"verify_signature": False})
    kid = jwt.get_unverified_header(good)["kid"]
    stranger = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    yield "alg none", jwt.encode(claims, None, algorithm="none", headers={"kid": kid})
    yield "another key", jwt.encode(claims, stranger, algorithm="RS256", headers={"kid": kid})
    yield "unknown key", jwt.encode(claims, stranger, algorithm="RS256", headers={"kid": "unknown"})
    yield "shared secret", jwt.encode(claims, "s" * 32, algorithm="HS256", headers={"kid": kid})
    yield "no signature", good.rpartition(".")[0] + "."
    yield "nothing", "x"


async def test_tokens_that_the_realm_did_not_sign_are_refused(llm_api, person):
    for name, token in broken_tokens(person.token):
        answer = await llm_api.get("/auth/me", headers=bearer(token))
        assert answer.status_code == 401, name
        assert answer.json()["error"]["code"] == "invalid_token", name


@pytest.mark.parametrize(
    ("claims", "code"),
    [
        ({"exp": int(time.time()) - 120}, "token_expired"),
        ({"nbf": int(time.time()) + 600}, "invalid_token"),
        ({"iss": "http://localhost:8085/realms/master"}, "invalid_token"),
        ({"aud": "somebody-else"}, "invalid_token"),
        ({"azp": "another-client"}, "invalid_token"),
        ({"typ": "Refresh"}, "invalid_token"),
        ({"typ": "ID"}, "invalid_token"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else value,
)
async def test_signed_tokens_that_are_not_meant_for_this_are_refused(start, keycloak, claims, code):
    user = keycloak.add_user("somebody")
    llm_api = await start(keycloak.url)
    assert (await llm_api.get("/auth/me", headers=bearer(keycloak.token(user)))).status_code == 200
    answer = await llm_api.get("/auth/me", headers=bearer(keycloak.token(user, **claims)))
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == code


async def test_a_script_that_logs_in_with_the_admin_client_is_let_in(start, keycloak):
    user = keycloak.add_user("operator")
    llm_api = await start(keycloak.url)
    answer = await llm_api.get("/auth/me", headers=bearer(keycloak.token(user, azp="jan-admin")))
    assert answer.status_code == 200


async def test_answers_tell_the_caller_whom_the_service_took_it_for(llm_api, person):
    answer = await llm_api.get("/auth/api-keys", headers=person.headers)
    assert answer.headers["x-principal-id"] == person.id
    assert answer.headers["x-auth-method"] == "jwt"
    assert answer.headers["x-user-subject"] == person.id
    assert answer.headers["x-user-email"] == person.email
    assert answer.headers["x-user-id"].isdigit()
    assert "email" in answer.headers["x-scopes"].split(" ")
    assert answer.headers["x-request-id"]
    anonymous = await llm_api.get("/healthz")
    assert "x-principal-id" not in anonymous.headers


async def test_names_in_any_script_travel_in_headers(llm_api, signer):
    principal = Principal(subject="s", issuer="i", username="Łukasz\r\nX-Injected: 1")
    answer = await llm_api.get("/auth/me", headers={HEADER: signer.sign(principal)})
    assert answer.headers["x-user-username"] == "%C5%81ukasz%0D%0AX-Injected: 1"
    assert "x-injected" not in answer.headers
