"""User settings: defaults, partial changes, and what is refused."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import httpx
import pytest

from tests.services.llm_api.callers import Caller, new_caller
from tests.services.llm_api.conftest import Start
from tests.services.llm_api.platform import Platform
from tests.sql import run_sql

PATH = "/v1/users/me/settings"
PREFERENCES = f"{PATH}/preferences"

DEFAULTS: dict[str, Any] = {
    "memory_config": {
        "enabled": True,
        "observe_enabled": True,
        "inject_user_core": True,
        "inject_semantic": True,
        "inject_episodic": False,
        "max_user_items": 3,
        "max_project_items": 5,
        "max_episodic_items": 3,
        "min_similarity": 0.75,
    },
    "profile_settings": {
        "base_style": "Friendly",
        "custom_instructions": "",
        "nick_name": "",
        "occupation": "",
        "more_about_you": "",
    },
    "advanced_settings": {"web_search": False, "code_enabled": False},
    "enable_trace": False,
    "enable_tools": True,
    "preferences": {
        "selected_model": "",
        "enable_deep_research": False,
        "enable_thinking": True,
        "enable_search": True,
        "enable_browser": False,
    },
    "server_capabilities": {"image_generation_enabled": False},
}


@pytest.fixture
def owner(llm_api: httpx.AsyncClient) -> Caller:
    return new_caller(llm_api)


async def settings_of(owner: Caller) -> dict[str, Any]:
    answer = await owner.get(PATH)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def changed(owner: Caller, changes: dict[str, Any]) -> dict[str, Any]:
    answer = await owner.patch(PATH, changes)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    assert await settings_of(owner) == found
    return found


async def test_the_first_reading_has_the_defaults(owner: Caller) -> None:
    found = await settings_of(owner)
    assert await settings_of(owner) == found
    assert isinstance(found.pop("id"), int)
    assert isinstance(found.pop("user_id"), int)
    times = [found.pop("created_at"), found.pop("updated_at")]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", moment) for moment in times)
    assert found == DEFAULTS


async def test_first_readings_at_once_make_one_row(owner: Caller) -> None:
    found = await asyncio.gather(*(settings_of(owner) for _ in range(6)))
    assert len({settings["id"] for settings in found}) == 1


@pytest.mark.parametrize(
    ("section", "changes"),
    [
        ("memory_config", {"max_user_items": 5}),
        ("memory_config", {"enabled": False, "min_similarity": 1}),
        ("memory_config", {"max_user_items": 0, "max_project_items": 50, "max_episodic_items": 20}),
        ("profile_settings", {"base_style": "Concise"}),
        ("profile_settings", {"nick_name": "Ann", "more_about_you": "Likes sailing."}),
        ("advanced_settings", {"web_search": True}),
    ],
)
async def test_sections_are_merged(owner: Caller, section: str, changes: dict[str, Any]) -> None:
    found = await changed(owner, {section: changes})
    assert found[section] == DEFAULTS[section] | changes
    for other in DEFAULTS.keys() - {section}:
        assert found[other] == DEFAULTS[other]


async def test_changes_add_up(owner: Caller) -> None:
    await changed(owner, {"memory_config": {"max_user_items": 5}, "enable_trace": True})
    found = await changed(owner, {"memory_config": {"enabled": False}, "enable_tools": False})
    assert found["memory_config"] == DEFAULTS["memory_config"] | {"max_user_items": 5, "enabled": False}
    assert (found["enable_trace"], found["enable_tools"]) == (True, False)
    found = await changed(owner, {"memory_config": None, "profile_settings": {"occupation": None}})
    assert found["memory_config"]["max_user_items"] == 5


async def test_a_nickname_may_be_written_as_one_word(owner: Caller) -> None:
    found = await changed(owner, {"profile_settings": {"nickname": "Ann"}})
    assert found["profile_settings"]["nick_name"] == "Ann"
    assert "nickname" not in found["profile_settings"]


async def test_changes_at_once_are_all_kept(owner: Caller) -> None:
    wishes = [{"preferences": {f"key_{number}": number}} for number in range(8)]
    wishes += [{"memory_config": {"max_user_items": 7}}, {"profile_settings": {"occupation": "sailor"}}]
    answers = await asyncio.gather(*(owner.patch(PATH, wish) for wish in wishes))
    assert {answer.status_code for answer in answers} == {200}
    found = await settings_of(owner)
    assert {f"key_{number}": number for number in range(8)}.items() <= found["preferences"].items()
    assert found["memory_config"]["max_user_items"] == 7
    assert found["profile_settings"]["occupation"] == "sailor"


async def test_the_answer_has_the_new_time(owner: Caller, database_url: str) -> None:
    made = await settings_of(owner)
    await run_sql(
        database_url,
        "update llm_api.user_settings set created_at = %s, updated_at = %s where id = %s",
        ["2026-01-01T12:00:00Z", "2026-01-01T12:00:00Z", made["id"]],
    )
    assert (await settings_of(owner))["updated_at"] == "2026-01-01T12:00:00Z"
    assert (await changed(owner, {}))["updated_at"] == "2026-01-01T12:00:00Z"
    found = await changed(owner, {"enable_trace": True})
    assert found["updated_at"] > "2026-01-01T12:00:00Z"
    assert found["created_at"] == "2026-01-01T12:00:00Z"


@pytest.mark.parametrize(
    ("section", "member", "value", "message"),
    [
        ("memory_config", "max_user_items", 21, "must be between 0 and 20"),
        ("memory_config", "max_user_items", -1, "must be between 0 and 20"),
        ("memory_config", "max_project_items", 51, "must be between 0 and 50"),
        ("memory_config", "max_episodic_items", 21, "must be between 0 and 20"),
        ("memory_config", "min_similarity", 1.01, "must be between 0 and 1"),
        ("profile_settings", "base_style", "Rude", "must be one of: Concise, Friendly, Professional"),
        ("profile_settings", "occupation", "x" * 32_769, "must have at most 32768 characters"),
    ],
)
async def test_what_is_out_of_range_is_refused_by_its_path(
    owner: Caller, section: str, member: str, value: Any, message: str
) -> None:
    answer = await owner.patch(PATH, {"enable_trace": True, section: {member: value}})
    body = answer.json()
    assert answer.status_code == 400
    assert body["message"] == f"{section}.{member} {message}"
    assert body["error"]["param"] == f"{section}.{member}"
    assert (await settings_of(owner))["enable_trace"] is False


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"memory_config": []}, "memory_config"),
        ({"memory_config": {"max_user_items": "5"}}, "memory_config.max_user_items"),
        ({"memory_config": {"max_user_items": True}}, "memory_config.max_user_items"),
        ({"memory_config": {"max_user_items": 1.5}}, "memory_config.max_user_items"),
        ({"memory_config": {"enabled": 1}}, "memory_config.enabled"),
        ({"profile_settings": {"base_style": 7}}, "profile_settings.base_style"),
        ({"profile_settings": {"occupation": "a\0b"}}, "profile_settings.occupation"),
        ({"enable_trace": "yes"}, "enable_trace"),
        ({"preferences": []}, "preferences"),
        ({"preferences": {"a": "x" * 65_536}}, "preferences"),
        ({"preferences": {"a": ["b\0"]}}, "preferences"),
    ],
)
async def test_what_has_another_type_is_refused_by_its_path(
    owner: Caller, changes: dict[str, Any], param: str
) -> None:
    answer = await owner.patch(PATH, changes)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


async def test_what_grows_too_large_is_refused(owner: Caller) -> None:
    for name in ("a", "b"):
        await owner.patch(PREFERENCES, {"preferences": {name: "x" * 30_000}})
    answer = await owner.patch(PREFERENCES, {"preferences": {"c": "x" * 30_000}})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "preferences")
    assert "c" not in (await settings_of(owner))["preferences"]


@pytest.mark.parametrize("depth", [300, 1000])
async def test_what_is_nested_too_deeply_is_refused(owner: Caller, depth: int) -> None:
    body = '{"preferences":' + '{"a":' * depth + "1" + "}" * depth + "}"
    answer = await owner.send("PATCH", PATH, content=body)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "preferences")


async def test_a_body_that_is_no_object_is_refused(owner: Caller) -> None:
    for path in (PATH, PREFERENCES):
        for body in ("", "[]", '{"preferences":'):
            answer = await owner.send("PATCH", path, content=body)
            assert (answer.status_code, answer.json()["code"]) == (400, "invalid_json")


async def test_members_that_nobody_knows_or_may_change_are_ignored(owner: Caller) -> None:
    before = await settings_of(owner)
    found = await changed(
        owner,
        {
            "server_capabilities": {"image_generation_enabled": True},
            "id": 7,
            "user_id": 7,
            "theme": "dark",
            "memory_config": {"unknown": True},
        },
    )
    assert found == before


async def test_preferences_are_merged_deeply(owner: Caller) -> None:
    await changed(owner, {"preferences": {"editor": {"font": "mono", "size": 12}, "tabs": [1, 2]}})
    answer = await owner.patch(PREFERENCES, {"preferences": {"editor": {"size": 14}, "tabs": [3]}})
    assert answer.status_code == 200
    own = {"editor": {"font": "mono", "size": 14}, "tabs": [3]}
    assert answer.json() == {"preferences": DEFAULTS["preferences"] | own}
    assert (await owner.get(PREFERENCES)).json() == answer.json()
    assert (await settings_of(owner))["preferences"] == answer.json()["preferences"]


async def test_a_preference_can_be_taken_back(owner: Caller) -> None:
    chosen = {"enable_thinking": False, "editor": {"font": "mono", "size": 12}}
    await owner.patch(PREFERENCES, {"preferences": chosen})
    taken = {"enable_thinking": None, "editor": {"font": None}, "unknown": None}
    found = (await owner.patch(PREFERENCES, {"preferences": taken})).json()["preferences"]
    assert found == DEFAULTS["preferences"] | {"editor": {"size": 12}}


async def test_any_text_may_be_a_preference(owner: Caller) -> None:
    texts = {"backslash": r"\u0000", "quote": '"', "greek": "π", "empty": "", "nothing": [None]}
    found = (await owner.patch(PREFERENCES, {"preferences": texts})).json()["preferences"]
    assert texts.items() <= found.items()


@pytest.mark.parametrize("body", [{}, {"preferences": None}])
async def test_preferences_have_to_be_there(owner: Caller, body: dict[str, Any]) -> None:
    answer = await owner.patch(PREFERENCES, body)
    assert (answer.status_code, answer.json()["message"]) == (400, "preferences field is required")


async def test_preferences_have_to_be_an_object(owner: Caller) -> None:
    answer = await owner.patch(PREFERENCES, {"preferences": "dark"})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "preferences")


async def test_the_first_model_is_selected_until_another_is_chosen(platform: Platform) -> None:
    async with platform.client("ann") as ann:
        found = (await ann.get(PATH)).json()["preferences"]["selected_model"]
        listed = (await ann.get("/v1/models")).json()["data"]
        assert found == listed[0]["id"]
        await ann.patch(PREFERENCES, json={"preferences": {"selected_model": "another"}})
        assert (await ann.get(PREFERENCES)).json()["preferences"]["selected_model"] == "another"


@pytest.mark.parametrize(("enabled", "flagged"), [(True, True), (True, False), (False, True)])
async def test_images_need_the_switch_and_a_provider(
    owner: Caller, issuer_url: str, start: Start, database_url: str, enabled: bool, flagged: bool
) -> None:
    await run_sql(database_url, "delete from llm_api.providers where kind = 'images of this test'")
    await run_sql(
        database_url,
        "insert into llm_api.providers (public_id, display_name, kind, category, "
        "default_provider_image_generate) values ('prov_images', 'Images', 'images of this test', "
        "'image', %s)",
        [flagged],
    )
    llm_api = await start(issuer_url, images={"enabled": enabled})
    found = (await Caller(llm_api, owner.principal).get(PATH)).json()
    assert found["server_capabilities"] == {"image_generation_enabled": enabled and flagged}
    await run_sql(database_url, "delete from llm_api.providers where kind = 'images of this test'")


async def test_everybody_has_settings_of_their_own(owner: Caller) -> None:
    stranger = new_caller(owner.llm_api)
    mine = await changed(owner, {"profile_settings": {"occupation": "sailor"}, "preferences": {"a": 1}})
    theirs = await settings_of(stranger)
    assert theirs["profile_settings"] == DEFAULTS["profile_settings"]
    assert "a" not in theirs["preferences"]
    assert theirs["user_id"] != mine["user_id"]


async def test_the_routes_stand_below_llm_too(owner: Caller) -> None:
    assert (await owner.patch(f"/llm{PATH}", {"enable_trace": True})).json()["enable_trace"] is True
    assert (await owner.get(f"/llm{PATH}")).json() == await settings_of(owner)
    found = await owner.patch(f"/llm{PREFERENCES}", {"preferences": {"a": 1}})
    assert (await owner.get(f"/llm{PREFERENCES}")).json() == found.json()


async def test_without_a_credential_there_are_no_settings(llm_api: httpx.AsyncClient) -> None:
    for path in (PATH, PREFERENCES):
        for method in ("GET", "PATCH"):
            assert (await llm_api.request(method, path, json={})).status_code == 401


async def test_there_is_no_route_for_the_user_itself(owner: Caller) -> None:
    for path in ("/v1/users/me", "/llm/v1/users/me"):
        answer = await owner.get(path)
        assert (answer.status_code, answer.json()["code"]) == (404, "route_not_found")
