"""Administrators find, make, change and remove groups, and set the feature flags that they carry."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from tests.services.llm_api.administrators import fresh_name, make_flag, make_group, make_user, new_admin
from tests.services.llm_api.callers import Caller

GROUPS = "/v1/admin/groups"
UNKNOWN = "00000000-0000-4000-8000-00000000abcd"


@pytest.fixture
def admin(llm_api: httpx.AsyncClient) -> Caller:
    return new_admin(llm_api)


@pytest.fixture(scope="module")
async def flags(llm_api: httpx.AsyncClient) -> tuple[str, str, str]:
    """The keys of three defined flags."""
    admin = new_admin(llm_api)
    keys = ("voice_mode", "Deep_Search", "canvas")
    for key in keys:
        await make_flag(admin, key)
    return keys


async def carried(admin: Caller, group_id: str) -> list[str]:
    answer = await admin.get(f"{GROUPS}/{group_id}/feature-flags")
    assert answer.status_code == 200, answer.text
    return list(answer.json()["flags"])


async def attributes(admin: Caller, group_id: str) -> dict[str, list[str]]:
    return dict((await admin.get(f"{GROUPS}/{group_id}")).json().get("attributes", {}))


@pytest.mark.parametrize("prefix", ["", "/llm"])
async def test_a_group_from_its_making_to_its_end(admin: Caller, prefix: str) -> None:
    name = fresh_name("group")
    made = await admin.post(f"{prefix}{GROUPS}", {"name": f" {name} "})
    assert (made.status_code, list(made.json())) == (201, ["id"])
    path = f"{prefix}{GROUPS}/{made.json()['id']}"
    group = {"id": made.json()["id"], "name": name, "path": f"/{name}"}
    assert (await admin.get(path)).json() == group
    assert group in (await admin.get(f"{prefix}{GROUPS}", max=1000)).json()["data"]
    renamed = await admin.patch(path, {"name": f"{name}-2"})
    assert (renamed.status_code, renamed.content) == (200, b"")
    assert (await admin.get(path)).json() == {**group, "name": f"{name}-2", "path": f"/{name}-2"}
    gone = await admin.delete(path)
    assert (gone.status_code, gone.content) == (204, b"")
    assert (await admin.get(path)).status_code == 404


async def test_lists_have_pages_and_are_never_null(admin: Caller) -> None:
    names = [group["name"] for group in (await admin.get(GROUPS, max=1000)).json()["data"]]
    assert {"jan_group", "pilot_users", "standard", "guest"} <= set(names)
    page = (await admin.get(GROUPS, first=1, max=2)).json()["data"]
    assert [group["name"] for group in page] == names[1:3]
    assert (await admin.get(GROUPS, first=1000)).json() == {"data": []}
    bad = await admin.get(GROUPS, max="all")
    assert (bad.status_code, bad.json()["error"]["param"]) == (400, "max")


async def test_members_are_listed(admin: Caller) -> None:
    group_id = await make_group(admin)
    assert (await admin.get(f"{GROUPS}/{group_id}/members")).json() == {"data": []}
    ids = [await make_user(admin) for _ in range(2)]
    for user_id in ids:
        await admin.post(f"/v1/admin/users/{user_id}/groups/{group_id}")
    members = (await admin.get(f"{GROUPS}/{group_id}/members")).json()["data"]
    assert {user["id"] for user in members} == set(ids)
    page = (await admin.get(f"{GROUPS}/{group_id}/members", first=1, max=1)).json()["data"]
    assert page == members[1:]


@pytest.mark.parametrize("name", [None, "", "  ", "a/b", "a\nb", "x" * 256, 7])
async def test_a_name_is_needed(admin: Caller, name: Any) -> None:
    answer = await admin.post(GROUPS, {"name": name})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "name")


async def test_a_name_belongs_to_one_group(admin: Caller) -> None:
    name, other = fresh_name("group"), await make_group(admin)
    await make_group(admin, name=name)
    for answer in (
        await admin.post(GROUPS, {"name": name}),
        await admin.patch(f"{GROUPS}/{other}", {"name": name}),
    ):
        assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
        assert answer.json()["error"]["param"] == "name"


async def test_attributes_that_are_not_named_stay(admin: Caller, flags: tuple[str, ...]) -> None:
    group_id = await make_group(admin)
    path = f"{GROUPS}/{group_id}"
    await admin.patch(path, {"attributes": {"team": ["research", "tools"], "floor": ["3"]}})
    assert await attributes(admin, group_id) == {"team": ["research", "tools"], "floor": ["3"]}
    await admin.patch(path, {"attributes": {"floor": [], "feature_flags": ["VOICE_MODE"]}})
    assert await attributes(admin, group_id) == {
        "team": ["research", "tools"],
        "feature_flags": ["voice_mode"],
    }
    assert (await admin.patch(path, {})).status_code == 200
    for body, param in (
        ({"attributes": {"feature_flags": ["nobody_knows"]}}, "attributes.feature_flags[0]"),
        ({"attributes": {"team": "research"}}, "attributes.team"),
    ):
        answer = await admin.patch(path, body)
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)
    assert (await attributes(admin, group_id))["team"] == ["research", "tools"]


async def test_flags_are_set_added_and_taken_without_touching_other_attributes(
    admin: Caller, flags: tuple[str, ...]
) -> None:
    group_id = await make_group(admin)
    path = f"{GROUPS}/{group_id}"
    await admin.patch(path, {"attributes": {"team": ["research"]}})
    assert await carried(admin, group_id) == []

    done = await admin.patch(f"{path}/feature-flags", {"flags": ["voice_mode", "deep_search", "voice_mode"]})
    assert (done.status_code, done.content) == (200, b"")
    assert await carried(admin, group_id) == ["voice_mode", "Deep_Search"]
    for _ in range(2):
        done = await admin.post(f"{path}/feature-flags/CANVAS")
        assert (done.status_code, done.content) == (200, b"")
    assert await carried(admin, group_id) == ["voice_mode", "Deep_Search", "canvas"]
    for _ in range(2):
        done = await admin.delete(f"{path}/feature-flags/Voice_Mode")
        assert (done.status_code, done.content) == (200, b"")
    assert await carried(admin, group_id) == ["Deep_Search", "canvas"]
    assert await attributes(admin, group_id) == {
        "team": ["research"],
        "feature_flags": ["Deep_Search", "canvas"],
    }
    assert (await admin.patch(f"{path}/feature-flags", {"flags": []})).status_code == 200
    assert await attributes(admin, group_id) == {"team": ["research"]}


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "flags"),
        ({"flags": None}, "flags"),
        ({"flags": "canvas"}, "flags"),
        ({"flags": ["canvas", ""]}, "flags[1]"),
        ({"flags": ["canvas", "nobody_knows"]}, "flags[1]"),
    ],
)
async def test_flags_that_nobody_defined_are_refused(
    admin: Caller, flags: tuple[str, ...], body: dict[str, Any], param: str
) -> None:
    group_id = await make_group(admin)
    answer = await admin.patch(f"{GROUPS}/{group_id}/feature-flags", body)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)
    assert (await admin.post(f"{GROUPS}/{group_id}/feature-flags/nobody_knows")).status_code == 404
    assert await carried(admin, group_id) == []


async def test_flags_that_are_added_at_once_are_all_kept(admin: Caller, flags: tuple[str, ...]) -> None:
    group_id = await make_group(admin)
    path = f"{GROUPS}/{group_id}"
    changes = [admin.post(f"{path}/feature-flags/{key}") for key in flags]
    changes += [admin.patch(path, {"attributes": {name: ["x"]}}) for name in ("a", "b", "c")]
    assert {answer.status_code for answer in await asyncio.gather(*changes)} == {200}
    kept = await attributes(admin, group_id)
    assert set(kept.pop("feature_flags")) == set(flags)
    assert kept == {"a": ["x"], "b": ["x"], "c": ["x"]}


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "", None),
        ("PATCH", "", {"name": "new"}),
        ("PATCH", "", {}),
        ("DELETE", "", None),
        ("GET", "/members", None),
        ("GET", "/feature-flags", None),
        ("PATCH", "/feature-flags", {"flags": []}),
        ("POST", "/feature-flags/canvas", None),
        ("DELETE", "/feature-flags/canvas", None),
    ],
)
@pytest.mark.parametrize("group_id", [UNKNOWN, "%2e%2e"])
async def test_an_unknown_group_is_not_found(
    admin: Caller, flags: tuple[str, ...], group_id: str, method: str, path: str, body: Any
) -> None:
    answer = await admin.send(method, f"{GROUPS}/{group_id}{path}", json=body)
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found"), answer.text
