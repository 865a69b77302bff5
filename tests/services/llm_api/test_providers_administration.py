"""How administrators keep providers, models and the catalogue."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import psycopg
import pytest

from tests.doubles.openai_upstream import OpenAIUpstream
from tests.services.llm_api.conftest import Serve
from tests.services.llm_api.platform import Platform

KEY = "the key of a registered provider"
PROVIDERS = "/v1/admin/providers"
MODELS = "/v1/admin/models/provider-models"
CATALOGS = "/v1/admin/models/catalogs"


@pytest.fixture(scope="module")
async def serving_platform(serve: Serve, upstream: OpenAIUpstream) -> Platform:
    """The usual platform, where administrators may ask as often as these tests do."""
    platform = await serve(upstream, llm_api={"admin_requests_per_minute": 0})
    await platform.serving.sync.sync_providers()
    return platform


@pytest.fixture
async def admin(platform: Platform) -> AsyncIterator[httpx.AsyncClient]:
    async with platform.client("root", admin=True) as client:
        yield client


@pytest.fixture
async def other() -> AsyncIterator[OpenAIUpstream]:
    """Another provider, which asks for a key of its own."""
    async with OpenAIUpstream(models=["acme/wizard", "acme/oracle"], api_key=KEY) as running:
        yield running


@pytest.fixture
async def registered(admin: httpx.AsyncClient, other: OpenAIUpstream) -> AsyncIterator[dict[str, Any]]:
    answer = await admin.post(
        PROVIDERS, json={"name": "Acme", "vendor": "acme", "base_url": other.url, "api_key": KEY}
    )
    assert answer.status_code == 200, answer.text
    yield answer.json()
    await admin.delete(f"{PROVIDERS}/{answer.json()['id']}")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", PROVIDERS),
        ("POST", PROVIDERS),
        ("GET", f"{PROVIDERS}/prov_x"),
        ("PATCH", f"{PROVIDERS}/prov_x"),
        ("DELETE", f"{PROVIDERS}/prov_x"),
        ("POST", f"{PROVIDERS}/prov_x/sync"),
        ("POST", f"{PROVIDERS}/prov_x/test"),
        ("GET", MODELS),
        ("GET", f"{MODELS}/pmdl_x"),
        ("PATCH", f"{MODELS}/pmdl_x"),
        ("POST", f"{MODELS}/bulk-toggle"),
        ("GET", CATALOGS),
        ("GET", f"{CATALOGS}/a/b"),
        ("PATCH", f"{CATALOGS}/a/b"),
        ("POST", f"{CATALOGS}/bulk-toggle"),
    ],
)
async def test_only_administrators_come_in(platform: Platform, method: str, path: str) -> None:
    async with platform.client() as user:
        for prefix in ("", "/llm"):
            answer = await user.request(method, prefix + path, json={})
            assert (answer.status_code, answer.json()["message"]) == (403, "Admin access required")
        del user.headers["X-Jan-Identity"]
        assert (await user.request(method, path, json={})).status_code == 401


async def test_a_registered_provider_answers_at_once(
    platform: Platform, registered: dict[str, Any], other: OpenAIUpstream
) -> None:
    assert registered["vendor"] == "custom"
    assert (registered["model_count"], registered["model_active_count"]) == (2, 2)
    assert [model["model_public_id"] for model in registered["models"]] == ["acme/wizard", "acme/oracle"]
    assert KEY not in str(registered)
    async with platform.client() as user:
        body = {"model": "acme/wizard", "messages": [{"role": "user", "content": "Hello"}]}
        assert (await user.post("/v1/chat/completions", json=body)).status_code == 200
    assert other.last.headers["Authorization"] == f"Bearer {KEY}"


async def test_a_provider_that_does_not_answer_is_not_stored(
    admin: httpx.AsyncClient, other: OpenAIUpstream
) -> None:
    wrong = {"name": "Wrong", "vendor": "acme", "base_url": other.url, "api_key": "another"}
    assert (await admin.post(PROVIDERS, json=wrong)).status_code == 502
    await other.stop()
    assert (await admin.post(PROVIDERS, json=wrong)).status_code == 502
    assert (await admin.get(PROVIDERS, params={"search": "wrong"})).json() == []


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "name"),
        ({"name": " ", "vendor": "x", "base_url": "http://a/v1"}, "name"),
        ({"name": "A", "vendor": "x", "endpoints": "nowhere"}, "endpoints[0].url"),
        ({"name": "A", "vendor": "x", "url": "http://a/v1", "category": "tea"}, "category"),
        ({"name": "A", "vendor": "x", "url": "http://a/v1", "metadata": {"a": 1}}, "metadata.a"),
    ],
)
async def test_a_bad_provider_is_named(admin: httpx.AsyncClient, body: dict[str, Any], param: str) -> None:
    answer = await admin.post(PROVIDERS, json=body)
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["param"] == param


async def test_a_provider_without_an_address_is_refused(admin: httpx.AsyncClient) -> None:
    answer = await admin.post(PROVIDERS, json={"name": "A", "vendor": "x"})
    assert answer.status_code == 400
    assert "base_url" in answer.json()["message"]


async def test_a_known_vendor_can_be_registered_once(admin: httpx.AsyncClient, other: OpenAIUpstream) -> None:
    body = {"name": "Groq", "vendor": "groq", "base_url": other.url, "api_key": KEY}
    both = await asyncio.gather(*(admin.post(PROVIDERS, json=body) for _ in range(2)))
    first, second = sorted(both, key=lambda answer: answer.status_code)
    assert (first.status_code, second.status_code) == (200, 409)
    assert (await admin.delete(f"{PROVIDERS}/{first.json()['id']}")).status_code == 204
    again = await admin.post(PROVIDERS, json=body)
    assert again.status_code == 200
    await admin.delete(f"{PROVIDERS}/{again.json()['id']}")


async def test_providers_are_listed_filtered_and_read(
    admin: httpx.AsyncClient, registered: dict[str, Any]
) -> None:
    assert {provider["name"] for provider in (await admin.get(PROVIDERS)).json()} >= {
        "Acme",
        "Remote provider",
    }
    for query, count in (
        ({"search": "ACM"}, 1),
        ({"search": "%"}, 0),
        ({"kind": "openai"}, 0),
        ({"active": "false", "search": "acme"}, 0),
        ({"category": "image"}, 0),
    ):
        assert len((await admin.get(PROVIDERS, params=query)).json()) == count
    path = f"{PROVIDERS}/{registered['id']}"
    found = (await admin.get(path, params={"include_counts": "true"})).json()
    assert (found["total_models"], found["active_models"]) == (2, 2)
    assert (await admin.get(f"{PROVIDERS}/prov_unknown")).status_code == 404


async def test_a_provider_is_changed_in_part(
    admin: httpx.AsyncClient, registered: dict[str, Any], database_url: str
) -> None:
    path = f"{PROVIDERS}/{registered['id']}"
    changed = (await admin.patch(path, json={"name": "Acme Two", "metadata": {"environment": "test"}})).json()
    assert (changed["name"], changed["base_url"]) == ("Acme Two", registered["base_url"])
    assert changed["metadata"] == {"environment": "test"}
    moved = (
        await admin.patch(path, json={"endpoints": [{"url": "http://two.example/v1", "weight": 3}]})
    ).json()
    assert moved["endpoints"] == [
        {"url": "http://two.example/v1", "weight": 3, "priority": 0, "healthy": True}
    ]
    assert (await admin.patch(path, json={"api_key": ""})).status_code == 200
    async with await psycopg.AsyncConnection.connect(database_url) as connection:
        row = await (
            await connection.execute(
                "select encrypted_api_key from llm_api.providers where public_id = %s", (registered["id"],)
            )
        ).fetchone()
    assert row == ("",)


async def test_a_stored_key_does_not_move_to_another_host(
    admin: httpx.AsyncClient, registered: dict[str, Any], other: OpenAIUpstream, platform: Platform
) -> None:
    path = f"{PROVIDERS}/{registered['id']}"

    def known_key() -> str:
        [found] = [
            row for row in platform.serving.registry.providers if row.row.public_id == registered["id"]
        ]
        return found.upstream.endpoints[0].api_key

    within = await admin.patch(path, json={"base_url": f"{other.url}/deeper"})
    assert "api_key_removed" not in within.json() and known_key() == KEY
    along = await admin.patch(path, json={"base_url": "http://two.example/v1", "api_key": "new"})
    assert "api_key_removed" not in along.json() and known_key() == "new"
    added = await admin.patch(path, json={"endpoints": "http://two.example/v1, http://two.example:81/v1"})
    assert added.json()["api_key_removed"] is True and known_key() == ""
    again = await admin.patch(path, json={"base_url": "https://two.example/v1"})
    assert "api_key_removed" not in again.json()


async def test_a_sync_brings_what_is_new(
    admin: httpx.AsyncClient, registered: dict[str, Any], other: OpenAIUpstream, platform: Platform
) -> None:
    path = f"{PROVIDERS}/{registered['id']}"
    assert registered["last_synced_at"] > 0
    assert (registered["source"], registered["api_key_hint"]) == ("api", KEY[-4:])
    other.models = ["acme/wizard", "acme/sphinx"]
    synced = (await admin.post(f"{path}/sync")).json()
    assert (synced["listed_models"], synced["added_models"], synced["model_count"]) == (2, 1, 3)
    assert platform.serving.registry.table.find("acme/sphinx") is not None
    await admin.patch(path, json={"active": False})
    assert (await admin.post(f"{path}/sync")).status_code == 409
    await admin.patch(path, json={"active": True})
    await other.stop()
    assert (await admin.post(f"{path}/sync")).status_code == 502
    assert (await admin.post(f"{PROVIDERS}/prov_unknown/sync")).status_code == 404


async def test_a_test_says_which_address_answers(
    admin: httpx.AsyncClient, registered: dict[str, Any], other: OpenAIUpstream
) -> None:
    path = f"{PROVIDERS}/{registered['id']}"
    tested = (await admin.post(f"{path}/test")).json()
    [answered] = tested["endpoints"]
    assert tested["ok"] and answered["ok"]
    assert (answered["url"], answered["models"], answered["message"]) == (other.url, 2, "")
    await admin.patch(path, json={"api_key": "another"})
    refused = (await admin.post(f"{path}/test")).json()
    assert not refused["ok"] and refused["endpoints"][0]["message"]
    assert (await admin.post(f"{PROVIDERS}/prov_unknown/test")).status_code == 404


async def test_some_models_are_switched(
    admin: httpx.AsyncClient, registered: dict[str, Any], platform: Platform
) -> None:
    wizard, _ = registered["models"]
    body = {"enable": False, "provider_model_ids": [wizard["id"]]}
    assert (await admin.post(f"{MODELS}/bulk-toggle", json=body)).json()["updated_count"] == 1
    assert platform.serving.registry.table.find("acme/wizard") is None
    assert platform.serving.registry.table.find("acme/oracle") is not None
    unknown = await admin.post(f"{MODELS}/bulk-toggle", json={**body, "provider_model_ids": ["pmdl_x"]})
    assert (unknown.status_code, unknown.json()["error"]["param"]) == (404, "provider_model_ids")


async def test_switching_a_provider_off_takes_its_models_along(
    admin: httpx.AsyncClient, registered: dict[str, Any], platform: Platform
) -> None:
    path = f"{PROVIDERS}/{registered['id']}"
    off = (await admin.patch(path, json={"active": False})).json()
    assert (off["active"], off["model_active_count"]) == (False, 0)
    assert platform.serving.registry.table.find("acme/wizard") is None
    on = (await admin.patch(path, json={"active": True})).json()
    assert (on["active"], on["model_active_count"]) == (True, 0)
    toggled = (
        await admin.post(f"{MODELS}/bulk-toggle", json={"enable": True, "provider_id": registered["id"]})
    ).json()
    assert (toggled["updated_count"], toggled["total_checked"]) == (2, 2)
    assert platform.serving.registry.table.find("acme/wizard") is not None


async def test_a_removed_provider_is_gone_with_its_models(
    admin: httpx.AsyncClient, registered: dict[str, Any], platform: Platform
) -> None:
    path = f"{PROVIDERS}/{registered['id']}"
    assert (await admin.delete(path)).status_code == 204
    assert (await admin.delete(path)).status_code == 404
    assert platform.serving.registry.table.find("acme/wizard") is None
    listed = (await admin.get(MODELS, params={"search": "wizard"})).json()
    assert listed["total"] == 0


async def test_providers_of_the_settings_are_changed_there(admin: httpx.AsyncClient) -> None:
    [remote] = (await admin.get(PROVIDERS, params={"search": "Remote provider"})).json()
    for answer in (
        await admin.patch(f"{PROVIDERS}/{remote['id']}", json={"name": "Mine"}),
        await admin.delete(f"{PROVIDERS}/{remote['id']}"),
    ):
        assert (answer.status_code, answer.json()["code"]) == (409, "managed_by_settings")


async def test_providers_models_are_listed_and_filtered(
    admin: httpx.AsyncClient, registered: dict[str, Any]
) -> None:
    for query, ids in (
        ({"provider_id": registered["id"]}, {"acme/oracle", "acme/wizard"}),
        ({"search": "WIZ"}, {"acme/wizard"}),
        ({"search": "acme", "active": "false"}, set()),
        ({"model_key": "acme/oracle"}, {"acme/oracle"}),
        ({"search": "acme", "supports_images": "true"}, set()),
        ({"search": "acme", "category": "nothing"}, set()),
    ):
        listed = (await admin.get(MODELS, params=query)).json()
        assert {model["model_public_id"] for model in listed["data"]} == ids
        assert listed["total"] == len(ids)
    page = (await admin.get(MODELS, params={"search": "acme", "limit": 1, "offset": 1})).json()
    assert (len(page["data"]), page["total"], page["limit"]) == (1, 2, 1)
    with_catalog = (await admin.get(MODELS, params={"search": "acme", "include_catalog": "true"})).json()
    assert with_catalog["data"][0]["catalog"]["id"].startswith("acme/")
    assert (await admin.get(MODELS, params={"after": "x"})).status_code == 400
    assert (await admin.get(MODELS, params={"limit": "0"})).status_code == 400


async def test_a_providers_model_is_changed(
    admin: httpx.AsyncClient, registered: dict[str, Any], platform: Platform
) -> None:
    wizard, oracle = registered["models"]
    path = f"{MODELS}/{wizard['id']}"
    pricing = {"lines": [{"unit": "per_1k_prompt_tokens", "amount_micro_usd": 5, "currency": "USD"}]}
    changed = (
        await admin.patch(
            path,
            json={
                "model_display_name": "The Wizard",
                "category_order_number": 1,
                "pricing": pricing,
                "token_limits": {"context_length": 4096},
                "instruct_model_public_id": oracle["id"],
            },
        )
    ).json()
    assert changed["model_display_name"] == "The Wizard"
    assert changed["pricing"] == pricing
    assert changed["token_limits"] == {"context_length": 4096}
    assert changed["instruct_model_public_id"] == oracle["id"]
    model = platform.serving.registry.table.find("acme/wizard")
    assert model is not None
    assert (model.context_length, model.price) == (4096, 5)
    beyond = {"lines": [{**pricing["lines"][0], "amount_micro_usd": 10**12 + 1}]}
    refused = await admin.patch(path, json={"pricing": beyond})
    assert (refused.status_code, refused.json()["error"]["param"]) == (
        400,
        "pricing.lines[0].amount_micro_usd",
    )
    cleared = (await admin.patch(path, json={"instruct_model_public_id": ""})).json()
    assert "instruct_model_public_id" not in cleared
    assert (await admin.patch(path, json={"instruct_model_public_id": "nobody"})).status_code == 404
    assert (await admin.patch(path, json={"model_display_name": " "})).status_code == 400
    assert (await admin.get(f"{MODELS}/pmdl_unknown")).status_code == 404


async def test_thinking_switched_off_asks_the_instruct_partner(
    admin: httpx.AsyncClient, registered: dict[str, Any], platform: Platform, other: OpenAIUpstream
) -> None:
    wizard, oracle = registered["models"]
    await admin.patch(f"{MODELS}/{wizard['id']}", json={"instruct_model_public_id": oracle["id"]})
    body: dict[str, Any] = {"model": "acme/wizard", "messages": [{"role": "user", "content": "Hello"}]}
    async with platform.client() as user:
        for members, asked in (
            ({"enable_thinking": False}, "acme/oracle"),
            ({"enable_thinking": False, "image": True}, "acme/wizard"),
            ({}, "acme/wizard"),
        ):
            await user.post("/v1/chat/completions", json={**body, **members})
            assert other.last.json["model"] == asked


async def test_the_catalogue_is_edited_and_then_left_alone_by_syncs(
    admin: httpx.AsyncClient, registered: dict[str, Any], platform: Platform, other: OpenAIUpstream
) -> None:
    path = f"{CATALOGS}/acme%2Fwizard"
    assert (await admin.get(path)).json()["status"] == "init"
    changed = (
        await admin.patch(
            path,
            json={
                "model_display_name": "Wizard",
                "supported_parameters": {
                    "names": ["temperature"],
                    "default": {"temperature": 0.3, "top_p": "0.90"},
                },
                "tags": ["fast"],
                "context_length": 2048,
                "supports_images": True,
            },
        )
    ).json()
    assert changed["status"] == "updated"
    assert changed["supported_parameters"]["default"] == {"temperature": "0.3", "top_p": "0.90"}
    assert (changed["tags"], changed["context_length"]) == (["fast"], 2048)
    await platform.serving.sync.sync_providers()
    # A sync writes down when it was, and nothing else.
    synced = (await admin.get(path)).json()
    assert {**synced, "updated_at": changed["updated_at"]} == changed
    [model] = (await admin.get(MODELS, params={"model_key": "acme/wizard"})).json()["data"]
    assert (model["model_display_name"], model["supports_images"]) == ("Wizard", True)
    async with platform.client() as user:
        body = {"model": "acme/wizard", "messages": [{"role": "user", "content": "Hi"}], "temperature": 0}
        await user.post("/v1/chat/completions", json=body)
    assert (other.last.json["temperature"], other.last.json["top_p"]) == (0, 0.9)
    cleared = (await admin.patch(path, json={"tags": [], "context_length": None, "status": "init"})).json()
    assert "tags" not in cleared
    assert "context_length" not in cleared
    assert cleared["status"] == "updated"
    assert (await admin.patch(path, json={"active": None})).status_code == 400
    assert (await admin.patch(f"{CATALOGS}/nobody/knows", json={})).status_code == 404


async def test_the_catalogue_is_listed_and_switched(
    admin: httpx.AsyncClient, registered: dict[str, Any], platform: Platform
) -> None:
    listed = (await admin.get(CATALOGS, params={"limit": 1, "order": "asc"})).json()
    assert (len(listed["data"]), listed["limit"]) == (1, 1)
    assert listed["total"] >= 2
    ids = ["acme/wizard", "acme/oracle"]
    off = await admin.post(
        f"{CATALOGS}/bulk-toggle",
        json={"enable": False, "catalog_ids": ids, "except_models": ["acme/oracle"]},
    )
    assert off.json() == {"updated_count": 1, "skipped_count": 1, "failed_count": 0, "total_checked": 2}
    find = platform.serving.registry.table.find
    assert (find("acme/wizard") is None, platform.serving.registry.table.find("acme/oracle") is None) == (
        True,
        False,
    )
    [model] = (await admin.get(MODELS, params={"model_key": "acme/wizard"})).json()["data"]
    refused = await admin.patch(f"{MODELS}/{model['id']}", json={"active": True})
    assert refused.status_code == 409
    inactive = (await admin.get(CATALOGS, params={"active": "false"})).json()
    assert [entry["id"] for entry in inactive["data"]] == ["acme/wizard"]
    await admin.post(f"{CATALOGS}/bulk-toggle", json={"enable": True, "catalog_ids": ids})
    assert platform.serving.registry.table.find("acme/wizard") is None
    await admin.patch(f"{MODELS}/{model['id']}", json={"active": True})
    assert platform.serving.registry.table.find("acme/wizard") is not None
    for body in ({}, {"enable": True, "catalog_ids": ["x"] * 1001}):
        assert (await admin.post(f"{CATALOGS}/bulk-toggle", json=body)).status_code == 400
    unknown = {"enable": True, "catalog_ids": ["nobody/knows"]}
    assert (await admin.post(f"{CATALOGS}/bulk-toggle", json=unknown)).status_code == 404
