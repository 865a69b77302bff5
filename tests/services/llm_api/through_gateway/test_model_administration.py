"""Providers, their models and the catalogue through the gateway, for administrators."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.doubles.openai_upstream import OpenAIUpstream
from tests.services.llm_api.conftest import UPSTREAM_KEY
from tests.services.llm_api.through_gateway.stack import MODEL, Visitor, fresh_name

PROVIDERS, ROUTES = "/v1/admin/providers", "/v1/admin/models/routes"
MODELS, CATALOGS = "/v1/admin/models/provider-models", "/v1/admin/models/catalogs"


@pytest.fixture
async def provider(root: Visitor) -> AsyncIterator[dict[str, Any]]:
    """A registered provider of one model of its own; the provider's machine is gone afterwards."""
    name = fresh_name("model")
    async with OpenAIUpstream(models=[name], api_key=UPSTREAM_KEY) as machine:
        wish = {
            "name": fresh_name("Team"),
            "vendor": "vllm",
            "base_url": machine.url,
            "api_key": UPSTREAM_KEY,
        }
        made = await root.post(PROVIDERS, wish)
        assert [one["model_public_id"] for one in made["models"]] == [f"unknown/{name}"]
        yield made
    await root.send("DELETE", f"{PROVIDERS}/{made['id']}", status=204)


@pytest.mark.route(
    "POST /v1/admin/providers",
    "GET /v1/admin/providers",
    "GET /v1/admin/providers/{provider_id}",
    "PATCH /v1/admin/providers/{provider_id}",
)
async def test_a_provider_is_registered_and_changed(root: Visitor, provider: dict[str, Any]) -> None:
    path = f"{PROVIDERS}/{provider['id']}"
    assert provider["id"].startswith("prov_") and "api_key" not in provider
    [listed] = await root.get(PROVIDERS, search=provider["name"])
    assert (listed["model_count"], listed["model_active_count"]) == (1, 1)
    one = await root.get(path, include_counts="true")
    assert (one["vendor"], one["total_models"], one["active_models"]) == ("custom", 1, 1)
    changed = await root.patch(path, {"metadata": {"environment": "test"}})
    assert changed["metadata"]["environment"] == "test" and changed["name"] == provider["name"]


@pytest.mark.route(
    "POST /v1/admin/providers/{provider_id}/sync", "POST /v1/admin/providers/{provider_id}/test"
)
async def test_a_provider_is_asked_for_its_models_again(root: Visitor, provider: dict[str, Any]) -> None:
    path = f"{PROVIDERS}/{provider['id']}"
    synced = await root.post(f"{path}/sync")
    assert (synced["listed_models"], synced["added_models"]) == (1, 0)
    tested = await root.post(f"{path}/test")
    assert tested["ok"] is True and [one["models"] for one in tested["endpoints"]] == [1]
    await root.post(f"{PROVIDERS}/prov_unknown/sync", status=404)


@pytest.mark.route("DELETE /v1/admin/providers/{provider_id}")
async def test_a_removed_provider_takes_its_models_along(root: Visitor, ann: Visitor) -> None:
    async with OpenAIUpstream(models=[fresh_name("model")], api_key=UPSTREAM_KEY) as machine:
        wish = {
            "name": fresh_name("Team"),
            "vendor": "vllm",
            "base_url": machine.url,
            "api_key": UPSTREAM_KEY,
        }
        made = await root.post(PROVIDERS, wish)
        public_id = made["models"][0]["model_public_id"]
        assert (await ann.get(f"/v1/models/{public_id}"))["id"] == public_id
        await root.delete(f"{PROVIDERS}/{made['id']}", status=204)
        await root.get(f"{PROVIDERS}/{made['id']}", status=404)
        await ann.get(f"/v1/models/{public_id}", status=404)


@pytest.mark.route(
    "GET /v1/admin/models/provider-models",
    "GET /v1/admin/models/provider-models/{provider_model_id}",
    "PATCH /v1/admin/models/provider-models/{provider_model_id}",
    "POST /v1/admin/models/provider-models/bulk-toggle",
)
async def test_models_of_a_provider_are_changed_and_switched(root: Visitor, provider: dict[str, Any]) -> None:
    page = await root.get(MODELS, provider_id=provider["id"])
    assert (page["total"], page["limit"]) == (1, 20)
    [model] = page["data"]
    path = f"{MODELS}/{model['id']}"
    assert await root.get(path) == model
    assert model["id"].startswith("pmdl_") and model["provider_id"] == provider["id"]
    changed = await root.patch(path, {"model_display_name": "Ours", "category_order_number": 4})
    assert (changed["model_display_name"], changed["category_order_number"]) == ("Ours", 4)
    done = await root.post(f"{MODELS}/bulk-toggle", {"enable": False, "provider_id": provider["id"]})
    assert done["updated_count"] == 1
    assert (await root.get(path))["active"] is False


@pytest.mark.route(
    "GET /v1/admin/models/catalogs",
    "GET /v1/admin/models/catalogs/{model_id}",
    "PATCH /v1/admin/models/catalogs/{model_id}",
    "POST /v1/admin/models/catalogs/bulk-toggle",
)
async def test_the_catalogue_is_changed_and_switched(root: Visitor, provider: dict[str, Any]) -> None:
    public_id = provider["models"][0]["model_public_id"]
    page = await root.get(CATALOGS, limit=1)
    assert page.keys() >= {"data", "total", "limit"} and page["data"][0]["id"] == public_id
    encoded = f"{CATALOGS}/{public_id.replace('/', '%2F')}"
    assert await root.get(encoded) == await root.get(f"{CATALOGS}/{public_id}")
    changed = await root.patch(encoded, {"description": "Our own.", "supports_tools": True})
    assert (changed["status"], changed["description"], changed["supports_tools"]) == (
        "updated",
        "Our own.",
        True,
    )
    done = await root.post(f"{CATALOGS}/bulk-toggle", {"enable": False, "catalog_ids": [public_id]})
    assert done["updated_count"] == 1
    assert (await root.get(f"{CATALOGS}/{public_id}"))["active"] is False


@pytest.mark.route(
    "POST /v1/admin/models/routes",
    "GET /v1/admin/models/routes",
    "GET /v1/admin/models/routes/{route_public_id}",
    "PATCH /v1/admin/models/routes/{route_public_id}",
    "DELETE /v1/admin/models/routes/{route_public_id}",
)
async def test_a_route_of_models_from_its_making_to_its_end(root: Visitor, ann: Visitor) -> None:
    name = fresh_name("assistant")
    made = await root.post(ROUTES, {"name": name, "targets": [{"model": MODEL}]}, status=201)
    path = f"{ROUTES}/{made['id']}"
    assert await root.get(path) == made
    assert made["id"].startswith("rte_") and made["targets"][0]["model"] == MODEL
    page = await root.get(ROUTES, search=name)
    assert (page["data"], page["total"]) == ([made], 1)
    chat = {"model": name, "messages": [{"role": "user", "content": "Hello"}]}
    assert (await ann.post("/v1/chat/completions", chat))["object"] == "chat.completion"
    assert (await root.patch(path, {"description": "Ours."}))["description"] == "Ours."
    await root.delete(path, status=204)
    await root.get(path, status=404)
    await ann.post("/v1/chat/completions", chat, status=404)
