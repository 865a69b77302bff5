"""Models through the gateway, as their callers see them."""

from __future__ import annotations

import pytest

from tests.services.llm_api.through_gateway.stack import MODEL, Visitor


@pytest.mark.route("GET /v1/models", "HEAD /v1/models", "GET /v1/models/{model_id}")
async def test_models_are_listed_and_found_by_id(ann: Visitor) -> None:
    listed = await ann.get("/v1/models")
    [model] = [one for one in listed["data"] if one["id"] == MODEL]
    assert listed["object"] == "list"
    assert model.keys() >= {"id", "object", "created", "owned_by", "model_display_name", "category"}
    assert model.items() <= (await ann.get(f"/v1/models/{MODEL}")).items()
    assert (await ann.get("/v1/models/unknown%2Fscripted-model"))["id"] == MODEL
    assert (await ann.send("HEAD", "/v1/models")).content == b""
    [shown] = (await ann.send("GET", "/v1/models", headers={"X-PROVIDER-DATA": "true"})).json()["data"]
    assert shown["provider_id"].startswith("prov_")
    await ann.get("/v1/models/unknown/absent", status=404)


@pytest.mark.route("GET /v1/models/catalogs/{model_id}", "GET /v1/models/providers")
async def test_catalogue_and_providers(ann: Visitor) -> None:
    entry = await ann.get(f"/v1/models/catalogs/{MODEL}")
    assert entry["id"] == entry["public_id"] == MODEL
    assert entry.keys() >= {"supported_parameters", "architecture", "status", "experimental", "family"}
    assert await ann.get("/v1/models/catalogs/unknown%2Fscripted-model") == entry
    providers = await ann.get("/v1/models/providers")
    assert {one["category"] for one in providers} == {"llm", "image"}
    assert all(one["id"].startswith("prov_") and not one["base_url"] for one in providers)
