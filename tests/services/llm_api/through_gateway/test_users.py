"""Users, groups, feature flags and the audit log through the gateway."""

from __future__ import annotations

from typing import Any

import jwt
import pytest

from tests.services.llm_api.through_gateway.stack import MODEL, PASSWORD, Visitor, fresh_name

USERS, GROUPS, FLAGS = "/v1/admin/users", "/v1/admin/groups", "/v1/admin/feature-flags"


async def new_user(root: Visitor, **members: Any) -> tuple[str, str]:
    """The id and the address of a new user."""
    email = f"{fresh_name('user')}@example.org"
    made = await root.post(USERS, {"email": email, "password": PASSWORD, **members}, status=201)
    return made["id"], email


async def new_group(root: Visitor) -> str:
    return str((await root.post(GROUPS, {"name": fresh_name("group")}, status=201))["id"])


def flags_of(token: str) -> list[str]:
    return list(jwt.decode(token, options={"verify_signature": False}).get("feature_flags", []))


@pytest.mark.route(
    "POST /v1/admin/users",
    "GET /v1/admin/users",
    "GET /v1/admin/users/{user_id}",
    "PATCH /v1/admin/users/{user_id}",
    "PUT /v1/admin/users/{user_id}/password",
    "DELETE /v1/admin/users/{user_id}",
)
async def test_a_user_from_its_making_to_its_end(root: Visitor) -> None:
    user_id, email = await new_user(root, first_name="Ada", last_name="Lovelace")
    path = f"{USERS}/{user_id}"
    found = await root.get(path)
    assert found.keys() >= {"id", "username", "email", "firstName", "lastName", "enabled"}
    assert (found["email"], found["firstName"], found["enabled"]) == (email, "Ada", True)
    assert [one["id"] for one in (await root.get(USERS, search=email))["data"]] == [user_id]
    assert await root.patch(path, {"first_name": "Augusta", "username": "ignored"}) is None
    changed = await root.get(path)
    assert (changed["firstName"], changed["username"]) == ("Augusta", found["username"])
    await root.put(f"{path}/password", {"password": "another pass phrase"}, status=204)
    await root.log_in(email, "another pass phrase")
    await root.delete(path, status=204)
    await root.get(path, status=404)


@pytest.mark.route("POST /v1/admin/users/{user_id}/activate", "POST /v1/admin/users/{user_id}/deactivate")
async def test_keys_of_a_deactivated_user_are_refused(root: Visitor) -> None:
    user_id, email = await new_user(root)
    key = root.with_key(await root.with_token(await root.log_in(email)).key())
    await key.get("/v1/models")
    await root.post(f"{USERS}/{user_id}/deactivate")
    assert (await root.get(f"{USERS}/{user_id}"))["enabled"] is False
    await key.get("/v1/models", status=401)
    await root.post(f"{USERS}/{user_id}/activate")
    await key.get("/v1/models")


@pytest.mark.route(
    "POST /v1/admin/users/{user_id}/roles/{role}", "DELETE /v1/admin/users/{user_id}/roles/{role}"
)
async def test_a_role_opens_and_closes_administration(root: Visitor) -> None:
    user_id, email = await new_user(root)
    await root.post(f"{USERS}/{user_id}/roles/admin")
    assert (await root.with_token(await root.log_in(email)).get(USERS, max=1))["data"]
    await root.delete(f"{USERS}/{user_id}/roles/admin")
    await root.with_token(await root.log_in(email)).get(USERS, status=403)


@pytest.mark.route(
    "POST /v1/admin/groups",
    "GET /v1/admin/groups",
    "GET /v1/admin/groups/{group_id}",
    "PATCH /v1/admin/groups/{group_id}",
    "DELETE /v1/admin/groups/{group_id}",
)
async def test_a_group_from_its_making_to_its_end(root: Visitor) -> None:
    group_id = await new_group(root)
    path, name = f"{GROUPS}/{group_id}", fresh_name("renamed")
    await root.patch(path, {"name": name, "attributes": {"floor": ["3"]}})
    group = await root.get(path)
    assert group == {"id": group_id, "name": name, "path": f"/{name}", "attributes": {"floor": ["3"]}}
    assert group_id in [one["id"] for one in (await root.get(GROUPS, max=1000))["data"]]
    await root.delete(path, status=204)
    await root.get(path, status=404)


