"""The admin API takes nothing that makes no sense, so nothing of it breaks a log-in later."""

import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import orjson
import psycopg
import pytest

from tests.identity.browser import Browser, answer_of
from tests.identity.server import PASSWORD, IdentityServer, User, http
from tests.waiting import wait_until


@pytest.fixture
def headers(embedded_server: IdentityServer) -> dict[str, str]:
    """The credential of the administrator of everything."""
    token = http.post(
        f"{embedded_server.url}/realms/master/protocol/openid-connect/token",
        data={
            "grant_type": "password",
            "client_id": "admin-cli",
            "username": embedded_server.master_user,
            "password": embedded_server.master_password,
        },
    ).json()["access_token"]
    return {"Authorization": f"Bearer {token}"}


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/users", {"email": "odd@example.org", "groups": 5}, "groups"),
        ("/users", {"email": "odd@example.org", "groups": "/standard"}, "groups"),
        ("/users", {"email": "odd@example.org", "groups": [5]}, "groups"),
        ("/groups", {"id": ["x"]}, "id"),
        ("/groups", {"id": {}}, "id"),
        ("/groups/{group}/children", {"id": ["x"]}, "id"),
        ("/groups/{group}/children", {"id": {}}, "id"),
        ("/roles", {"name": ["x"]}, "name"),
        ("/roles", {"name": "x" * 300}, "name"),
    ],
)
def test_members_of_a_wrong_type_are_named(
    embedded_server: IdentityServer, headers: dict[str, str], path: str, body: Any, field: str
):
    group = embedded_server.backend_admin().get_group_by_path("/standard")["id"]
    answer = http.post(embedded_server.admin + path.format(group=group), json=body, headers=headers)
    assert answer.status_code == 400, answer.text
    assert answer.json()["field"] == field
    assert field in answer.json()["errorMessage"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("notBefore", 1_099_511_627_776),
        ("notBefore", -1),
        ("notBefore", "now"),
        ("notBefore", True),
        ("accessTokenLifespan", 10**15),
        ("accessTokenLifespan", 0),
        ("accessTokenLifespan", -5),
        ("accessTokenLifespan", None),
        ("ssoSessionMaxLifespan", 10**12),
        ("failureFactor", 10**12),
        ("maxFailureWaitSeconds", 2**31),
        ("passwordPolicy", f"length({'9' * 5000})"),
        ("displayName", ["x"]),
        ("defaultDefaultClientScopes", "boom"),
        ("defaultOptionalClientScopes", [1]),
        ("attributes", "boom"),
    ],
)
def test_settings_of_the_realm_have_a_type_and_a_range(
    embedded_server: IdentityServer, headers: dict[str, str], field: str, value: Any, user: User
):
    before = http.get(embedded_server.admin, headers=headers).json()
    answer = http.put(embedded_server.admin, json={field: value}, headers=headers)
    assert answer.status_code == 400, answer.text
    assert (answer.json()["field"], field in answer.json()["errorMessage"]) == (field, True)
    assert http.get(embedded_server.admin, headers=headers).json() == before
    assert embedded_server.log_in(user)


@pytest.mark.parametrize(
    ("field", "body"),
    [
        ("attributes", {"attributes": "boom"}),
        ("attributes", {"attributes": ["boom"]}),
        ("attributes", {"attributes": {"a": {"b": "c"}}}),
        ("attributes", {"attributes": {"access.token.lifespan": "soon"}}),
        ("attributes", {"attributes": {"access.token.lifespan": "--5"}}),
        ("attributes", {"attributes": {"access.token.lifespan": "9" * 5000}}),
        ("attributes", {"attributes": {"client.session.idle.timeout": 10**15}}),
        ("redirectUris", {"redirectUris": "boom"}),
        ("redirectUris", {"redirectUris": [{}]}),
        ("webOrigins", {"webOrigins": [1]}),
        ("defaultClientScopes", {"defaultClientScopes": [["x"]]}),
        ("protocolMappers", {"protocolMappers": "boom"}),
        ("protocolMappers", {"protocolMappers": ["boom"]}),
        ("protocolMappers", {"protocolMappers": [{"name": "a", "config": "boom"}]}),
        ("enabled", {"enabled": "yes"}),
        ("publicClient", {"publicClient": 1}),
        ("rootUrl", {"rootUrl": 5}),
        ("secret", {"secret": ["x"]}),
        ("clientId", {"clientId": "x" * 300}),
        ("clientId", {"clientId": {}}),
    ],
)
def test_clients_are_of_one_shape(
    embedded_server: IdentityServer, headers: dict[str, str], field: str, body: Any, user: User
):
    made = http.post(f"{embedded_server.admin}/clients", json={"clientId": "odd", **body}, headers=headers)
    existing = embedded_server.master_admin().get_client_id("jan-client")
    changed = http.put(f"{embedded_server.admin}/clients/{existing}", json=body, headers=headers)
    for answer in (made, changed):
        assert answer.status_code == 400, answer.text
        assert (answer.json()["field"], field in answer.json()["errorMessage"]) == (field, True)
    assert embedded_server.log_in(user)


def test_plain_values_of_attributes_count_as_texts(embedded_server: IdentityServer, headers: dict[str, str]):
    admin = embedded_server.master_admin()
    client = admin.create_client(
        {
            "clientId": f"client-{uuid.uuid4().hex[:8]}",
            "attributes": {"access.token.lifespan": 77, "some.flag": True, "nothing": None},
            "description": None,
        }
    )
    found = admin.get_client(client)["attributes"]
    assert found == {"access.token.lifespan": "77", "some.flag": "true"}
    admin.delete_client(client)


