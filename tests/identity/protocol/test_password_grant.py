"""The password grant: who gets in, and what the tokens say."""

import time
from collections.abc import Callable

import pytest
from keycloak.exceptions import KeycloakAuthenticationError

from tests.identity.server import APPLICATION_ADMIN_PASSWORD, PASSWORD, IdentityServer, User, http


def test_the_answer_has_every_member_that_callers_rely_on(identity_server: IdentityServer, user: User):
    body = identity_server.log_in(user)
    assert body["token_type"] == "Bearer"
    assert body["expires_in"] == 3600
    assert 2_591_990 <= body["refresh_expires_in"] <= 2_592_000
    assert body["not-before-policy"] == 0
    assert set(body["scope"].split()) == {"openid", "profile", "email"}
    assert {"access_token", "refresh_token", "id_token", "session_state"} <= set(body)


def test_there_is_an_id_token_only_when_openid_is_asked_for(identity_server: IdentityServer, user: User):
    body = identity_server.log_in(user, scope="profile")
    assert "id_token" not in body
    assert set(body["scope"].split()) == {"profile", "email"}


def test_the_access_token_says_what_keycloaks_says(
    identity_server: IdentityServer, new_user: Callable[..., User]
):
    user = new_user(firstName="Ada", lastName="Lovelace", attributes={"guest": ["true"], "pid": ["p-1"]})
    body = identity_server.log_in(user)
    claims = identity_server.claims(body["access_token"])
    issuer = identity_server.openid().well_known()["issuer"]
    assert claims["iss"] == issuer
    assert claims["sub"] == user.id
    assert claims["typ"] == "Bearer"
    assert claims["azp"] == "jan-client"
    assert claims["aud"] == "account"
    assert claims["sid"] == body["session_state"]
    assert claims["acr"] == "1"
    assert claims["exp"] - claims["iat"] == 3600
    assert abs(claims["iat"] - time.time()) < 60
    assert claims["jti"]
    assert claims["scope"].split()[0] == "openid"
    assert {"http://localhost:3000", "http://127.0.0.1:8000"} <= set(claims["allowed-origins"])
    assert set(claims["realm_access"]["roles"]) == {
        "default-roles-jan",
        "offline_access",
        "uma_authorization",
    }
    assert set(claims["resource_access"]["account"]["roles"]) == {
        "manage-account",
        "manage-account-links",
        "view-profile",
    }
    assert claims["preferred_username"] == user.email
    assert claims["email"] == user.email
    assert claims["email_verified"] is False
    assert (claims["name"], claims["given_name"], claims["family_name"]) == (
        "Ada Lovelace",
        "Ada",
        "Lovelace",
    )
    assert claims["guest"] == "true"
    assert claims["pid"] == "p-1"
    assert claims["groups"] == ["/standard"]


def test_what_an_account_lacks_is_left_out(identity_server: IdentityServer, user: User):
    claims = identity_server.claims(identity_server.log_in(user)["access_token"])
    assert not {"name", "given_name", "family_name", "guest", "pid", "feature_flags"} & set(claims)


def test_the_id_token_is_for_the_client(identity_server: IdentityServer, user: User):
    body = identity_server.log_in(user)
    claims = identity_server.claims(body["id_token"])
    assert claims["aud"] == "jan-client"
    assert claims["typ"] == "ID"
    assert claims["sub"] == user.id
    assert claims["sid"] == body["session_state"]
    assert claims["groups"] == ["/standard"]
    assert claims["at_hash"]


def test_feature_flags_come_from_all_groups_of_a_user(
    identity_server: IdentityServer, new_user: Callable[..., User]
):
    admin = identity_server.backend_admin()
    parent = admin.create_group({"name": "flag-parent", "attributes": {"feature_flags": ["one", "two"]}})
    child = admin.create_group(
        {"name": "flag-child", "attributes": {"feature_flags": ["two", "three"]}}, parent=parent
    )
    user = new_user(groups=["/pilot_users"])
    admin.group_user_add(user.id, child)
    try:
        claims = identity_server.claims(identity_server.log_in(user)["access_token"])
    finally:
        admin.delete_group(parent)
    assert sorted(claims["feature_flags"]) == ["experimental_models", "one", "three", "two"]
    assert sorted(claims["groups"]) == ["/flag-parent/flag-child", "/pilot_users", "/standard"]


def test_the_application_administrator_has_the_admin_role(identity_server: IdentityServer):
    body = identity_server.token(
        grant_type="password", client_id="jan-admin", username="admin", password=APPLICATION_ADMIN_PASSWORD
    ).json()
    claims = identity_server.claims(body["access_token"])
    assert claims["azp"] == "jan-admin"
    assert "admin" in claims["realm_access"]["roles"]
    assert "realm-management" not in claims["resource_access"]