@pytest.mark.route(
    "POST /v1/admin/users/{user_id}/groups/{group_id}",
    "DELETE /v1/admin/users/{user_id}/groups/{group_id}",
    "GET /v1/admin/groups/{group_id}/members",
)
async def test_members_come_and_go(root: Visitor) -> None:
    (user_id, _), group_id = await new_user(root), await new_group(root)
    for call, members in ((root.post, [user_id]), (root.delete, [])):
        await call(f"{USERS}/{user_id}/groups/{group_id}")
        found = (await root.get(f"{GROUPS}/{group_id}/members"))["data"]
        assert [one["id"] for one in found] == members


@pytest.mark.route(
    "POST /v1/admin/feature-flags",
    "GET /v1/admin/feature-flags",
    "PATCH /v1/admin/feature-flags/{flag_id}",
    "DELETE /v1/admin/feature-flags/{flag_id}",
    "GET /v1/admin/groups/{group_id}/feature-flags",
    "PATCH /v1/admin/groups/{group_id}/feature-flags",
    "POST /v1/admin/groups/{group_id}/feature-flags/{flag_key}",
    "DELETE /v1/admin/groups/{group_id}/feature-flags/{flag_key}",
)
async def test_a_flag_is_defined_and_carried_by_a_group(root: Visitor) -> None:
    key, group_id = fresh_name("voice_"), await new_group(root)
    await root.patch(f"{GROUPS}/{group_id}", {"attributes": {"floor": ["3"]}})
    assert await root.post(FLAGS, {"key": key, "name": "Voice"}, status=201) is None
    [flag] = [one for one in (await root.get(FLAGS))["data"] if one["key"] == key]
    await root.patch(f"{FLAGS}/{flag['id']}", {"description": "Talk."})
    carried = f"{GROUPS}/{group_id}/feature-flags"
    await root.patch(carried, {"flags": ["experimental_models"]})
    await root.post(f"{carried}/{key}")
    assert set((await root.get(carried))["flags"]) == {"experimental_models", key}
    await root.delete(f"{carried}/{key}")
    assert (await root.get(carried))["flags"] == ["experimental_models"]
    assert (await root.get(f"{GROUPS}/{group_id}"))["attributes"]["floor"] == ["3"]
    await root.delete(f"{FLAGS}/{flag['id']}", status=204)


async def key_of_member(root: Visitor, group_id: str) -> Visitor:
    """The key of somebody who was in a group before; of others' keys the old rights hold for a while."""
    user_id, email = await new_user(root)
    await root.post(f"{USERS}/{user_id}/groups/{group_id}")
    return root.with_key(await root.with_token(await root.log_in(email)).key())


async def test_a_flag_of_a_group_opens_experimental_models_to_its_members(root: Visitor) -> None:
    """From the group's attribute into the next token, and from there to the model."""
    entry = f"/v1/admin/models/catalogs/{MODEL}"
    (user_id, email), group_id = await new_user(root), await new_group(root)
    await root.post(f"{USERS}/{user_id}/groups/{group_id}")
    before = root.with_token(await root.log_in(email))
    key = root.with_key(await before.key())
    await root.patch(entry, {"experimental": True})
    try:
        for caller in (before, key):
            await caller.get(f"/v1/models/catalogs/{MODEL}", status=404)
        await root.patch(f"{GROUPS}/{group_id}/feature-flags", {"flags": ["experimental_models"]})
        token = await root.log_in(email)
        assert flags_of(token) == ["experimental_models"]
        after = root.with_token(token)
        assert (await after.get(f"/v1/models/catalogs/{MODEL}"))["experimental"] is True
        await before.get(f"/v1/models/catalogs/{MODEL}", status=404)
        body = {"model": MODEL, "messages": [{"role": "user", "content": "Hello"}]}
        for caller in (after, await key_of_member(root, group_id), root):
            assert MODEL in [model["id"] for model in (await caller.get("/v1/models"))["data"]]
            await caller.post("/v1/chat/completions", body)
        for path in ("/v1/models", f"/v1/models/{MODEL}"):
            await before.get(path, status=404)
        refused = await before.post("/v1/chat/completions", body, status=404)
        assert refused["error"]["code"] == "model_not_found"
    finally:
        await root.patch(entry, {"experimental": False})


@pytest.mark.route("GET /v1/admin/audit-logs")
async def test_who_changed_what_is_on_record(root: Visitor) -> None:
    user_id, _ = await new_user(root)
    await root.post(f"{USERS}/{user_id}/roles/user")
    log = await root.get("/v1/admin/audit-logs", resource_id=user_id, action="add_role")
    [entry] = log["data"]
    assert log.keys() >= {"object", "data", "first_id", "last_id", "has_more", "total"}
    assert (entry["resource_type"], entry["status_code"]) == ("users", 200)
    assert entry["payload"] == {"role": "user"}
