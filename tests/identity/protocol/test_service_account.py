"""The service account of `backend`: exactly the rights that the services need."""

import httpx
import pytest
from keycloak.exceptions import KeycloakPostError

from tests.identity.server import BACKEND_SECRET, IdentityServer, User, http


def test_client_credentials_give_an_access_token_alone(identity_server: IdentityServer):
    body = identity_server.backend().token(grant_type="client_credentials")
    assert body["expires_in"] == 300
    assert body["refresh_expires_in"] == 0
    assert "refresh_token" not in body
    claims = identity_server.claims(body["access_token"])
    assert claims["azp"] == "backend"
    assert claims["preferred_username"] == "service-account-backend"
    assert set(claims["resource_access"]["realm-management"]["roles"]) == {
        "manage-users",
        "view-users",
        "query-users",
        "query-groups",
        "view-realm",
    }


def test_the_secret_may_travel_in_a_basic_header(identity_server: IdentityServer):
    answer = http.post(
        f"{identity_server.protocol}/token",
        data={"grant_type": "client_credentials"},
        auth=("backend", BACKEND_SECRET),
    )
    assert answer.status_code == 200


def _backend(identity_server: IdentityServer) -> httpx.Client:
    token = identity_server.backend().token(grant_type="client_credentials")["access_token"]
    return httpx.Client(
        verify=False, base_url=identity_server.admin, headers={"Authorization": f"Bearer {token}"}
    )


def test_it_may_manage_users_and_groups_and_see_the_realm(identity_server: IdentityServer, user: User):
    with _backend(identity_server) as client:
        for path in (
            "/users",
            "/users/count",
            f"/users/{user.id}",
            f"/users/{user.id}/groups",
            f"/users/{user.id}/role-mappings/realm",
            f"/users/{user.id}/sessions",
            "/groups",
            "/groups/count",
            "/roles",
            "/roles/guest",
            "/roles/guest/users",
            "",
        ):
            assert client.get(path).status_code == 200, path


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/clients", None),
        ("POST", "/clients", {"clientId": "another"}),
        ("GET", "/client-scopes", None),
        ("POST", "/roles", {"name": "another"}),
        ("PUT", "", {"accessTokenLifespan": 10}),
        ("DELETE", "/roles/guest", None),
    ],
)
def test_it_may_not_change_the_realm_or_see_clients(
    identity_server: IdentityServer, method: str, path: str, body: dict[str, object] | None
):
    with _backend(identity_server) as client:
        answer = client.request(method, path, json=body)
    assert (answer.status_code, answer.json()) == (403, {"error": "HTTP 403 Forbidden"})


def test_it_may_not_see_the_master_realm(identity_server: IdentityServer):
    token = identity_server.backend().token(grant_type="client_credentials")["access_token"]
    answer = http.get(
        f"{identity_server.url}/admin/realms/master/users", headers={"Authorization": f"Bearer {token}"}
    )
    assert answer.status_code == 403


def test_it_may_not_hand_on_rights_that_it_lacks(identity_server: IdentityServer, user: User):
    master = identity_server.master_admin()
    management = master.get_client_id("realm-management")
    backend = identity_server.backend_admin()
    with pytest.raises(KeycloakPostError) as refusal:
        backend.assign_client_role(user.id, management, [master.get_client_role(management, "realm-admin")])
    assert refusal.value.response_code == 403
    backend.assign_client_role(user.id, management, [master.get_client_role(management, "view-users")])


def test_a_user_with_a_right_may_use_it_and_no_other(identity_server: IdentityServer, user: User):
    master = identity_server.master_admin()
    management = master.get_client_id("realm-management")
    master.assign_client_role(user.id, management, [master.get_client_role(management, "view-users")])
    token = identity_server.log_in(user, client="jan-admin")["access_token"]
    headers = {"Authorization": f"Bearer {token}"}
    assert http.get(f"{identity_server.admin}/users", headers=headers).status_code == 200
    refused = http.delete(f"{identity_server.admin}/users/{user.id}", headers=headers)
    assert refused.status_code == 403


def test_without_a_good_token_nobody_gets_in(identity_server: IdentityServer, user: User):
    body = identity_server.log_in(user)
    forged = body["access_token"][:-8] + "AAAAAAAA"
    for headers in (
        {},
        {"Authorization": "Bearer x"},
        {"Authorization": f"Bearer {forged}"},
        {"Authorization": f"Bearer {body['refresh_token']}"},
        {"Authorization": f"Bearer {body['id_token']}"},
    ):
        answer = http.get(f"{identity_server.admin}/users", headers=headers)
        assert (answer.status_code, answer.json()) == (401, {"error": "HTTP 401 Unauthorized"})
    # A good token without any right.
    headers = {"Authorization": f"Bearer {body['access_token']}"}
    assert http.get(f"{identity_server.admin}/users", headers=headers).status_code == 403
    identity_server.openid().logout(body["refresh_token"])
    assert http.get(f"{identity_server.admin}/users", headers=headers).status_code == 401


def test_an_unknown_realm_is_not_found(identity_server: IdentityServer):
    token = identity_server.backend().token(grant_type="client_credentials")["access_token"]
    answer = http.get(
        f"{identity_server.url}/admin/realms/nobodys/users", headers={"Authorization": f"Bearer {token}"}
    )
    assert (answer.status_code, answer.json()) == (404, {"error": "Realm not found."})
