"""User settings through the gateway."""

from __future__ import annotations

import pytest

from tests.services.llm_api.through_gateway.stack import MODEL, Visitor


@pytest.mark.route("GET /v1/users/me/settings", "PATCH /v1/users/me/settings")
async def test_settings_are_changed_member_by_member(visitor: Visitor) -> None:
    guest = await visitor.guest()
    first = await guest.get("/v1/users/me/settings")
    assert first.keys() >= {"id", "user_id", "memory_config", "profile_settings", "advanced_settings"}
    assert first["server_capabilities"] == {"image_generation_enabled": True}
    changed = await guest.patch("/v1/users/me/settings", {"memory_config": {"max_user_items": 5}})
    assert changed["memory_config"] == {**first["memory_config"], "max_user_items": 5}
    refused = await guest.patch(
        "/v1/users/me/settings", {"memory_config": {"max_user_items": 21}}, status=400
    )
    assert "memory_config.max_user_items must be between 0 and 20" in refused["message"]


@pytest.mark.route("GET /v1/users/me/settings/preferences", "PATCH /v1/users/me/settings/preferences")
async def test_preferences_are_merged(visitor: Visitor) -> None:
    guest = await visitor.guest()
    path = "/v1/users/me/settings/preferences"
    first = (await guest.get(path))["preferences"]
    assert (first["selected_model"], first["enable_thinking"]) == (MODEL, True)
    changed = await guest.patch(path, {"preferences": {"enable_search": False, "colour": "red"}})
    assert changed == {"preferences": {**first, "enable_search": False, "colour": "red"}}
    await guest.patch(path, {}, status=400)
