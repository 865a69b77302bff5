"""Refresh tokens: each is good once, and whoever uses one twice ends the session."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.identity.server import IdentityServer, User


def test_a_refresh_renews_every_token(identity_server: IdentityServer, user: User):
    before = identity_server.log_in(user)
    answer = identity_server.refresh(before["refresh_token"])
    assert answer.status_code == 200
    after = answer.json()
    assert after["session_state"] == before["session_state"]
    assert after["refresh_token"] != before["refresh_token"]
    assert identity_server.claims(after["access_token"])["sub"] == user.id
    assert "id_token" in after


def test_a_refresh_sees_what_changed(identity_server: IdentityServer, user: User):
    admin = identity_server.backend_admin()
    before = identity_server.log_in(user)
    admin.assign_realm_roles(user.id, [admin.get_realm_role("user")])
    admin.update_user(user.id, {"email": user.email, "attributes": {"guest": ["false"]}})
    claims = identity_server.claims(identity_server.refresh(before["refresh_token"]).json()["access_token"])
    assert "user" in claims["realm_access"]["roles"]
    assert claims["guest"] == "false"


def test_using_a_refresh_token_twice_ends_the_session(identity_server: IdentityServer, user: User):
    first = identity_server.log_in(user)
    second = identity_server.refresh(first["refresh_token"]).json()
    replay = identity_server.refresh(first["refresh_token"])
    assert (replay.status_code, replay.json()["error"]) == (400, "invalid_grant")
    # The thief or the owner, nobody knows which: neither goes on.
    assert identity_server.refresh(second["refresh_token"]).status_code == 400
    introspected = identity_server.backend().introspect(second["access_token"])
    assert introspected == {"active": False}


def test_of_two_refreshes_at_once_one_wins_at_most(identity_server: IdentityServer, user: User):
    token = identity_server.log_in(user)["refresh_token"]
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: identity_server.refresh(token).status_code, range(4)))
    assert answers.count(200) <= 1
    assert set(answers) <= {200, 400}


def test_a_refresh_token_is_its_clients_alone(identity_server: IdentityServer, user: User):
    token = identity_server.log_in(user)["refresh_token"]
    answer = identity_server.refresh(token, client="jan-admin")
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")


def test_an_access_token_is_no_refresh_token(identity_server: IdentityServer, user: User):
    body = identity_server.log_in(user)
    assert identity_server.refresh(body["access_token"]).status_code == 400
    assert identity_server.refresh(body["id_token"]).status_code == 400


@pytest.mark.parametrize("event", ["disabled", "deleted", "logged out", "logged out by an administrator"])
def test_a_session_ends_with_its_user(identity_server: IdentityServer, user: User, event: str):
    admin = identity_server.backend_admin()
    body = identity_server.log_in(user)
    if event == "disabled":
        admin.update_user(user.id, {"enabled": False})
    elif event == "deleted":
        admin.delete_user(user.id)
    elif event == "logged out":
        identity_server.openid().logout(body["refresh_token"])
    else:
        admin.user_logout(user.id)
    answer = identity_server.refresh(body["refresh_token"])
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")


def test_an_offline_token_outlives_the_log_in(identity_server: IdentityServer, user: User):
    body = identity_server.log_in(user, scope="openid offline_access")
    assert "offline_access" in body["scope"].split()
    answer = identity_server.refresh(body["refresh_token"])
    assert answer.status_code == 200
    assert "offline_access" in answer.json()["scope"].split()


def test_no_refresh_gives_more_scopes_than_before(identity_server: IdentityServer, user: User):
    token = identity_server.log_in(user)["refresh_token"]
    form = {"grant_type": "refresh_token", "client_id": "jan-client"}
    unknown = identity_server.token(**form, refresh_token=token, scope="openid everything")
    assert (unknown.status_code, unknown.json()["error"]) == (400, "invalid_scope")
    widened = identity_server.token(**form, refresh_token=token, scope="openid email phone")
    assert widened.status_code == 200
    assert "phone" not in widened.json()["scope"].split()


def test_an_empty_refresh_token_is_refused(identity_server: IdentityServer):
    answer = identity_server.refresh("")
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")
