"""Nobody gets a right of the admin API, or power over somebody who has it, without having it too."""

import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.identity.server import IdentityServer, User, http


@pytest.fixture
def server(embedded_server: IdentityServer) -> IdentityServer:
    return embedded_server


@pytest.fixture(params=["realm-admin", "a role that brings realm-admin"])
def administrators(server: IdentityServer, request: pytest.FixtureRequest) -> Iterator[dict[str, Any]]:
    """A group whose members administer the realm."""
    master = server.master_admin()
    management = master.get_client_id("realm-management")
    role = master.get_client_role(management, "realm-admin")
    carrier = f"carrier-{uuid.uuid4().hex[:8]}"
    master.create_realm_role({"name": carrier})
    brought = [role]
    if request.param != "realm-admin":
        inner = f"{carrier}-inner"
        master.create_realm_role({"name": inner})
        master.add_composite_realm_roles_to_role(inner, [role])
        brought = [master.get_realm_role(inner)]
    master.add_composite_realm_roles_to_role(carrier, brought)
    group = master.create_group({"name": f"administrators-{uuid.uuid4().hex[:8]}"})
    master.assign_group_realm_roles(group, [master.get_realm_role(carrier)])
    yield master.get_group(group)
    master.delete_group(group)
    master.delete_realm_role(carrier)


@pytest.fixture
def administrator(server: IdentityServer) -> User:
    """A user who administers the realm."""
    user = server.new_user()
    master = server.master_admin()
    management = master.get_client_id("realm-management")
    master.assign_client_role(user.id, management, [master.get_client_role(management, "realm-admin")])
    return user


def _call(server: IdentityServer, method: str, path: str, body: Any = None) -> httpx.Response:
    """A call of the services' account, which manages users and nothing else."""
    return http.request(method, server.admin + path, json=body, headers=server.backend_headers())


def test_a_new_user_does_not_start_in_a_group_of_administrators(
    server: IdentityServer, administrators: dict[str, Any]
):
    email = f"climber-{uuid.uuid4().hex[:8]}@example.org"
    body = {"email": email, "enabled": True, "groups": [administrators["path"]]}
    answer = _call(server, "POST", "/users", body)
    assert (answer.status_code, answer.json()) == (403, {"error": "HTTP 403 Forbidden"})
    assert server.backend_admin().get_users({"email": email, "exact": True}) == []
    # The administrator of everything may.
    assert server.master_admin().create_user(body)


def test_a_new_user_may_start_in_a_plain_group(server: IdentityServer):
    user = server.new_user(groups=["/pilot_users", "jan_group"])
    paths = {group["path"] for group in server.backend_admin().get_user_groups(user.id)}
    assert paths == {"/standard", "/pilot_users", "/jan_group"}


def test_a_group_does_not_move_below_administrators(server: IdentityServer, administrators: dict[str, Any]):
    admin = server.backend_admin()
    own = admin.create_group({"name": f"own-{uuid.uuid4().hex[:8]}"})
    above = administrators["id"]
    assert _call(server, "POST", f"/groups/{above}/children", {"id": own}).status_code == 403
    # Nor below a group that stands below them.
    child = _call(server, "POST", f"/groups/{above}/children", {"name": "child"}).json()["id"]
    assert _call(server, "POST", f"/groups/{child}/children", {"id": own}).status_code == 403
    assert "parentId" not in admin.get_group(own)
    other = admin.create_group({"name": f"other-{uuid.uuid4().hex[:8]}"})
    assert _call(server, "POST", f"/groups/{other}/children", {"id": own}).status_code == 204


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", "/reset-password", {"type": "password", "value": "mine now"}),
        ("PUT", "", {"credentials": [{"type": "password", "value": "mine now"}]}),
        ("PUT", "", {"email": "mine.now@example.org"}),
        ("PUT", "", {"enabled": False}),
        ("PUT", "", {"requiredActions": ["UPDATE_PASSWORD"]}),
        ("DELETE", "", None),
        ("DELETE", "/credentials/{credential}", None),
    ],
)
def test_an_administrator_is_not_taken_over(
    server: IdentityServer, administrator: User, method: str, path: str, body: Any
):
    credential = server.backend_admin().get_credentials(administrator.id)[0]["id"]
    answer = _call(server, method, f"/users/{administrator.id}{path.format(credential=credential)}", body)
    assert (answer.status_code, answer.json()) == (403, {"error": "HTTP 403 Forbidden"})
    assert server.log_in(administrator)["access_token"]


def test_an_administrator_through_a_group_is_not_taken_over(
    server: IdentityServer, administrators: dict[str, Any]
):
    user = server.new_user()
    server.master_admin().group_user_add(user.id, administrators["id"])
    body = {"type": "password", "value": "mine now"}
    assert _call(server, "PUT", f"/users/{user.id}/reset-password", body).status_code == 403
    # Whoever has every right changes everybody.
    server.master_admin().set_user_password(user.id, "another password", temporary=False)
    assert server.log_in(User(user.id, user.email, "another password"))


def test_what_gives_no_power_over_an_administrator_stays_possible(
    server: IdentityServer, administrator: User
):
    body = {"email": administrator.email, "enabled": True, "firstName": "Ada", "requiredActions": []}
    assert _call(server, "PUT", f"/users/{administrator.id}", body).status_code == 204
    assert server.backend_admin().get_user(administrator.id)["firstName"] == "Ada"


def test_the_services_manage_administrators_of_the_application(server: IdentityServer):
    admin = server.backend_admin()
    user = server.new_user()
    admin.assign_realm_roles(user.id, [admin.get_realm_role("admin")])
    admin.set_user_password(user.id, "another password", temporary=False)
    changed = f"renamed-{uuid.uuid4().hex[:8]}@example.org"
    admin.update_user(user.id, {"email": changed, "enabled": True})
    assert server.log_in(User(user.id, changed, "another password"))
    admin.update_user(user.id, {"enabled": False})
    admin.delete_user(user.id)


@pytest.fixture
def keeper(server: IdentityServer) -> dict[str, str]:
    """The credential of a user who keeps the realm and its clients, but not its users."""
    user = server.new_user()
    master = server.master_admin()
    management = master.get_client_id("realm-management")
    rights = [master.get_client_role(management, name) for name in ("manage-realm", "manage-clients")]
    master.assign_client_role(user.id, management, rights)
    return {"Authorization": f"Bearer {server.log_in(user, client='jan-admin')['access_token']}"}


def test_new_users_do_not_join_administrators(
    server: IdentityServer, administrators: dict[str, Any], keeper: dict[str, str]
):
    address = f"{server.admin}/default-groups/{administrators['id']}"
    assert http.put(address, headers=keeper).status_code == 403


def test_rights_of_the_admin_api_are_not_renamed(server: IdentityServer, keeper: dict[str, str]):
    master = server.master_admin()
    management = master.get_client_id("realm-management")
    role = f"{server.admin}/clients/{management}/roles/manage-users"
    assert http.put(role, json={"name": "another"}, headers=keeper).status_code == 403
    assert http.delete(role, headers=keeper).status_code == 403
    client = f"{server.admin}/clients/{management}"
    assert http.put(client, json={"clientId": "another"}, headers=keeper).status_code == 400
    assert http.delete(client, headers=keeper).status_code == 400
    assert master.get_client_role(management, "manage-users")
