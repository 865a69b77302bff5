"""Userinfo, introspection and revocation: what a token says while it is good."""

import httpx
import pytest

from tests.identity.server import BACKEND_SECRET, IdentityServer, User, http


def _userinfo(identity_server: IdentityServer, token: str) -> httpx.Response:
    return http.get(f"{identity_server.protocol}/userinfo", headers={"Authorization": f"Bearer {token}"})


def test_userinfo_says_who_somebody_is(identity_server: IdentityServer, user: User):
    body = identity_server.log_in(user)
    found = identity_server.openid().userinfo(body["access_token"])
    assert found["sub"] == user.id
    assert found["email"] == found["preferred_username"] == user.email
    assert found["email_verified"] is False
    assert found["groups"] == ["/standard"]
    posted = http.post(
        f"{identity_server.protocol}/userinfo", headers={"Authorization": f"Bearer {body['access_token']}"}
    )
    assert posted.json() == found


def test_userinfo_needs_a_good_token_with_openid(identity_server: IdentityServer, user: User):
    body = identity_server.log_in(user)
    answer = http.get(f"{identity_server.protocol}/userinfo")
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")
    for token in ("nonsense", body["refresh_token"], body["access_token"][:-6] + "AAAAAA"):
        answer = _userinfo(identity_server, token)
        assert answer.status_code == 401
        assert 'error="invalid_token"' in answer.headers["www-authenticate"]
    without = identity_server.log_in(user, scope="profile")["access_token"]
    answer = _userinfo(identity_server, without)
    assert answer.status_code == 403
    assert 'error="insufficient_scope"' in answer.headers["www-authenticate"]


def test_introspection_tells_good_from_bad(identity_server: IdentityServer, user: User):
    body = identity_server.log_in(user)
    backend = identity_server.backend()
    found = backend.introspect(body["access_token"])
    assert found["active"] is True
    assert found["sub"] == user.id
    assert found["client_id"] == "jan-client"
    assert found["username"] == user.email
    assert found["token_type"] == "Bearer"
    assert found["exp"] > found["iat"]
    assert backend.introspect(body["refresh_token"])["active"] is True
    assert backend.introspect("nonsense") == {"active": False}
    identity_server.openid().logout(body["refresh_token"])
    assert backend.introspect(body["access_token"]) == {"active": False}
    assert backend.introspect(body["refresh_token"]) == {"active": False}


@pytest.mark.parametrize(
    ("form", "auth", "status"),
    [
        ({"token": "x"}, None, 401),
        ({"token": "x", "client_id": "jan-client"}, None, 403),
        ({"token": "x"}, ("backend", "wrong"), 401),
        ({}, ("backend", BACKEND_SECRET), 400),
    ],
)
def test_introspection_is_for_confidential_clients(
    identity_server: IdentityServer, form: dict[str, str], auth: tuple[str, str] | None, status: int
):
    answer = http.post(f"{identity_server.protocol}/token/introspect", data=form, auth=auth)
    assert answer.status_code == status
    assert answer.json()["error"] == "invalid_request"


def test_a_revoked_refresh_token_ends_its_session(identity_server: IdentityServer, user: User):
    body = identity_server.log_in(user)
    form = {"client_id": "jan-client", "token": body["refresh_token"]}
    assert http.post(f"{identity_server.protocol}/revoke", data=form).status_code == 200
    assert identity_server.refresh(body["refresh_token"]).status_code == 400
    assert _userinfo(identity_server, body["access_token"]).status_code == 401


def test_a_revoked_access_token_is_refused_and_its_session_goes_on(
    identity_server: IdentityServer, user: User
):
    body = identity_server.log_in(user)
    form = {"client_id": "jan-client", "token": body["access_token"]}
    assert http.post(f"{identity_server.protocol}/revoke", data=form).status_code == 200
    assert _userinfo(identity_server, body["access_token"]).status_code == 401
    renewed = identity_server.refresh(body["refresh_token"]).json()
    assert _userinfo(identity_server, renewed["access_token"]).status_code == 200


def test_only_its_own_client_revokes_a_token(identity_server: IdentityServer, user: User):
    body = identity_server.log_in(user)
    url = f"{identity_server.protocol}/revoke"
    other = http.post(url, data={"client_id": "jan-admin", "token": body["refresh_token"]})
    assert (other.status_code, other.json()["error"]) == (400, "invalid_request")
    assert http.post(url, data={"token": body["refresh_token"]}).status_code == 401
    assert http.post(url, data={"client_id": "jan-client"}).status_code == 400
    assert identity_server.refresh(body["refresh_token"]).status_code == 200


def test_a_log_out_needs_the_clients_own_refresh_token(identity_server: IdentityServer, user: User):
    body = identity_server.log_in(user)
    url = f"{identity_server.protocol}/logout"
    for form in (
        {"client_id": "jan-client", "refresh_token": "nonsense"},
        {"client_id": "jan-admin", "refresh_token": body["refresh_token"]},
    ):
        answer = http.post(url, data=form)
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")
    form = {"client_id": "jan-client", "refresh_token": body["refresh_token"]}
    assert http.post(url, data=form).status_code == 204
    assert http.post(url, data=form).status_code == 204
    assert _userinfo(identity_server, body["access_token"]).status_code == 401


def test_what_cannot_be_revoked_is_told(identity_server: IdentityServer, user: User):
    url = f"{identity_server.protocol}/revoke"
    unknown = http.post(url, data={"client_id": "jan-client", "token": "nonsense"})
    # Nothing is left to be taken back, so it is no failure (RFC 7009, section 2.2).
    assert (unknown.status_code, unknown.json()["error"]) == (200, "invalid_token")
    id_token = identity_server.log_in(user)["id_token"]
    other = http.post(url, data={"client_id": "jan-client", "token": id_token})
    assert (other.status_code, other.json()["error"]) == (400, "unsupported_token_type")