@pytest.mark.parametrize("login", ["email", "email in capitals"])
def test_people_log_in_by_email_in_any_case(identity_server: IdentityServer, user: User, login: str):
    name = user.email.upper() if login == "email in capitals" else user.email
    assert identity_server.openid().token(name, PASSWORD)["access_token"]


@pytest.mark.parametrize("known", [True, False])
def test_a_wrong_password_and_an_unknown_user_look_the_same(
    identity_server: IdentityServer, user: User, known: bool
):
    name = user.email if known else "nobody@example.org"
    answer = identity_server.token(
        grant_type="password", client_id="jan-client", username=name, password="wrong"
    )
    assert answer.status_code == 401
    assert answer.json() == {"error": "invalid_grant", "error_description": "Invalid user credentials"}
    with pytest.raises(KeycloakAuthenticationError):
        identity_server.openid().token(name, "wrong")


def test_a_disabled_account_and_a_temporary_password_do_not_get_in(
    identity_server: IdentityServer, user: User
):
    admin = identity_server.backend_admin()
    admin.update_user(user.id, {"enabled": False})
    form = {"grant_type": "password", "client_id": "jan-client", "username": user.email, "password": PASSWORD}
    answer = identity_server.token(**form)
    assert (answer.status_code, answer.json()["error_description"]) == (400, "Account disabled")
    admin.update_user(user.id, {"enabled": True})
    admin.set_user_password(user.id, PASSWORD, temporary=True)
    answer = identity_server.token(**form)
    assert (answer.status_code, answer.json()["error_description"]) == (400, "Account is not fully set up")


@pytest.mark.parametrize(
    ("form", "status", "error"),
    [
        ({}, 400, "invalid_request"),
        ({"grant_type": "telepathy", "client_id": "jan-client"}, 400, "unsupported_grant_type"),
        ({"grant_type": "password", "username": "a", "password": "b"}, 401, "invalid_client"),
        ({"grant_type": "password", "client_id": "nobody"}, 401, "invalid_client"),
        ({"grant_type": "client_credentials", "client_id": "backend"}, 401, "unauthorized_client"),
        (
            {"grant_type": "client_credentials", "client_id": "backend", "client_secret": "x"},
            401,
            "unauthorized_client",
        ),
        ({"grant_type": "client_credentials", "client_id": "jan-client"}, 401, "unauthorized_client"),
        ({"grant_type": "refresh_token", "client_id": "jan-client"}, 400, "invalid_request"),
        (
            {"grant_type": "refresh_token", "client_id": "jan-client", "refresh_token": "x"},
            400,
            "invalid_grant",
        ),
        ({"grant_type": "authorization_code", "client_id": "jan-client"}, 400, "invalid_request"),
    ],
)
def test_refusals_say_error_and_description(
    identity_server: IdentityServer, form: dict[str, str], status: int, error: str
):
    answer = identity_server.token(**form)
    assert (answer.status_code, answer.json()["error"]) == (status, error)
    assert answer.json()["error_description"]
    assert "no-store" in answer.headers["cache-control"]


def test_an_unknown_scope_is_refused(identity_server: IdentityServer, user: User):
    answer = identity_server.token(
        grant_type="password",
        client_id="jan-client",
        username=user.email,
        password=PASSWORD,
        scope="openid everything",
    )
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_scope")


def test_a_parameter_that_comes_twice_is_refused(identity_server: IdentityServer):
    answer = http.post(
        f"{identity_server.protocol}/token",
        content="grant_type=password&grant_type=password&client_id=jan-client",
        headers={"content-type": "application/x-www-form-urlencoded"},
    )
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


def test_the_wrong_method_is_405(identity_server: IdentityServer):
    assert http.get(f"{identity_server.protocol}/token").status_code == 405


def test_only_pages_of_the_client_may_read_tokens(identity_server: IdentityServer, user: User):
    form = {"grant_type": "password", "client_id": "jan-client", "username": user.email, "password": PASSWORD}
    for origin, allowed in (("http://localhost:3000", True), ("http://evil.example", False)):
        answer = http.post(f"{identity_server.protocol}/token", data=form, headers={"Origin": origin})
        assert (answer.headers.get("access-control-allow-origin") == origin) is allowed
    preflight = http.options(
        f"{identity_server.protocol}/token",
        headers={"Origin": "http://localhost:3000", "Access-Control-Request-Method": "POST"},
    )
    assert preflight.status_code == 200
    assert "POST" in preflight.headers["access-control-allow-methods"]
