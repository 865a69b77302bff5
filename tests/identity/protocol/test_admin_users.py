"""The admin API's users, as the services and python-keycloak use them."""

import uuid
from collections.abc import Callable

import pytest
from keycloak.exceptions import KeycloakDeleteError, KeycloakGetError, KeycloakPostError, KeycloakPutError

from tests.identity.server import PASSWORD, IdentityServer, User, http


def test_a_user_is_made_and_read_back(identity_server: IdentityServer):
    admin = identity_server.backend_admin()
    name = f"guest-{uuid.uuid4()}"
    email = f"{name}@temp.jan.ai"
    user_id = admin.create_user(
        {"username": name, "email": email, "enabled": True, "attributes": {"guest": ["true"]}}
    )
    found = admin.get_user(user_id)
    # The realm names users by their addresses.
    assert found["username"] == found["email"] == email
    assert found["enabled"] is True
    assert found["emailVerified"] is False
    assert found["attributes"] == {"guest": ["true"]}
    assert found["createdTimestamp"] > 0
    assert found["requiredActions"] == []
    # The name that was sent still finds it.
    assert [one["id"] for one in admin.get_users({"username": name})] == [user_id]
    assert [group["path"] for group in admin.get_user_groups(user_id)] == ["/standard"]


def test_names_and_addresses_are_unique(identity_server: IdentityServer, user: User):
    admin = identity_server.backend_admin()
    for email in (user.email, user.email.upper()):
        with pytest.raises(KeycloakPostError) as refusal:
            admin.create_user({"username": "another", "email": email, "enabled": True})
        assert refusal.value.response_code == 409
        assert b"errorMessage" in refusal.value.response_body


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"username": "a-name-without-an-address"},
        {"email": "not an address", "username": "x"},
        {"email": "a@b@c.org"},
        {"email": "<script>@example.org"},
    ],
)
def test_a_user_needs_an_address(identity_server: IdentityServer, body: dict[str, str]):
    with pytest.raises(KeycloakPostError) as refusal:
        identity_server.backend_admin().create_user(body)
    assert refusal.value.response_code == 400


def test_a_body_that_is_no_user_is_refused(identity_server: IdentityServer):
    admin = identity_server.backend_admin()
    for body in ("{", "[]"):
        answer = admin.connection.raw_post("admin/realms/jan/users", data=body)
        assert answer.status_code == 400, body


def test_an_update_keeps_what_it_does_not_name(
    identity_server: IdentityServer, new_user: Callable[..., User]
):
    admin = identity_server.backend_admin()
    user = new_user(firstName="Ada", attributes={"plan": ["gold"], "guest": ["true"]})
    admin.update_user(user.id, {"lastName": "Lovelace"})
    found = admin.get_user(user.id)
    assert (found["firstName"], found["lastName"]) == ("Ada", "Lovelace")
    assert found["attributes"] == {"plan": ["gold"], "guest": ["true"]}
    # Attributes are replaced as a whole.
    admin.update_user(user.id, {"email": user.email, "attributes": {"guest": ["false"]}})
    assert admin.get_user(user.id)["attributes"] == {"guest": ["false"]}


def test_a_user_name_is_not_taken_over_and_follows_the_address(identity_server: IdentityServer, user: User):
    admin = identity_server.backend_admin()
    admin.update_user(user.id, {"username": "chosen-by-somebody", "email": user.email})
    assert admin.get_user(user.id)["username"] == user.email
    changed = f"renamed-{uuid.uuid4().hex[:8]}@example.org"
    admin.update_user(user.id, {"email": changed, "emailVerified": True})
    found = admin.get_user(user.id)
    assert (found["username"], found["email"], found["emailVerified"]) == (changed, changed, True)
    assert identity_server.openid().token(changed, PASSWORD)


def test_an_update_cannot_take_anothers_address(
    identity_server: IdentityServer, new_user: Callable[..., User]
):
    one, other = new_user(), new_user()
    with pytest.raises(KeycloakPutError) as refusal:
        identity_server.backend_admin().update_user(one.id, {"email": other.email})
    assert refusal.value.response_code == 409


def test_a_reset_password_is_the_one_that_opens(identity_server: IdentityServer, user: User):
    admin = identity_server.backend_admin()
    admin.set_user_password(user.id, "another password", temporary=False)
    form = {"grant_type": "password", "client_id": "jan-client", "username": user.email}
    assert identity_server.token(**form, password=PASSWORD).status_code == 401
    assert identity_server.token(**form, password="another password").status_code == 200
    credentials = admin.get_credentials(user.id)
    assert [one["type"] for one in credentials] == ["password"]
    assert "secretData" not in credentials[0]
    for wrong in ("", None):
        with pytest.raises(KeycloakPutError) as refusal:
            admin.set_user_password(user.id, wrong, temporary=False)
        assert refusal.value.response_code == 400


def test_unknown_users_are_not_found(identity_server: IdentityServer):
    admin = identity_server.backend_admin()
    for call, error in (
        (lambda: admin.get_user("nobody"), KeycloakGetError),
        (lambda: admin.update_user("nobody", {"enabled": True}), KeycloakPutError),
        (lambda: admin.delete_user("nobody"), KeycloakDeleteError),
        (lambda: admin.set_user_password("nobody", "x"), KeycloakPutError),
        (lambda: admin.get_user_groups("nobody"), KeycloakGetError),
    ):
        with pytest.raises(error) as refusal:
            call()
        assert refusal.value.response_code == 404
        assert b"User not found" in refusal.value.response_body


