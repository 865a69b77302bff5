"""Administrators find, make, change and remove users, and give them roles and groups."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import psycopg
import pytest

from jan_server.services.llm_api.accounts import Accounts
from jan_server.services.llm_api.identity_server import IdentityRefused, IdentityServer
from tests.doubles.keycloak import Keycloak, refused
from tests.services.llm_api.administrators import fresh_name, make_group, make_user, new_admin
from tests.services.llm_api.callers import Caller
from tests.services.llm_api.conftest import Person, Start, bearer

USERS = "/v1/admin/users"
UNKNOWN = "00000000-0000-4000-8000-00000000abcd"


@pytest.fixture
def admin(llm_api: httpx.AsyncClient) -> Caller:
    return new_admin(llm_api)


async def emails(admin: Caller, **query: Any) -> list[str]:
    answer = await admin.get(USERS, **query)
    assert answer.status_code == 200, answer.text
    return [user["email"] for user in answer.json()["data"]]


@pytest.mark.parametrize("prefix", ["", "/llm"])
async def test_a_new_user_can_be_read_and_logs_in(
    admin: Caller, identity: IdentityServer, prefix: str
) -> None:
    email = f"{fresh_name('Ada')}@example.org"
    body = {"email": email, "first_name": "Ada", "last_name": "Lovelace", "password": "a long pass phrase"}
    made = await admin.post(f"{prefix}{USERS}", body)
    assert (made.status_code, list(made.json())) == (201, ["id"])
    user = (await admin.get(f"{prefix}{USERS}/{made.json()['id']}")).json()
    roles = user.pop("roles")
    assert user == {
        "id": made.json()["id"],
        "username": email.lower(),
        "email": email.lower(),
        "firstName": "Ada",
        "lastName": "Lovelace",
        "enabled": True,
        "groups": ["/standard"],
        "featureFlags": [],
    }
    assert "admin" not in roles
    assert (await identity.password_grant(email, "a long pass phrase")).access_token


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "email"),
        ({"email": ""}, "email"),
        ({"email": "nobody"}, "email"),
        ({"email": "{{email}}"}, "email"),
        ({"email": 7}, "email"),
        ({"email": "a@example.org", "enabled": "maybe"}, "enabled"),
        ({"email": "a@example.org", "password": ""}, "password"),
        ({"email": "a@example.org", "first_name": "<b>"}, "first_name"),
        ({"email": "a@example.org", "last_name": "x" * 256}, "last_name"),
    ],
)
async def test_what_cannot_be_a_user_is_refused_by_field(
    admin: Caller, body: dict[str, Any], param: str
) -> None:
    answer = await admin.post(USERS, body)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")
    assert answer.json()["error"]["param"] == param


async def test_an_address_belongs_to_one_user(admin: Caller) -> None:
    email = f"{fresh_name('user')}@example.org"
    await make_user(admin, email=email)
    answer = await admin.post(USERS, {"email": email})
    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
    other = await make_user(admin)
    answer = await admin.patch(f"{USERS}/{other}", {"email": email})
    assert (answer.status_code, answer.json()["error"]["param"]) == (409, "email")


async def test_a_change_keeps_what_it_leaves_out(admin: Caller) -> None:
    user_id = await make_user(admin, first_name="Ada", last_name="Lovelace")
    before = (await admin.get(f"{USERS}/{user_id}")).json()
    taken = (await admin.get(f"{USERS}/{await make_user(admin)}")).json()["username"]
    answer = await admin.patch(f"{USERS}/{user_id}", {"last_name": "King", "username": taken})
    assert (answer.status_code, answer.content) == (200, b"")
    assert (await admin.get(f"{USERS}/{user_id}")).json() == {**before, "lastName": "King"}
    assert (await admin.patch(f"{USERS}/{user_id}", {})).status_code == 200
    assert (await admin.patch(f"{USERS}/{user_id}", {"first_name": "", "email": None})).status_code == 200
    assert (await admin.get(f"{USERS}/{user_id}")).json() == {**before, "lastName": "King", "firstName": ""}


async def test_changes_of_different_members_at_once_are_all_kept(admin: Caller) -> None:
    user_id = await make_user(admin)
    bodies: list[dict[str, Any]] = [{"first_name": "Ada"}, {"last_name": "King"}, {"enabled": False}]
    answers = await asyncio.gather(*(admin.patch(f"{USERS}/{user_id}", body) for body in bodies))
    assert [answer.status_code for answer in answers] == [200, 200, 200]
    user = (await admin.get(f"{USERS}/{user_id}")).json()
    assert (user["firstName"], user["lastName"], user["enabled"]) == ("Ada", "King", False)


async def test_a_deactivated_user_is_out_until_it_is_active_again(
    admin: Caller,
    llm_api: httpx.AsyncClient,
    register: Callable[..., Awaitable[Person]],
    identity: IdentityServer,
) -> None:
    person = await register("user")
    made = await llm_api.post("/auth/api-keys", json={"name": "k"}, headers=person.headers)
    key = bearer(made.json()["key"])
    assert (await llm_api.get("/auth/me", headers=key)).status_code == 200

    done = await admin.post(f"{USERS}/{person.id}/deactivate")
    assert (done.status_code, done.content) == (200, b"")
    assert (await llm_api.get("/auth/me", headers=key)).status_code == 401
    with pytest.raises(IdentityRefused):
        await identity.refresh(person.refresh_token)
    with pytest.raises(IdentityRefused):
        await identity.password_grant(person.email, person.password)

    assert (await admin.post(f"{USERS}/{person.id}/activate")).status_code == 200
    assert (await llm_api.get("/auth/me", headers=key)).status_code == 200
    assert (await identity.password_grant(person.email, person.password)).access_token


async def test_a_removed_user_leaves_nothing_behind(
    admin: Caller,
    llm_api: httpx.AsyncClient,
    register: Callable[..., Awaitable[Person]],
    accounts: Accounts,
    database_url: str,
) -> None:
    person = await register("user")
    made = await llm_api.post("/auth/api-keys", json={"name": "k"}, headers=person.headers)
    key = bearer(made.json()["key"])
    assert (await llm_api.post("/v1/conversations", json={"title": "Mine"}, headers=key)).status_code == 200

    done = await admin.delete(f"{USERS}/{person.id}")
    assert (done.status_code, done.content) == (204, b"")
    assert (await llm_api.get("/auth/me", headers=key)).status_code == 401
    assert await accounts.find(person.id) is None
    async with await psycopg.AsyncConnection.connect(database_url) as connection:
        for table in ("users where subject = %s", "conversations where title = 'Mine' and %s <> ''"):
            rows = await connection.execute(
                f"select count(*) from llm_api.{table}",  # type: ignore[arg-type]
                (person.id,),
            )
            assert await rows.fetchone() == (0,)
    assert (await admin.delete(f"{USERS}/{person.id}")).status_code == 404


async def test_a_removal_that_was_interrupted_is_completed_by_the_next_one(
    admin: Caller,
    llm_api: httpx.AsyncClient,
    register: Callable[..., Awaitable[Person]],
    accounts: Accounts,
) -> None:
    person = await register("user")
    assert (await llm_api.post("/v1/conversations", json={}, headers=person.headers)).status_code == 200
    await accounts.delete(person.id)
    assert (await admin.delete(f"{USERS}/{person.id}")).status_code == 204
    assert (await admin.delete(f"{USERS}/{person.id}")).status_code == 404


async def test_a_password_is_replaced(
    admin: Caller, register: Callable[..., Awaitable[Person]], identity: IdentityServer
) -> None:
    person = await register("user")
    path = f"{USERS}/{person.id}/password"
    done = await admin.send("PUT", path, json={"password": "another long phrase"})
    assert (done.status_code, done.content) == (204, b"")
    assert (await identity.password_grant(person.email, "another long phrase")).access_token
    missing = await admin.send("PUT", path, json={})
    assert (missing.status_code, missing.json()["error"]["param"]) == (400, "password")


async def test_roles_are_given_and_taken(
    admin: Caller, llm_api: httpx.AsyncClient, register: Callable[..., Awaitable[Person]]
) -> None:
    person = await register()
    made = await llm_api.post("/auth/api-keys", json={"name": "k"}, headers=person.headers)
    key = bearer(made.json()["key"])
    path = f"{USERS}/{person.id}/roles/admin"
    assert (await llm_api.get(USERS, headers=key)).status_code == 403
    for _ in range(2):
        done = await admin.post(path)
        assert (done.status_code, done.content) == (200, b"")
    assert "admin" in (await admin.get(f"{USERS}/{person.id}")).json()["roles"]
    assert (await llm_api.get(USERS, headers=key)).status_code == 200
    for _ in range(2):
        assert (await admin.delete(path)).status_code == 200
    assert "admin" not in (await admin.get(f"{USERS}/{person.id}")).json()["roles"]
    assert (await llm_api.get(USERS, headers=key)).status_code == 403


async def test_groups_are_joined_and_left(admin: Caller) -> None:
    user_id, group_id = await make_user(admin), await make_group(admin)
    path = f"{USERS}/{user_id}/groups/{group_id}"
    for _ in range(2):
        assert (await admin.post(path)).status_code == 200
    name = (await admin.get(f"/v1/admin/groups/{group_id}")).json()["name"]
    assert f"/{name}" in (await admin.get(f"{USERS}/{user_id}")).json()["groups"]
    for _ in range(2):
        assert (await admin.delete(path)).status_code == 200
    assert (await admin.get(f"{USERS}/{user_id}")).json()["groups"] == ["/standard"]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/{unknown}", None),
        ("PATCH", "/{unknown}", {"first_name": "Ada"}),
        ("PATCH", "/{unknown}", {}),
        ("DELETE", "/{unknown}", None),
        ("PUT", "/{unknown}/password", {"password": "a long pass phrase"}),
        ("POST", "/{unknown}/activate", None),
        ("POST", "/{unknown}/deactivate", None),
        ("POST", "/{unknown}/roles/user", None),
        ("DELETE", "/{unknown}/roles/user", None),
        ("POST", "/{known}/roles/nobody-has-it", None),
        ("POST", "/{known}/groups/{unknown}", None),
        ("DELETE", "/{known}/groups/{unknown}", None),
        ("POST", "/%2e%2e/activate", None),
        ("DELETE", "/%2e%2e", None),
        ("DELETE", f"/{'x' * 300}", None),
        ("POST", "/{known}/roles/%2e", None),
        ("GET", "?group_id={unknown}", None),
        ("GET", "?group_id=..", None),
        ("GET", "?role=nobody-has-it", None),
    ],
)
async def test_what_is_unknown_is_not_found(admin: Caller, method: str, path: str, body: Any) -> None:
    known = await make_user(admin) if "{known}" in path else ""
    answer = await admin.send(method, USERS + path.format(unknown=UNKNOWN, known=known), json=body)
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found"), answer.text
    assert answer.json()["error"]["type"] == "not_found_error"


@pytest.fixture(scope="module")
async def crowd(llm_api: httpx.AsyncClient) -> dict[str, str]:
    """Four people with a common beginning of their names, a group of two, and two guests."""
    admin = new_admin(llm_api)
    common = fresh_name("crowd")
    ids = {}
    for name in ("a", "b", "c", "d"):
        ids[name] = await make_user(admin, email=f"{common}-{name}@example.org", enabled=name != "d")
    group_id = await make_group(admin)
    for name in ("a", "d"):
        assert (await admin.post(f"{USERS}/{ids[name]}/groups/{group_id}")).status_code == 200
    for name in ("a", "b"):
        assert (await admin.post(f"{USERS}/{ids[name]}/roles/user")).status_code == 200
    guests = [(await llm_api.post("/auth/guest-login")).json()["user_id"] for _ in range(2)]
    for guest in guests:
        assert (await admin.post(f"{USERS}/{guest}/groups/{group_id}")).status_code == 200
    return {"search": common, "group_id": group_id}


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"search": "{search}"}, "abcd"),
        ({"search": "{search}", "enabled": "true"}, "abc"),
        ({"search": "{search}", "enabled": "false"}, "d"),
        ({"search": "{search}", "first": 1, "max": 2}, "bc"),
        ({"search": "{search}", "max": 0}, ""),
        ({"search": "{search}", "role": "user"}, "ab"),
        ({"search": "{search}", "role": "user", "group_id": "{group_id}"}, "a"),
        ({"search": "{search}", "group_id": "{group_id}", "enabled": "false"}, "d"),
        ({"search": "{search}", "exclude_guests": "true"}, "abcd"),
        ({"search": "{search}-c"}, "c"),
        ({"search": "{search}-nobody"}, ""),
        ({"group_id": "{group_id}", "exclude_guests": "true"}, "ad"),
        ({"group_id": "{group_id}", "exclude_guests": "true", "first": 1}, "d"),
        ({"group_id": "{group_id}", "exclude_guests": "true", "enabled": "true"}, "a"),
        ({"group_id": "{group_id}", "role": "user"}, "a"),
    ],
)
async def test_lists_are_filtered(
    admin: Caller, crowd: dict[str, str], query: dict[str, Any], found: str
) -> None:
    wanted = {
        name: value.format(**crowd) if isinstance(value, str) else value for name, value in query.items()
    }
    listed = await emails(admin, **wanted)
    assert listed == [f"{crowd['search']}-{name}@example.org" for name in found]


async def test_guests_are_listed_unless_they_are_excluded(admin: Caller, crowd: dict[str, str]) -> None:
    def is_guest(email: str) -> bool:
        return email.startswith("guest-")

    guests = [*filter(is_guest, await emails(admin, group_id=crowd["group_id"]))]
    assert len(guests) == 2
    everybody = await emails(admin, exclude_guests="true", max=1000)
    assert len(everybody) >= 4
    assert not set(guests) & set(everybody)


async def test_a_list_walks_on_where_the_identity_server_ends_a_page(
    admin: Caller, crowd: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jan_server.services.llm_api.user_administration.USERS_A_CALL", 2)
    listed = await emails(admin, search=crowd["search"], exclude_guests="true", first=1)
    assert listed == [f"{crowd['search']}-{name}@example.org" for name in "bcd"]


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ({"first": "-1"}, "first"),
        ({"max": "many"}, "max"),
        ({"enabled": "perhaps"}, "enabled"),
        ({"search": "a\0b"}, "search"),
    ],
)
async def test_a_bad_filter_is_named(admin: Caller, query: dict[str, str], param: str) -> None:
    answer = await admin.get(USERS, **query)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


async def test_only_administrators_come_in(
    llm_api: httpx.AsyncClient, register: Callable[..., Awaitable[Person]]
) -> None:
    guest = bearer((await llm_api.post("/auth/guest-login")).json()["access_token"])
    user, root = await register("user"), await register("admin")
    credentials: list[tuple[dict[str, str], int]] = [({}, 401), (guest, 403), (user.headers, 403)]
    for person, status in ((user, 403), (root, 200)):
        made = await llm_api.post("/auth/api-keys", json={"name": "k"}, headers=person.headers)
        credentials.append((bearer(made.json()["key"]), status))
    credentials.append((root.headers, 200))
    for headers, status in credentials:
        for path in (USERS, f"/llm{USERS}", "/v1/admin/groups", "/v1/admin/audit-logs"):
            assert (await llm_api.get(path, headers=headers)).status_code == status
        made = await llm_api.post(USERS, json={"email": "no"}, headers=headers)
        assert made.status_code == (400 if status == 200 else status)


async def test_the_check_can_be_switched_off(
    start: Start, issuer_url: str, register: Callable[..., Awaitable[Person]]
) -> None:
    person = await register()
    open_to_all = await start(issuer_url, admin_auth_enabled=False)
    assert (await open_to_all.get(USERS, headers=person.headers)).status_code == 200
    assert (await open_to_all.get(USERS)).status_code == 401


async def test_requests_of_one_person_are_limited_whichever_credential_it_has(
    start: Start, issuer_url: str, register: Callable[..., Awaitable[Person]]
) -> None:
    root, other = await register("admin"), await register("admin")
    llm_api = await start(issuer_url, admin_requests_per_minute=3)
    made = await llm_api.post("/auth/api-keys", json={"name": "k"}, headers=root.headers)
    key = bearer(made.json()["key"])
    for path, headers in ((USERS, root.headers), (f"/llm{USERS}", key), ("/v1/admin/groups", key)):
        assert (await llm_api.get(path, headers=headers)).status_code == 200
    refused_answer = await llm_api.get(USERS, headers=root.headers)
    assert refused_answer.status_code == 429
    assert refused_answer.headers["retry-after"] == "60"
    assert refused_answer.json()["code"] == "rate_limited"
    assert refused_answer.json()["message"].startswith("Too many requests: at most 3 a minute")
    assert (await llm_api.get(USERS, headers=other.headers)).status_code == 200
    assert (await llm_api.get("/auth/me", headers=root.headers)).status_code == 200


async def test_without_a_credential_addresses_are_limited(start: Start, issuer_url: str) -> None:
    llm_api = await start(issuer_url, admin_requests_per_minute=1)
    for address, status in (("192.0.2.1", 401), ("192.0.2.1", 429), ("192.0.2.2", 401)):
        answer = await llm_api.get(USERS, headers={"X-Real-IP": address})
        assert answer.status_code == status


async def test_the_limit_can_be_switched_off(start: Start, issuer_url: str) -> None:
    admin = new_admin(await start(issuer_url, admin_requests_per_minute=0))
    answers = [await admin.get("/v1/admin/feature-flags") for _ in range(120)]
    assert {answer.status_code for answer in answers} == {200}


async def test_failures_of_the_identity_server_are_failures_behind_this_service(
    start: Start, keycloak: Keycloak
) -> None:
    admin = new_admin(await start(keycloak.url))

    async def forbid(_: Any) -> Any:
        return refused(403, "HTTP 403 Forbidden")

    async def confuse(_: Any) -> Any:
        return refused(418, "teapot", "I am a teapot")

    keycloak.script("GET", "/users", forbid)
    answer = await admin.get(USERS)
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    assert "HTTP 403 Forbidden" in answer.json()["message"]
    keycloak.script("GET", "/users", confuse)
    answer = await admin.get(USERS)
    assert (answer.status_code, answer.json()["code"]) == (502, "keycloak_error")
    assert "I am a teapot" in answer.json()["message"]
    keycloak.down = True
    answer = await admin.get(USERS)
    assert (answer.status_code, answer.json()["code"]) == (503, "identity_unavailable")
