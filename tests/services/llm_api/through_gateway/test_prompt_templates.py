"""Prompt templates and those of single models through the gateway."""

from __future__ import annotations

from typing import Any

import pytest

from tests.services.llm_api.through_gateway.stack import MODEL, Visitor, fresh_name

ADMIN = "/v1/admin/prompt-templates"
OF_MODELS, SECOND = "/v1/admin/models/prompt-templates", "/v1/admin/models/catalog-prompt-templates"


async def new_template(root: Visitor) -> dict[str, Any]:
    members = {
        "name": "Greeting",
        "category": "tone",
        "template_key": fresh_name("greet_"),
        "content": "Be kind.",
    }
    return dict((await root.post(ADMIN, members, status=201))["data"])


@pytest.mark.route(
    "POST /v1/admin/prompt-templates",
    "GET /v1/admin/prompt-templates",
    "GET /v1/admin/prompt-templates/{template_id}",
    "PATCH /v1/admin/prompt-templates/{template_id}",
    "DELETE /v1/admin/prompt-templates/{template_id}",
    "POST /v1/admin/prompt-templates/{template_id}/duplicate",
)
async def test_a_template_from_its_making_to_its_end(root: Visitor) -> None:
    made = await new_template(root)
    assert made["public_id"].startswith("pt_") and (made["version"], made["is_system"]) == (1, False)
    path = f"{ADMIN}/{made['public_id']}"
    assert (await root.get(path))["data"] == made
    page = await root.get(ADMIN, search=made["template_key"])
    assert (page["data"], page["total"]) == ([made], 1)
    changed = (await root.patch(path, {"content": "Be very kind."}))["data"]
    assert (changed["content"], changed["version"]) == ("Be very kind.", 2)
    copied = (await root.post(f"{path}/duplicate", {"new_name": "Another"}, status=201))["data"]
    assert (copied["name"], copied["template_key"]) == ("Another", made["template_key"])
    await root.delete(path, status=204)
    await root.get(path, status=404)
    await root.delete(f"{ADMIN}/pt_timing_001", status=403)


@pytest.mark.route("GET /v1/prompt-templates/{template_key}")
async def test_a_template_is_read_without_a_credential(visitor: Visitor, root: Visitor) -> None:
    made = await new_template(root)
    path = f"/v1/prompt-templates/{made['template_key']}"
    assert (await visitor.get(path))["data"] == made
    await root.patch(f"{ADMIN}/{made['public_id']}", {"is_active": False})
    assert (await visitor.get(path, status=404))["code"] == "not_found"


@pytest.mark.route(
    "POST /v1/admin/models/prompt-templates/assign/{model_id}",
    "GET /v1/admin/models/prompt-templates/list/{model_id}",
    "GET /v1/admin/models/prompt-templates/effective/{model_id}",
    "PATCH /v1/admin/models/prompt-templates/update/{template_key}/{model_id}",
    "DELETE /v1/admin/models/prompt-templates/unassign/{template_key}/{model_id}",
)
@pytest.mark.parametrize("model", [MODEL, MODEL.replace("/", "%2F")])
async def test_a_model_has_a_template_of_its_own(root: Visitor, model: str) -> None:
    template = await new_template(root)
    key = template["template_key"]
    wish = {"template_key": key, "prompt_template_id": template["public_id"], "priority": 3}
    made = await root.post(f"{OF_MODELS}/assign/{model}", wish)
    assert made.items() >= {**wish, "model_catalog_id": MODEL, "is_active": True}.items()
    assert key in [one["template_key"] for one in (await root.get(f"{OF_MODELS}/list/{model}"))["data"]]
    effective = (await root.get(f"{OF_MODELS}/effective/{model}"))["templates"]
    assert (effective[key]["source"], effective["timing"]["source"]) == ("model_specific", "global_default")
    other = await new_template(root)
    changed = await root.patch(f"{OF_MODELS}/update/{key}/{model}", {"prompt_template_id": other["id"]})
    assert (changed["prompt_template_id"], changed["priority"]) == (other["public_id"], 3)
    await root.delete(f"{OF_MODELS}/unassign/{key}/{model}", status=204)
    await root.delete(f"{OF_MODELS}/unassign/{key}/{model}", status=404)


@pytest.mark.route(
    "POST /v1/admin/models/catalog-prompt-templates/{model_id}",
    "GET /v1/admin/models/catalog-prompt-templates/{model_id}",
    "GET /v1/admin/models/catalog-prompt-templates/{model_id}/effective",
    "PATCH /v1/admin/models/catalog-prompt-templates/{model_id}/{template_key}",
    "DELETE /v1/admin/models/catalog-prompt-templates/{model_id}/{template_key}",
)
@pytest.mark.parametrize("model", [MODEL, MODEL.replace("/", "%2F")])
async def test_the_same_with_the_model_first(root: Visitor, model: str) -> None:
    template = await new_template(root)
    key = template["template_key"]
    wish = {"template_key": key, "prompt_template_id": template["public_id"]}
    made = await root.post(f"{SECOND}/{model}", wish, status=201)
    page = await root.get(f"{SECOND}/{model}", limit=100)
    assert made in page["data"] and (page["page"], page["limit"]) == (1, 100)
    assert (await root.get(f"{SECOND}/{model}/effective"))["templates"][key]["source"] == "model"
    assert (await root.patch(f"{SECOND}/{model}/{key}", {"priority": 7}))["priority"] == 7
    await root.delete(f"{SECOND}/{model}/{key}", status=204)
    await root.delete(f"{SECOND}/{model}/{key}", status=404)