def test_a_deleted_user_is_gone(identity_server: IdentityServer, user: User):
    admin = identity_server.backend_admin()
    admin.delete_user(user.id)
    assert admin.get_users({"email": user.email}) == []
    assert (
        identity_server.token(
            grant_type="password", client_id="jan-client", username=user.email, password=PASSWORD
        ).status_code
        == 401
    )


def test_users_are_found_as_keycloak_finds_them(
    identity_server: IdentityServer, new_user: Callable[..., User]
):
    admin = identity_server.backend_admin()
    tag = uuid.uuid4().hex[:10]
    ada = new_user(email=f"{tag}.ada@example.org", firstName=f"Ada{tag}", lastName="Lovelace")
    alan = new_user(email=f"{tag}.alan@example.org", firstName="Alan", attributes={"team": [tag]})
    admin.update_user(alan.id, {"enabled": False})

    def found(**query: object) -> list[str]:
        return [one["id"] for one in admin.get_users({"max": 50, **query})]

    assert found(search=tag) == [ada.id, alan.id]  # by name
    assert found(search=f"{tag}.al") == [alan.id]
    assert found(search=f'"{ada.email}"') == [ada.id]
    assert found(search=f"*{tag[2:]}.ada*") == [ada.id]
    assert found(search="nobody-has-this") == []
    assert found(email=f"{tag}.ADA") == [ada.id]
    assert found(username=f"{tag}.ada", exact=True) == []
    assert found(username=ada.email.upper(), exact=True) == [ada.id]
    assert found(firstName=f"ada{tag}") == [ada.id]
    assert found(q=f"team:{tag}") == [alan.id]
    assert found(search=tag, enabled=True) == [ada.id]
    assert found(search=tag, enabled=False) == [alan.id]
    assert found(search=tag, first=1, max=1) == [alan.id]
    assert found(search=f"id:{ada.id}") == [ada.id]
    assert found(search="100%_") == []
    assert admin.users_count({"search": tag}) == 2
    assert admin.get_user_id(ada.email) == ada.id


def test_service_accounts_are_not_listed(identity_server: IdentityServer):
    names = [one["username"] for one in identity_server.backend_admin().get_users({"max": -1})]
    assert not [name for name in names if name.startswith("service-account")]


def test_a_guest_is_made_in_the_steps_of_the_contract(identity_server: IdentityServer):
    admin = identity_server.backend_admin()
    email = f"guest-{uuid.uuid4()}@temp.jan.ai"
    user_id = admin.create_user(
        {"username": email, "email": email, "enabled": True, "attributes": {"guest": ["true"]}}
    )
    admin.assign_realm_roles(user_id, [admin.get_realm_role("guest")])
    admin.set_user_password(user_id, "0123456789abcdef" * 2, temporary=False)
    body = identity_server.openid().token(email, "0123456789abcdef" * 2)
    claims = identity_server.claims(body["access_token"])
    assert claims["sub"] == user_id
    assert claims["guest"] == "true"
    assert "guest" in claims["realm_access"]["roles"]
    # The upgrade: the same account under a real address.
    real = f"person-{uuid.uuid4().hex[:8]}@example.org"
    admin.update_user(user_id, {"email": real, "firstName": "A Person", "attributes": {"guest": ["false"]}})
    claims = identity_server.claims(identity_server.refresh(body["refresh_token"]).json()["access_token"])
    assert (claims["sub"], claims["email"], claims["guest"], claims["name"]) == (
        user_id,
        real,
        "false",
        "A Person",
    )


def test_sessions_are_listed_and_ended(identity_server: IdentityServer, user: User):
    admin = identity_server.backend_admin()
    body = identity_server.log_in(user)
    sessions = admin.get_sessions(user.id)
    assert [one["id"] for one in sessions] == [body["session_state"]]
    assert list(sessions[0]["clients"].values()) == ["jan-client"]
    assert sessions[0]["userId"] == user.id
    admin.connection.raw_delete(f"admin/realms/jan/sessions/{body['session_state']}")
    assert admin.get_sessions(user.id) == []
    assert identity_server.refresh(body["refresh_token"]).status_code == 400


def test_an_unknown_member_is_refused_not_lost(identity_server: IdentityServer, user: User):
    headers = identity_server.backend_headers()
    body = {"email": f"{uuid.uuid4().hex}@example.org", "colour": "red"}
    made = http.post(f"{identity_server.admin}/users", json=body, headers=headers)
    changed = http.put(f"{identity_server.admin}/users/{user.id}", json={"colour": "red"}, headers=headers)
    for answer in (made, changed):
        assert answer.status_code == 400
        assert "colour" in answer.json()["error"]


def test_a_user_is_sent_as_json(identity_server: IdentityServer):
    headers = identity_server.backend_headers()
    form = {"email": f"{uuid.uuid4().hex}@example.org"}
    assert http.post(f"{identity_server.admin}/users", data=form, headers=headers).status_code == 415


def test_a_required_action_stays_beside_a_permanent_password(
    identity_server: IdentityServer, new_user: Callable[..., User]
):
    user = new_user(requiredActions=["UPDATE_PASSWORD"])
    assert identity_server.backend_admin().get_user(user.id)["requiredActions"] == ["UPDATE_PASSWORD"]


def test_a_caller_learns_what_it_may_do_with_a_user(identity_server: IdentityServer, user: User):
    access = identity_server.backend_admin().get_user(user.id)["access"]
    assert access["manage"] is access["view"] is True
    assert access["impersonate"] is False


def test_what_is_shown_is_asked_for_anew(identity_server: IdentityServer, user: User):
    answer = http.get(f"{identity_server.admin}/users/{user.id}", headers=identity_server.backend_headers())
    assert answer.headers["cache-control"] == "no-cache"
