"""The admin API's groups and roles, as the services and python-keycloak use them."""

import uuid
from collections.abc import Iterator

import pytest
from keycloak.exceptions import KeycloakDeleteError, KeycloakGetError, KeycloakPostError, KeycloakPutError

from tests.identity.server import IdentityServer, User


@pytest.fixture
def group(identity_server: IdentityServer) -> Iterator[dict[str, str]]:
    """A group of this test alone."""
    admin = identity_server.backend_admin()
    name = f"team-{uuid.uuid4().hex[:8]}"
    group_id = admin.create_group({"name": name, "attributes": {"feature_flags": ["a", "b"]}})
    assert group_id
    yield {"id": group_id, "name": name}
    if any(one["id"] == group_id for one in admin.get_groups()):
        admin.delete_group(group_id)


def test_the_groups_of_the_realm_file_are_there(identity_server: IdentityServer):
    groups = {
        one["path"]: one.get("attributes")
        for one in identity_server.backend_admin().get_groups({"briefRepresentation": False})
    }
    assert groups["/jan_group"] == {"feature_flags": ["experimental_models"]}
    assert groups["/pilot_users"] == {"feature_flags": ["experimental_models"]}
    assert groups["/standard"] == groups["/guest"] == {}
    defaults = identity_server.backend_admin().connection.raw_get("admin/realms/jan/default-groups")
    assert [one["path"] for one in defaults.json()] == ["/standard"]


def test_a_group_is_read_changed_and_removed(identity_server: IdentityServer, group: dict[str, str]):
    admin = identity_server.backend_admin()
    found = admin.get_group(group["id"])
    assert found["path"] == f"/{group['name']}"
    assert found["attributes"] == {"feature_flags": ["a", "b"]}
    assert admin.get_group_by_path(f"/{group['name']}")["id"] == group["id"]
    admin.update_group(group["id"], {"name": group["name"] + "-renamed"})
    found = admin.get_group(group["id"])
    assert found["path"] == f"/{group['name']}-renamed"
    assert found["attributes"] == {"feature_flags": ["a", "b"]}
    admin.update_group(
        group["id"], {"name": group["name"], "attributes": {"feature_flags": ["c"], "k": ["v"]}}
    )
    assert admin.get_group(group["id"])["attributes"] == {"feature_flags": ["c"], "k": ["v"]}
    admin.delete_group(group["id"])
    with pytest.raises(KeycloakGetError) as refusal:
        admin.get_group(group["id"])
    assert refusal.value.response_code == 404
    assert b"Could not find group by id" in refusal.value.response_body


def test_groups_form_trees(identity_server: IdentityServer, group: dict[str, str]):
    admin = identity_server.backend_admin()
    child = admin.create_group({"name": "below"}, parent=group["id"])
    assert child
    found = admin.get_group_by_path(f"/{group['name']}/below")
    assert (found["id"], found["parentId"]) == (child, group["id"])
    assert [one["id"] for one in admin.get_group_children(group["id"])] == [child]
    assert admin.get_group(group["id"])["subGroupCount"] == 1
    tree = admin.get_groups({"search": "below"}, full_hierarchy=False)
    assert [one["id"] for one in tree] == [group["id"]]
    assert [one["id"] for one in tree[0]["subGroups"]] == [child]
    admin.delete_group(group["id"])
    with pytest.raises(KeycloakGetError):
        admin.get_group(child)


def test_names_of_groups_are_unique_among_siblings(identity_server: IdentityServer, group: dict[str, str]):
    admin = identity_server.backend_admin()
    for body, status in (({"name": group["name"]}, 409), ({"name": " "}, 400), ({}, 400)):
        with pytest.raises(KeycloakPostError) as refusal:
            admin.create_group(body)
        assert refusal.value.response_code == status
        assert b"errorMessage" in refusal.value.response_body
    with pytest.raises(KeycloakPutError) as refusal:
        admin.update_group(group["id"], {"name": "standard"})
    assert refusal.value.response_code == 409


