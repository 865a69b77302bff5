"""API keys through the gateway: for their owners, for administrators, and at the door."""

from __future__ import annotations

import re

import pytest

from tests.services.llm_api.through_gateway.stack import Visitor, fresh_name


@pytest.mark.route(
    "POST /auth/api-keys",
    "GET /auth/api-keys",
    "PATCH /auth/api-keys/{key_id}",
    "DELETE /auth/api-keys/{key_id}",
)
async def test_a_key_opens_the_door_until_it_is_revoked(visitor: Visitor) -> None:
    guest = await visitor.guest()
    subject = (await guest.get("/auth/me"))["subject"]
    made = await guest.post("/auth/api-keys", {"name": "ci", "expires_in_days": 3}, status=201)
    assert re.fullmatch(r"sk_live_[0-9a-f]{48}", made["key"])
    assert (made["name"], made["prefix"], made["suffix"]) == ("ci", "sk_live", made["key"][-4:])
    for by_key in (visitor.with_key(made["key"]), visitor.with_token(made["key"])):
        me = await by_key.get("/auth/me")
        assert (me["subject"], me["auth_method"]) == (subject, "apikey")
        assert (await by_key.get("/v1/models"))["object"] == "list"
    path = f"/auth/api-keys/{made['id']}"
    renamed = await guest.patch(path, {"name": "renamed"})
    [listed] = (await guest.get("/auth/api-keys"))["items"]
    assert (renamed["name"], listed["name"], listed["status"]) == ("renamed", "renamed", "active")
    assert "key" not in listed
    for _ in range(2):
        await guest.delete(path, status=204)
    for by_key in (visitor.with_key(made["key"]), visitor.with_token(made["key"])):
        await by_key.get("/v1/models", status=401)
    assert (await guest.get("/auth/api-keys"))["items"][0]["status"] == "revoked"


@pytest.mark.route("POST /auth/validate-api-key")
async def test_a_key_is_checked_for_the_gateway(visitor: Visitor, user_key: str) -> None:
    owner = await visitor.post("/auth/validate-api-key", {"api_key": user_key})
    assert owner.keys() >= {"user_id", "subject", "username", "email", "first_name", "last_name", "roles"}
    assert (owner["first_name"], owner["last_name"]) == ("Ann", "Lee") and owner["user_id"].isdigit()
    await visitor.post("/auth/validate-api-key", {"api_key": "sk_live_made_up"}, status=401)
    await visitor.post("/auth/validate-api-key", {}, status=400)


@pytest.mark.route(
    "GET /v1/admin/api-keys",
    "POST /v1/admin/api-keys",
    "PATCH /v1/admin/api-keys/{key_id}",
    "DELETE /v1/admin/api-keys/{key_id}",
)
async def test_an_administrator_keeps_the_keys_of_others(root: Visitor, visitor: Visitor) -> None:
    guest = await visitor.guest()
    answer = await guest.send("GET", "/v1/models")
    owner = answer.headers["x-user-id"]
    made = await root.post("/v1/admin/api-keys", {"name": "for you", "owner": owner}, status=201)
    listed = await root.get("/v1/admin/api-keys", owner=owner)
    assert (listed["total"], [key["id"] for key in listed["items"]]) == (1, [made["id"]])
    assert str(listed["items"][0]["user_id"]) == owner
    path = f"/v1/admin/api-keys/{made['id']}"
    changed = await root.patch(path, {"requests_per_minute": 1})
    assert (changed["requests_per_minute"], changed["limits_managed"]) == (1, True)
    await root.delete(path, status=204)
    await visitor.with_key(made["key"]).get("/v1/models", status=401)


@pytest.mark.route("GET /v1/admin/user-limits/{user}", "PATCH /v1/admin/user-limits/{user}")
async def test_an_administrator_limits_a_user(root: Visitor, visitor: Visitor) -> None:
    guest = await visitor.guest()
    owner = (await guest.send("GET", "/v1/models")).headers["x-user-id"]
    path = f"/v1/admin/user-limits/{owner}"
    assert await root.get(path) == {"user_id": int(owner)}
    changed = await root.patch(path, {"allowed_models": ["openai/*"]})
    assert changed == await root.get(path) == {"user_id": int(owner), "allowed_models": ["openai/*"]}
    chat = {"model": "unknown/scripted-model", "messages": [{"role": "user", "content": "Hi"}]}
    refused = await guest.post("/v1/chat/completions", chat, status=403)
    assert refused["code"] == "model_not_allowed"
    await root.get(f"/v1/admin/user-limits/{fresh_name('nobody')}", status=404)
