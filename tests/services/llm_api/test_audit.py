"""Every write of an administrator is in the audit log, with who, what, and how it ended."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import psycopg
import pytest

from jan_server.services.llm_api.audit import MASK
from tests.doubles.keycloak import Keycloak
from tests.services.llm_api.administrators import fresh_name, make_flag, make_group, make_user, new_admin
from tests.services.llm_api.callers import Caller
from tests.services.llm_api.conftest import Person, Start, eventually

LOG = "/v1/admin/audit-logs"


@pytest.fixture
def admin(llm_api: httpx.AsyncClient) -> Caller:
    return new_admin(llm_api)


async def entries(admin: Caller, **query: Any) -> list[dict[str, Any]]:
    """What one administrator did, the oldest first."""
    query = {"admin_user_id": admin.principal.subject, "order": "asc", "limit": 500, **query}
    answer = await admin.get(LOG, **query)
    assert answer.status_code == 200, answer.text
    return list(answer.json()["data"])


async def test_an_entry_says_who_did_what_and_how_it_ended(admin: Caller) -> None:
    email = f"{fresh_name('user')}@example.org"
    made = await admin.post("/llm/v1/admin/users", {"email": email, "password": "a long pass phrase"})
    (entry,) = await entries(admin)
    assert datetime.now(UTC) - datetime.fromisoformat(entry.pop("created_at")) < timedelta(minutes=1)
    assert entry.pop("id")
    assert entry.pop("user_agent").startswith("python-httpx")
    assert entry == {
        "admin_user_id": admin.principal.subject,
        "admin_email": "root@example.org",
        "action": "create_user",
        "resource_type": "users",
        "resource_id": made.json()["id"],
        "payload": {"email": email, "password": MASK},
        "ip_address": "127.0.0.1",
        "status_code": 201,
        "error_message": "",
        "request_id": made.headers["x-request-id"],
    }


async def test_every_write_is_there_and_no_reading(admin: Caller) -> None:
    user_id, group_id = await make_user(admin), await make_group(admin)
    flag_id = await make_flag(admin, "audited_flag")
    users, groups, flags = "/v1/admin/users", "/v1/admin/groups", "/v1/admin/feature-flags"
    await admin.patch(f"{users}/{user_id}", {"first_name": "Ada"})
    await admin.send("PUT", f"{users}/{user_id}/password", json={"password": "a long pass phrase"})
    for path in ("activate", "deactivate", "roles/user", f"groups/{group_id}"):
        await admin.post(f"{users}/{user_id}/{path}")
    await admin.patch(f"{groups}/{group_id}", {"attributes": {"team": ["x"]}})
    await admin.patch(f"{groups}/{group_id}/feature-flags", {"flags": []})
    await admin.post(f"{groups}/{group_id}/feature-flags/audited_flag")
    await admin.delete(f"{groups}/{group_id}/feature-flags/audited_flag")
    await admin.patch(f"{flags}/{flag_id}", {"name": "Audited"})
    for path in ("roles/user", f"groups/{group_id}"):
        await admin.delete(f"{users}/{user_id}/{path}")
    for path in (f"{flags}/{flag_id}", f"{groups}/{group_id}", f"{users}/{user_id}"):
        await admin.delete(path)
    for path in (users, groups, flags, LOG):
        assert (await admin.get(path)).status_code == 200

    found = await entries(admin)
    assert [(entry["action"], entry["resource_type"], entry["resource_id"]) for entry in found] == [
        ("create_user", "users", user_id),
        ("create_group", "groups", group_id),
        ("create_flag", "feature-flags", flag_id),
        ("update_user", "users", user_id),
        ("set_password", "users", user_id),
        ("activate_user", "users", user_id),
        ("deactivate_user", "users", user_id),
        ("add_role", "users", user_id),
        ("join_group", "users", user_id),
        ("update_group", "groups", group_id),
        ("replace_group_flags", "groups", group_id),
        ("add_group_flag", "groups", group_id),
        ("remove_group_flag", "groups", group_id),
        ("update_flag", "feature-flags", flag_id),
        ("remove_role", "users", user_id),
        ("leave_group", "users", user_id),
        ("delete_flag", "feature-flags", flag_id),
        ("delete_group", "groups", group_id),
        ("delete_user", "users", user_id),
    ]
    assert {entry["status_code"] for entry in found} <= {200, 201, 204}
    assert found[4]["payload"] == {"password": MASK}
    assert found[5]["payload"] is None
    assert [found[index]["payload"] for index in (7, 8, 11)] == [
        {"role": "user"},
        {"group_id": group_id},
        {"flag_key": "audited_flag"},
    ]


async def test_routes_of_other_nouns_are_logged_too_with_their_secrets_masked(admin: Caller) -> None:
    body = {"name": "P", "vendor": "custom", "base_url": "http://127.0.0.1:9", "api_key": "a-provider-key"}
    await admin.post("/v1/admin/providers", body)
    await admin.patch("/v1/admin/models/catalogs/nobody/knows", {"notes": "x"})
    provider, catalog = await entries(admin)
    assert provider["resource_type"] == "providers"
    assert provider["payload"] == {**body, "api_key": MASK}
    assert (catalog["resource_type"], catalog["resource_id"]) == ("models/catalogs", "nobody/knows")


async def test_addresses_lose_their_user_and_password(admin: Caller) -> None:
    body = {"name": "P", "vendor": "custom", "base_url": "http://ann:open@sesame@127.0.0.1:9/v1?a=b@c"}
    await admin.post("/v1/admin/providers", body)
    endpoints = ["http://127.0.0.1:9/ann@x", {"url": "https://ann:s,e@127.0.0.1:9"}]
    await admin.post("/v1/admin/providers", {**body, "base_url": "", "endpoints": endpoints})
    await admin.patch(
        "/v1/admin/providers/unknown", {"endpoints": "http://127.0.0.1:9,http://ann:se@127.0.0.1:9"}
    )
    one, several, joined = await entries(admin)
    assert one["payload"]["base_url"] == f"http://{MASK}@127.0.0.1:9/v1?a=b@c"
    assert several["payload"]["endpoints"] == [endpoints[0], {"url": f"https://{MASK}@127.0.0.1:9"}]
    assert joined["payload"]["endpoints"] == f"http://127.0.0.1:9,http://{MASK}@127.0.0.1:9"
    for told in (one, several, joined):
        assert "ann:" not in str(told)


async def test_failures_are_logged_with_their_reason(admin: Caller) -> None:
    await admin.post("/v1/admin/users", {"email": "nobody"})
    await admin.delete("/v1/admin/groups/unknown")
    assert [(entry["status_code"], entry["action"]) for entry in await entries(admin, failed="true")] == [
        (400, "create_user"),
        (404, "delete_group"),
    ]
    assert "e-mail address" in (await entries(admin))[0]["error_message"]
    assert await entries(admin, failed="false") == []


async def test_odd_characters_are_kept(admin: Caller) -> None:
    await admin.send("PATCH", "/v1/admin/users/a%E2%82%ACb", content=b'{"note":"a\\u0000b"} and more')
    (entry,) = await entries(admin)
    assert (entry["resource_id"], entry["payload"]) == ("a€b", {"note": "a\0b"})


async def test_a_body_that_is_no_json_or_too_long_is_left_out(admin: Caller) -> None:
    await admin.send("POST", "/v1/admin/users", content=b"{")
    await admin.post("/v1/admin/users", {"email": "nobody", "note": "x" * 70_000})
    assert [entry["payload"] for entry in await entries(admin)] == [None, {"omitted": "longer than 64 KiB"}]
    deep = b'{"note":' + b"[" * 900 + b"]" * 900 + b"}"
    assert (await admin.send("POST", "/v1/admin/users", content=deep)).status_code == 400
    assert "nested deeper than 100 levels" in str((await entries(admin))[-1]["payload"])


async def test_people_without_the_right_leave_no_entries(
    admin: Caller, llm_api: httpx.AsyncClient, register: Callable[..., Awaitable[Person]]
) -> None:
    person = await register("user")
    answer = await llm_api.post("/v1/admin/groups", json={"name": "mine"}, headers=person.headers)
    assert answer.status_code == 403
    assert await entries(admin, admin_user_id=person.id) == []


async def test_pages_and_filters(admin: Caller) -> None:
    ids = [await make_group(admin) for _ in range(5)]
    mine = {"admin_user_id": admin.principal.subject, "limit": 2}
    first = (await admin.get(LOG, **mine)).json()
    assert (first["object"], first["has_more"], first["total"]) == ("list", True, 5)
    assert [entry["resource_id"] for entry in first["data"]] == ids[:2:-1]
    assert (first["first_id"], first["last_id"]) == tuple(entry["id"] for entry in first["data"])
    await make_group(admin)
    seen, page = first["data"], first
    while page["has_more"]:
        page = (await admin.get(LOG, **mine, after=page["last_id"])).json()
        seen += page["data"]
    assert [entry["resource_id"] for entry in seen] == ids[::-1]

    assert len(await entries(admin, offset=1)) == 5
    assert len(await entries(admin, resource_id=ids[0], resource_type="groups", action="create_group")) == 1
    assert await entries(admin, action="delete_group") == []
    assert len(await entries(admin, admin_email="root@example.org")) == 6
    request_id = first["data"][0]["request_id"]
    assert len(await entries(admin, request_id=request_id)) == 1
    middle = seen[2]["created_at"]
    assert [entry["resource_id"] for entry in await entries(admin, until=middle)] == ids[:2]
    assert len(await entries(admin, since=middle)) == 4
    assert (await admin.get(LOG, admin_user_id="nobody")).json() == {
        "object": "list",
        "data": [],
        "first_id": "",
        "last_id": "",
        "has_more": False,
        "total": 0,
    }


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ({"limit": "0"}, "limit"),
        ({"after": "nobody"}, "after"),
        ({"since": "yesterday"}, "since"),
        ({"failed": "perhaps"}, "failed"),
        ({"action": "a\0b"}, "action"),
    ],
)
async def test_a_bad_filter_is_named(admin: Caller, query: dict[str, str], param: str) -> None:
    answer = await admin.get(LOG, **query)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


async def test_a_caller_who_leaves_does_not_take_the_entry_along(start: Start, keycloak: Keycloak) -> None:
    admin = new_admin(await start(keycloak.url))
    asked, never = asyncio.Event(), asyncio.Event()

    async def hang(_: Any) -> Any:
        asked.set()
        await never.wait()

    keycloak.script("POST", "/groups", hang)
    request = asyncio.create_task(admin.post("/v1/admin/groups", {"name": "left"}))
    await asked.wait()
    request.cancel()
    await asyncio.gather(request, return_exceptions=True)
    never.set()

    async def logged() -> bool:
        return [entry["status_code"] for entry in await entries(admin)] == [499]

    await eventually(logged)
    (entry,) = await entries(admin)
    assert entry["error_message"] == "the caller left before the answer"


async def test_an_entry_that_cannot_be_stored_is_in_the_services_log(
    admin: Caller, database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
        await connection.execute("alter table llm_api.audit_logs rename to audit_logs_away")
        try:
            with caplog.at_level(logging.ERROR, "jan.llm-api.audit"):
                made = await admin.post("/v1/admin/groups", {"name": fresh_name("group")})
        finally:
            await connection.execute("alter table llm_api.audit_logs_away rename to audit_logs")
    assert made.status_code == 201
    (record,) = caplog.records
    assert record.__dict__["entry"]["action"] == "create_group"
    assert record.__dict__["entry"]["resource_id"] == made.json()["id"]