def test_users_join_and_leave_groups(identity_server: IdentityServer, user: User, group: dict[str, str]):
    admin = identity_server.backend_admin()
    admin.group_user_add(user.id, group["id"])
    admin.group_user_add(user.id, group["id"])  # again: nothing happens
    assert {one["path"] for one in admin.get_user_groups(user.id)} == {"/standard", f"/{group['name']}"}
    assert [one["id"] for one in admin.get_group_members(group["id"])] == [user.id]
    admin.group_user_remove(user.id, group["id"])
    assert admin.get_group_members(group["id"]) == []
    with pytest.raises(KeycloakPutError) as refusal:
        admin.group_user_add(user.id, "nothing")
    assert refusal.value.response_code == 404
    with pytest.raises(KeycloakDeleteError) as refusal:
        admin.delete_group("nothing")
    assert refusal.value.response_code == 404


def test_a_group_gives_its_roles_to_its_members(
    identity_server: IdentityServer, user: User, group: dict[str, str]
):
    admin = identity_server.backend_admin()
    role = admin.get_realm_role("user")
    admin.assign_group_realm_roles(group["id"], [role])
    admin.group_user_add(user.id, group["id"])
    claims = identity_server.claims(identity_server.log_in(user)["access_token"])
    assert "user" in claims["realm_access"]["roles"]
    assert [one["name"] for one in admin.get_group_realm_roles(group["id"])] == ["user"]
    admin.delete_group_realm_roles(group["id"], [role])
    assert admin.get_group_realm_roles(group["id"]) == []


def test_the_roles_of_the_realm_file_are_there(identity_server: IdentityServer):
    names = {role["name"] for role in identity_server.backend_admin().get_realm_roles()}
    assert {"admin", "user", "guest", "default-roles-jan", "offline_access"} <= names


def test_roles_are_given_and_taken(identity_server: IdentityServer, user: User):
    admin = identity_server.backend_admin()
    role = admin.get_realm_role("user")
    assert {"id", "name", "composite", "clientRole", "containerId"} <= set(role)
    assert [one["name"] for one in admin.get_realm_roles_of_user(user.id)] == ["default-roles-jan"]
    assert "user" in [one["name"] for one in admin.get_available_realm_roles_of_user(user.id)]
    admin.assign_realm_roles(user.id, [role])
    admin.assign_realm_roles(user.id, [role])
    assert "user" in [one["name"] for one in admin.get_realm_roles_of_user(user.id)]
    assert user.id in [one["id"] for one in admin.get_realm_role_members("user", {"max": -1})]
    assert {"user", "offline_access"} <= {
        one["name"] for one in admin.get_composite_realm_roles_of_user(user.id)
    }
    admin.delete_realm_roles_of_user(user.id, [role])
    admin.delete_realm_roles_of_user(user.id, [role])
    assert "user" not in [one["name"] for one in admin.get_realm_roles_of_user(user.id)]


def test_unknown_roles_are_not_found(identity_server: IdentityServer, user: User):
    admin = identity_server.backend_admin()
    with pytest.raises(KeycloakGetError) as refusal:
        admin.get_realm_role("nothing")
    assert refusal.value.response_code == 404
    assert b"Could not find role" in refusal.value.response_body
    with pytest.raises(KeycloakPostError) as refusal:
        admin.assign_realm_roles(user.id, [{"id": "nothing", "name": "nothing"}])
    assert refusal.value.response_code == 404


def test_an_administrator_makes_roles(identity_server: IdentityServer, user: User):
    admin = identity_server.master_admin()
    name = f"role-{uuid.uuid4().hex[:8]}"
    assert admin.create_realm_role({"name": name, "description": "for a test"}) == name
    with pytest.raises(KeycloakPostError) as refusal:
        admin.create_realm_role({"name": name})
    assert refusal.value.response_code == 409
    role = admin.get_realm_role(name)
    assert admin.get_realm_role_by_id(role["id"])["description"] == "for a test"
    admin.update_realm_role(name, {"name": name, "description": "changed", "attributes": {"k": ["v"]}})
    assert admin.get_realm_role(name)["attributes"] == {"k": ["v"]}
    # A role that brings another one.
    admin.add_composite_realm_roles_to_role(name, [admin.get_realm_role("user")])
    assert [one["name"] for one in admin.get_composite_realm_roles_of_role(name)] == ["user"]
    admin.assign_realm_roles(user.id, [role])
    claims = identity_server.claims(identity_server.log_in(user)["access_token"])
    assert {name, "user"} <= set(claims["realm_access"]["roles"])
    admin.delete_realm_role(name)
    with pytest.raises(KeycloakGetError):
        admin.get_realm_role(name)
    claims = identity_server.claims(identity_server.log_in(user)["access_token"])
    assert not {name, "user"} & set(claims["realm_access"]["roles"])
