"""Token exchange of the confidential client (RFC 8693, as Keycloak 26's standard token exchange)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.identity.server import BACKEND_SECRET, IdentityServer, User, http

EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
TYPES = "urn:ietf:params:oauth:token-type:"
ACCESS_TOKEN = f"{TYPES}access_token"


def own_tokens(server: IdentityServer, user: User, scope: str = "openid") -> dict[str, Any]:
    """Tokens of a user at the client that exchanges."""
    answer = server.token(
        grant_type="password",
        client_id="backend",
        client_secret=BACKEND_SECRET,
        username=user.email,
        password=user.password,
        scope=scope,
    )
    assert answer.status_code == 200, answer.text
    return answer.json()


def exchange(server: IdentityServer, token: str | None, **form: Any) -> httpx.Response:
    """Exchange a token as `backend`; a parameter that is None is left out."""
    given = {
        "grant_type": EXCHANGE,
        "client_id": "backend",
        "client_secret": BACKEND_SECRET,
        "subject_token": token,
        "subject_token_type": ACCESS_TOKEN,
        "scope": "profile",
        **form,
    }
    data = {name: value for name, value in given.items() if value is not None}
    return http.post(f"{server.protocol}/token", data=data)


def refused(answer: httpx.Response) -> tuple[int, str, str]:
    body = answer.json()
    return answer.status_code, body["error"], body["error_description"]


@pytest.fixture
def audience(identity_server: IdentityServer) -> Iterator[None]:
    """Tokens of `jan-client` are meant for `backend` as well."""
    admin = identity_server.master_admin()
    client = admin.get_client(admin.get_client_id("jan-client"))
    mapper = {
        "name": "services",
        "protocol": "openid-connect",
        "protocolMapper": "oidc-audience-mapper",
        "config": {"included.client.audience": "backend", "access.token.claim": "true"},
    }
    admin.update_client(client["id"], {**client, "protocolMappers": [*client["protocolMappers"], mapper]})
    yield
    admin.update_client(client["id"], client)


def test_an_access_token_is_traded_for_one_of_the_client(identity_server: IdentityServer, user: User) -> None:
    held = own_tokens(identity_server, user)
    answer = exchange(identity_server, held["access_token"])
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert set(body) == {
        "access_token",
        "expires_in",
        "refresh_expires_in",
        "token_type",
        "not-before-policy",
        "session_state",
        "scope",
        "issued_token_type",
    }
    assert (body["expires_in"], body["refresh_expires_in"], body["token_type"]) == (300, 0, "Bearer")
    assert body["issued_token_type"] == ACCESS_TOKEN
    claims = identity_server.claims(body["access_token"])
    before = identity_server.claims(held["access_token"])
    for name in ("sub", "azp", "sid", "aud", "realm_access", "resource_access", "preferred_username"):
        assert claims[name] == before[name], name
    assert claims["jti"] != before["jti"]


def test_scopes_are_those_that_are_asked_for(identity_server: IdentityServer, user: User) -> None:
    token = own_tokens(identity_server, user)["access_token"]
    body = exchange(identity_server, token, scope="openid phone").json()
    assert set(body["scope"].split()) == {"openid", "profile", "email", "phone"}
    assert identity_server.claims(body["id_token"])["typ"] == "ID"
    answer = exchange(identity_server, token, scope="nothing")
    assert refused(answer) == (400, "invalid_scope", "Invalid scopes: nothing")


def test_a_requested_audience_leaves_others_and_their_roles_out(
    identity_server: IdentityServer, user: User
) -> None:
    admin = identity_server.master_admin()
    management = admin.get_client_id("realm-management")
    admin.assign_client_role(user.id, management, [admin.get_client_role(management, "view-users")])
    token = own_tokens(identity_server, user)["access_token"]
    whole = identity_server.claims(exchange(identity_server, token).json()["access_token"])
    assert set(whole["aud"]) == {"account", "realm-management"}

    for audience in ("account", "realm-management"):
        body = exchange(identity_server, token, audience=audience).json()
        claims = identity_server.claims(body["access_token"])
        assert claims["aud"] == audience and set(claims["resource_access"]) == {audience}
        assert claims["realm_access"] == whole["realm_access"]
    both = exchange(identity_server, token, audience=["account", "realm-management"]).json()
    assert set(identity_server.claims(both["access_token"])["aud"]) == {"account", "realm-management"}


@pytest.mark.parametrize(
    ("audience", "expected"),
    [
        ("jan-client", (400, "invalid_request", "Requested audience not available: jan-client")),
        ("of nobody", (400, "invalid_client", "Audience not found")),
        ("", (400, "invalid_client", "Audience not found")),
    ],
)
def test_an_audience_has_to_be_there(
    identity_server: IdentityServer, user: User, audience: str, expected: tuple[int, str, str]
) -> None:
    token = own_tokens(identity_server, user)["access_token"]
    assert refused(exchange(identity_server, token, audience=audience)) == expected


def test_a_token_of_another_client_has_to_be_meant_for_this_one(
    identity_server: IdentityServer, user: User, request: pytest.FixtureRequest
) -> None:
    theirs = identity_server.log_in(user)
    answer = exchange(identity_server, theirs["access_token"])
    assert refused(answer) == (403, "access_denied", "Client is not within the token audience")

    request.getfixturevalue("audience")
    theirs = identity_server.log_in(user)
    body = exchange(identity_server, theirs["access_token"]).json()
    claims = identity_server.claims(body["access_token"])
    assert (claims["azp"], claims["sub"]) == ("backend", user.id)
    assert claims["sid"] == identity_server.claims(theirs["access_token"])["sid"]

    identity_server.openid().logout(theirs["refresh_token"])
    answer = exchange(identity_server, theirs["access_token"])
    assert refused(answer) == (400, "invalid_request", "Invalid token")


def test_a_service_account_may_exchange_its_own_token(identity_server: IdentityServer) -> None:
    held = identity_server.backend().token(grant_type="client_credentials")["access_token"]
    body = exchange(identity_server, held).json()
    assert "session_state" not in body
    assert identity_server.claims(body["access_token"])["preferred_username"] == "service-account-backend"


def test_an_id_token_comes_in_the_place_of_the_access_token(
    identity_server: IdentityServer, user: User
) -> None:
    token = own_tokens(identity_server, user)["access_token"]
    body = exchange(identity_server, token, requested_token_type=f"{TYPES}id_token").json()
    assert (body["token_type"], body["issued_token_type"]) == ("N_A", f"{TYPES}id_token")
    assert "id_token" not in body
    claims = identity_server.claims(body["access_token"])
    assert (claims["typ"], claims["aud"], claims["sub"]) == ("ID", "backend", user.id)


@pytest.mark.parametrize("kind", ["refresh_token", "saml2", "nothing"])
def test_other_kinds_of_token_are_not_issued(identity_server: IdentityServer, user: User, kind: str) -> None:
    token = own_tokens(identity_server, user)["access_token"]
    answer = exchange(identity_server, token, requested_token_type=TYPES + kind)
    assert refused(answer) == (400, "invalid_request", "requested_token_type unsupported")


def test_only_good_access_tokens_are_exchanged(identity_server: IdentityServer, user: User) -> None:
    held = own_tokens(identity_server, user)
    for token in ("garbage", "", held["refresh_token"], held["id_token"]):
        assert refused(exchange(identity_server, token)) == (400, "invalid_request", "Invalid token")


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ({"subject_token": None}, "Parameter 'subject_token' required for standard token exchange"),
        ({"subject_token_type": None}, "Parameter 'subject_token_type' required for standard token exchange"),
        ({"subject_token_type": f"{TYPES}jwt"}, "Parameter 'subject_token' supports access tokens only"),
        *(
            ({name: "x"}, f"Parameter '{name}' is not supported for standard token exchange")
            for name in ("requested_subject", "requested_issuer", "subject_issuer")
        ),
        (
            {"client_id": "jan-client", "client_secret": None},
            "Standard token exchange is not enabled for the requested client",
        ),
    ],
)
def test_what_is_not_supported_is_named(
    identity_server: IdentityServer, form: dict[str, Any], words: str
) -> None:
    assert refused(exchange(identity_server, "any", **form)) == (400, "invalid_request", words)


def test_a_client_without_a_secret_exchanges_nothing(identity_server: IdentityServer, user: User) -> None:
    admin = identity_server.master_admin()
    client = admin.get_client(admin.get_client_id("jan-client"))
    enabled = {**client["attributes"], "standard.token.exchange.enabled": "true"}
    admin.update_client(client["id"], {**client, "attributes": enabled})
    try:
        token = identity_server.log_in(user)["access_token"]
        answer = exchange(identity_server, token, client_id="jan-client", client_secret=None)
        assert refused(answer) == (400, "invalid_client", "Public client is not allowed to exchange token")
    finally:
        disabled = {**client["attributes"], "standard.token.exchange.enabled": "false"}
        admin.update_client(client["id"], {**client, "attributes": disabled})


def test_other_grants_take_no_parameter_twice(identity_server: IdentityServer, user: User) -> None:
    form = {"grant_type": "password", "client_id": "jan-client", "audience": ["account", "backend"]}
    answer = http.post(f"{identity_server.protocol}/token", data=form)
    assert refused(answer) == (400, "invalid_request", "duplicated parameter")
