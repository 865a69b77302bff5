"""Feature flags are defined, reach the tokens of a group's members, and open models to them."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

import httpx
import jwt
import psycopg
import pytest

from jan_server.services.llm_api.identity_server import IdentityServer
from tests.services.llm_api.administrators import make_flag, make_group, new_admin
from tests.services.llm_api.callers import Caller
from tests.services.llm_api.conftest import Person, bearer

FLAGS = "/v1/admin/feature-flags"


@pytest.fixture
def admin(llm_api: httpx.AsyncClient) -> Caller:
    return new_admin(llm_api)


async def flag_of(admin: Caller, key: str) -> dict[str, Any] | None:
    flags = (await admin.get(FLAGS)).json()["data"]
    return next((flag for flag in flags if flag["key"] == key), None)


async def carried(admin: Caller, group_id: str) -> list[str]:
    return list((await admin.get(f"/v1/admin/groups/{group_id}/feature-flags")).json()["flags"])


def claimed(token: str) -> list[str]:
    claims = jwt.decode(token, options={"verify_signature": False})
    return list(claims.get("feature_flags", []))


async def test_one_flag_is_there_from_the_beginning(admin: Caller) -> None:
    for path in (FLAGS, f"/llm{FLAGS}"):
        (flag,) = [
            flag for flag in (await admin.get(path)).json()["data"] if flag["key"] == "experimental_models"
        ]
        assert set(flag) == {"id", "key", "name", "description", "category", "created_at", "updated_at"}
        assert datetime.fromisoformat(flag["created_at"]).tzinfo is not None


async def test_a_flag_from_its_making_to_its_end(admin: Caller) -> None:
    flag_id = await make_flag(admin, "voice_mode", name="Voice", description="Talk.", category="audio")
    made = await flag_of(admin, "voice_mode")
    assert made is not None
    assert (made["id"], made["name"], made["description"], made["category"]) == (
        flag_id,
        "Voice",
        "Talk.",
        "audio",
    )
    changed = await admin.patch(f"/llm{FLAGS}/{flag_id}", {"name": "Voice mode"})
    assert (changed.status_code, changed.content) == (200, b"")
    found = await flag_of(admin, "voice_mode")
    assert found is not None
    assert found.pop("updated_at") > made.pop("updated_at")
    assert found == {**made, "name": "Voice mode"}
    for _ in range(2):
        gone = await admin.delete(f"{FLAGS}/{flag_id}")
        assert (gone.status_code, gone.content) == (204, b"")
    assert await flag_of(admin, "voice_mode") is None
    assert (await admin.patch(f"{FLAGS}/{flag_id}", {"name": "x"})).status_code == 404


async def test_description_and_category_are_optional(admin: Caller) -> None:
    await make_flag(admin, "plain", description=None)
    flag = await flag_of(admin, "plain")
    assert flag is not None
    assert (flag["description"], flag["category"]) == ("", "")


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"name": "x"}, "key"),
        ({"key": "", "name": "x"}, "key"),
        ({"key": "with space", "name": "x"}, "key"),
        ({"key": "dash-ed", "name": "x"}, "key"),
        ({"key": "x" * 51, "name": "x"}, "key"),
        ({"key": "line\n", "name": "x", "category": "a\0"}, "category"),
        ({"key": "nameless"}, "name"),
        ({"key": "nameless", "name": " "}, "name"),
        ({"key": "long", "name": "x", "category": "x" * 51}, "category"),
    ],
)
async def test_what_cannot_be_a_flag_is_refused_by_field(
    admin: Caller, body: dict[str, Any], param: str
) -> None:
    answer = await admin.post(FLAGS, body)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


async def test_a_key_belongs_to_one_flag_in_any_case(admin: Caller) -> None:
    await make_flag(admin, "taken_key")
    other = await make_flag(admin, "other_key")
    for answer in (
        await admin.post(FLAGS, {"key": "Taken_Key", "name": "x"}),
        await admin.patch(f"{FLAGS}/{other}", {"key": "TAKEN_KEY"}),
    ):
        assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
        assert answer.json()["error"]["param"] == "key"
    bad = await admin.patch(f"{FLAGS}/{other}", {"key": "no way"})
    assert (bad.status_code, bad.json()["error"]["param"]) == (400, "key")


@pytest.mark.parametrize("flag_id", ["00000000-0000-4000-8000-00000000abcd", "no-uuid"])
async def test_an_unknown_flag(admin: Caller, flag_id: str) -> None:
    assert (await admin.patch(f"{FLAGS}/{flag_id}", {"name": "x"})).status_code == 404
    assert (await admin.delete(f"{FLAGS}/{flag_id}")).status_code == 204


async def test_groups_and_models_follow_a_new_key(
    admin: Caller, model: Callable[..., Awaitable[str]]
) -> None:
    flag_id = await make_flag(admin, "former_key")
    group_id = await make_group(admin)
    await admin.patch(f"/v1/admin/groups/{group_id}", {"attributes": {"team": ["x"]}})
    await admin.post(f"/v1/admin/groups/{group_id}/feature-flags/former_key")
    catalog = await model(requires_feature_flag="former_key")
    assert (await admin.patch(f"{FLAGS}/{flag_id}", {"key": "later_key"})).status_code == 200
    assert await carried(admin, group_id) == ["later_key"]
    found = (await admin.get(f"/v1/admin/models/catalogs/{catalog}")).json()
    assert found["requires_feature_flag"] == "later_key"
    group = (await admin.get(f"/v1/admin/groups/{group_id}")).json()
    assert group["attributes"]["team"] == ["x"]


async def test_a_removed_flag_is_taken_from_groups_and_never_opens_a_model(
    admin: Caller, model: Callable[..., Awaitable[str]]
) -> None:
    flag_id = await make_flag(admin, "short_lived")
    group_id = await make_group(admin)
    await admin.post(f"/v1/admin/groups/{group_id}/feature-flags/short_lived")
    catalog = await model(requires_feature_flag="short_lived")
    refused = await admin.delete(f"{FLAGS}/{flag_id}")
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")
    assert catalog in refused.json()["message"]
    assert await carried(admin, group_id) == ["short_lived"]

    freed = await admin.patch(f"/v1/admin/models/catalogs/{catalog}", {"requires_feature_flag": ""})
    assert freed.status_code == 200
    assert (await admin.delete(f"{FLAGS}/{flag_id}")).status_code == 204
    assert await carried(admin, group_id) == []


async def test_a_model_asks_for_flags_that_exist(admin: Caller, model: Callable[..., Awaitable[str]]) -> None:
    await make_flag(admin, "Known_Flag")
    path = f"/v1/admin/models/catalogs/{await model()}"
    answer = await admin.patch(path, {"requires_feature_flag": "unknown_flag"})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "requires_feature_flag")
    answer = await admin.patch(path, {"requires_feature_flag": "known_flag"})
    assert (answer.status_code, answer.json()["requires_feature_flag"]) == (200, "Known_Flag")


@pytest.fixture
async def model(database_url: str) -> Callable[..., Awaitable[str]]:
    """Makes an entry of the catalogue; gives its id."""

    async def make(*, experimental: bool = False, requires_feature_flag: str | None = None) -> str:
        public_id = f"vendor/{uuid.uuid4().hex[:8]}"
        async with await psycopg.AsyncConnection.connect(database_url) as connection:
            await connection.execute(
                "insert into llm_api.model_catalogs"
                " (public_id, model_display_name, experimental, requires_feature_flag)"
                " values (%s, 'A model', %s, %s)",
                (public_id, experimental, requires_feature_flag),
            )
        return public_id

    return make


async def test_a_groups_flags_are_in_its_members_next_token_and_show_them_models(
    admin: Caller,
    llm_api: httpx.AsyncClient,
    identity: IdentityServer,
    register: Callable[..., Awaitable[Person]],
    model: Callable[..., Awaitable[str]],
) -> None:
    await make_flag(admin, "Beta_Models")
    experimental = await model(experimental=True)
    beta = await model(requires_feature_flag="Beta_Models")
    person = await register("user")

    async def seen(headers: dict[str, str]) -> list[bool]:
        answers = [
            await llm_api.get(f"/v1/models/catalogs/{catalog}", headers=headers)
            for catalog in (experimental, beta)
        ]
        assert {answer.status_code for answer in answers} <= {200, 404}
        return [answer.status_code == 200 for answer in answers]

    assert claimed(person.token) == []
    assert await seen(person.headers) == [False, False]

    group_id = await make_group(admin)
    await admin.patch(
        f"/v1/admin/groups/{group_id}/feature-flags", {"flags": ["experimental_models", "beta_models"]}
    )
    await admin.post(f"/v1/admin/users/{person.id}/groups/{group_id}")
    assert (await admin.get(f"/v1/admin/users/{person.id}")).json()["featureFlags"] == [
        "experimental_models",
        "Beta_Models",
    ]
    assert await seen(person.headers) == [False, False]

    refreshed = await identity.refresh(person.refresh_token)
    assert sorted(claimed(refreshed.access_token)) == ["Beta_Models", "experimental_models"]
    assert await seen(bearer(refreshed.access_token)) == [True, True]
    logged_in = await identity.password_grant(person.email, person.password)
    assert sorted(claimed(logged_in.access_token)) == ["Beta_Models", "experimental_models"]
    made = await llm_api.post("/auth/api-keys", json={"name": "k"}, headers=bearer(logged_in.access_token))
    key = bearer(made.json()["key"])
    assert await seen(key) == [True, True]

    await admin.delete(f"/v1/admin/groups/{group_id}/feature-flags/experimental_models")
    refreshed = await identity.refresh(refreshed.refresh_token)
    assert claimed(refreshed.access_token) == ["Beta_Models"]
    assert await seen(bearer(refreshed.access_token)) == [False, True]
    await admin.delete(f"/v1/admin/users/{person.id}/groups/{group_id}")
    assert await seen(key) == [False, False]


async def test_the_flag_of_administrators_opens_administration(
    admin: Caller,
    llm_api: httpx.AsyncClient,
    identity: IdentityServer,
    register: Callable[..., Awaitable[Person]],
) -> None:
    await make_flag(admin, "admin_access")
    person, group_id = await register(), await make_group(admin)
    await admin.post(f"/v1/admin/groups/{group_id}/feature-flags/admin_access")
    await admin.post(f"/v1/admin/users/{person.id}/groups/{group_id}")
    assert (await llm_api.get(FLAGS, headers=person.headers)).status_code == 403
    token = (await identity.refresh(person.refresh_token)).access_token
    assert (await llm_api.get(FLAGS, headers=bearer(token))).status_code == 200