@pytest.mark.parametrize("field", ["attributes", "protocolMappers"])
def test_client_scopes_are_of_one_shape(
    embedded_server: IdentityServer, headers: dict[str, str], field: str, user: User
):
    scope = embedded_server.master_admin().get_client_scope_by_name("groups")["id"]
    for method, path in (("POST", "/client-scopes"), ("PUT", f"/client-scopes/{scope}")):
        answer = http.request(
            method, embedded_server.admin + path, json={"name": "odd", field: "boom"}, headers=headers
        )
        assert answer.status_code == 400, answer.text
        assert answer.json()["field"] == field
    assert embedded_server.log_in(user)


def _hashed(algorithm: str, salt: str = "c2FsdHNhbHQ=", value: str = "aGFzaA==", **data: Any) -> Any:
    return {
        "type": "password",
        "credentialData": orjson.dumps({"algorithm": algorithm, **data}).decode(),
        "secretData": orjson.dumps({"salt": salt, "value": value}).decode(),
    }


def _argon2(memory: str, passes: int, lanes: str, **more: Any) -> Any:
    parameters = {"memory": [memory], "parallelism": [lanes], "type": ["id"]}
    return _hashed("argon2", hashIterations=passes, additionalParameters=parameters, **more)


@pytest.mark.parametrize(
    "credential",
    [
        _hashed("pbkdf2-sha256", hashIterations=0),
        _hashed("pbkdf2-sha256", hashIterations=-1),
        _hashed("pbkdf2-sha256", hashIterations=99_999_999),
        _hashed("pbkdf2-sha256", hashIterations=True),
        _hashed("pbkdf2-sha256", hashIterations=1.5),
        _hashed("pbkdf2-sha256", hashIterations=1000, salt=""),
        _hashed("pbkdf2-sha256", hashIterations=1000, value=""),
        _hashed("pbkdf2-sha256", hashIterations=1000, value="QUJD" * 10_000),
        _argon2("999999999", 5, "1"),
        _argon2("7168", 999_999, "1"),
        _argon2("7168", 0, "1"),
        _argon2("7168", 5, "0"),
        _argon2("7168", 5, "1", salt=""),
    ],
)
def test_hashes_that_nobody_could_compare_are_refused(
    embedded_server: IdentityServer, user: User, credential: Any
):
    answer = http.put(
        f"{embedded_server.admin}/users/{user.id}/reset-password",
        json=credential,
        headers=embedded_server.backend_headers(),
    )
    assert answer.status_code == 400, answer.text
    assert answer.json()["field"] == "credentials"
    assert embedded_server.log_in(user)


@pytest.mark.parametrize("value", ["9" * 5000, "soon", "-1", "1" * 11])
def test_a_maximum_age_is_a_number(embedded_server: IdentityServer, user: User, value: str):
    browser = Browser(embedded_server)
    browser.log_in(user.email, user.password)
    refused = browser.open(max_age=value)
    assert refused.response.status_code == 400
    assert "Invalid Request" in refused.text
    assert "code" in answer_of(browser.open(max_age="3600"))


def test_a_change_with_a_refused_password_changes_nothing(embedded_server: IdentityServer, user: User):
    body = {"firstName": "Changed", "credentials": [{"type": "password", "value": "x" * 2000}]}
    answer = http.put(
        f"{embedded_server.admin}/users/{user.id}", json=body, headers=embedded_server.backend_headers()
    )
    assert answer.status_code == 400
    assert "firstName" not in embedded_server.backend_admin().get_user(user.id)
    assert embedded_server.log_in(user)


def test_a_refused_change_does_not_change_the_password(
    embedded_server: IdentityServer, new_user: Callable[..., User]
):
    user, other = new_user(), new_user()
    body = {"email": other.email, "credentials": [{"type": "password", "value": "another password"}]}
    answer = http.put(
        f"{embedded_server.admin}/users/{user.id}", json=body, headers=embedded_server.backend_headers()
    )
    assert answer.status_code == 409
    assert embedded_server.log_in(user)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/reset-password", {"value": PASSWORD}),
        ("", {"firstName": "A", "credentials": [{"value": PASSWORD}]}),
    ],
)
def test_a_user_that_is_deleted_meanwhile_is_not_found(
    embedded_server: IdentityServer, user: User, path: str, body: Any
):
    headers = embedded_server.backend_headers()
    address = f"{embedded_server.admin}/users/{user.id}{path}"
    with (
        ThreadPoolExecutor(1) as pool,
        psycopg.connect(embedded_server.database_url) as deleting,
        psycopg.connect(embedded_server.database_url, autocommit=True) as watching,
    ):
        deleting.execute("delete from identity.users where id = %s", (user.id,))
        change = pool.submit(http.put, address, json=body, headers=headers)
        waiting = (
            "select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
        )
        wait_until(lambda: change.done() or watching.execute(waiting).fetchone())
        deleting.commit()
        answer = change.result()
    assert (answer.status_code, answer.json()) == (404, {"error": "User not found"})


def test_the_default_role_keeps_its_name(embedded_server: IdentityServer, headers: dict[str, str]):
    role = f"{embedded_server.admin}/roles/default-roles-jan"
    answer = http.put(role, json={"name": "another"}, headers=headers)
    assert (answer.status_code, answer.json()["field"]) == (400, "name")
    assert http.put(role, json={"description": "for everybody"}, headers=headers).status_code == 204
    assert embedded_server.new_user()
