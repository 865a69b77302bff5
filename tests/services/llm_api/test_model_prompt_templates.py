"""Models' own prompt templates, through both families of paths."""

from __future__ import annotations

import asyncio
import re
import uuid
from typing import Any
from urllib.parse import quote

import httpx
import psycopg
import pytest

from jan_server.services.llm_api.built_in_prompts import BUILT_IN
from tests.services.llm_api.administrators import key_of_an_admin, new_admin
from tests.services.llm_api.callers import Caller

FIRST = "/v1/admin/models/prompt-templates"
SECOND = "/v1/admin/models/catalog-prompt-templates"
TEMPLATES = "/v1/admin/prompt-templates"
NOBODY = "acme/nobody"


@pytest.fixture
def admin(llm_api: httpx.AsyncClient) -> Caller:
    return new_admin(llm_api)


@pytest.fixture
async def model(database_url: str, llm_api: httpx.AsyncClient) -> str:
    """A model of the catalogue whose id holds slashes."""
    model_id = f"acme/labs/model-{uuid.uuid4().hex[:8]}"
    async with await psycopg.AsyncConnection.connect(database_url) as connection:
        await connection.execute(
            "insert into llm_api.model_catalogs (public_id, model_display_name) values (%s, %s)",
            (model_id, model_id),
        )
    return model_id


async def template(admin: Caller, content: str = "Research in German.", **members: Any) -> dict[str, Any]:
    """A template of its own key."""
    wanted = {"name": "German", "category": "research", "template_key": f"k_{uuid.uuid4().hex[:12]}"}
    answer = await admin.post(TEMPLATES, {**wanted, "content": content, **members})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()["data"]
    return made


@pytest.mark.parametrize("prefix", ["", "/llm"])
@pytest.mark.parametrize("encoded", [False, True])
async def test_the_first_family(admin: Caller, model: str, prefix: str, encoded: bool) -> None:
    base, named = prefix + FIRST, quote(model, safe="" if encoded else "/")
    chosen = await template(admin, description="For Berlin")
    answer = await admin.post(
        f"{base}/assign/{named}",
        {"template_key": "deep_research", "prompt_template_id": chosen["public_id"]},
    )
    assert answer.status_code == 200, answer.text
    made = answer.json()
    assert uuid.UUID(made["id"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", made["created_at"])
    assert made == {
        "id": made["id"],
        "model_catalog_id": model,
        "template_key": "deep_research",
        "prompt_template_id": chosen["public_id"],
        "priority": 0,
        "is_active": True,
        "created_at": made["created_at"],
        "updated_at": made["updated_at"],
        "prompt_template": {
            "public_id": chosen["public_id"],
            "name": "German",
            "description": "For Berlin",
            "category": "research",
            "template_key": chosen["template_key"],
            "is_active": True,
        },
    }
    assert (await admin.get(f"{base}/list/{named}")).json() == {"data": [made], "total": 1}
    effective = (await admin.get(f"{base}/effective/{named}")).json()["templates"]
    assert effective["deep_research"] == {"template": chosen, "source": "model_specific"}
    assert effective["timing"]["source"] == "global_default"
    assert effective.keys() >= BUILT_IN.keys()
    path = f"{base}/update/deep_research/{named}"
    changed = (await admin.patch(path, {"priority": 5, "is_active": False})).json()
    assert changed == {**made, "priority": 5, "is_active": False, "updated_at": changed["updated_at"]}
    effective = (await admin.get(f"{base}/effective/{named}")).json()["templates"]
    assert effective["deep_research"]["template"]["public_id"] == "pt_deep_research_001"
    assert effective["deep_research"]["source"] == "global_default"
    assert (await admin.delete(f"{base}/unassign/deep_research/{named}")).status_code == 204
    assert (await admin.get(f"{base}/list/{named}")).json() == {"data": [], "total": 0}
    assert (await admin.delete(f"{base}/unassign/deep_research/{named}")).status_code == 404
    assert (await admin.patch(path, {"priority": 1})).status_code == 404


@pytest.mark.parametrize("prefix", ["", "/llm"])
@pytest.mark.parametrize("encoded", [False, True])
async def test_the_second_family(admin: Caller, model: str, prefix: str, encoded: bool) -> None:
    path = f"{prefix}{SECOND}/{quote(model, safe='' if encoded else '/')}"
    chosen = await template(admin)
    answer = await admin.post(
        path,
        {
            "template_key": "timing",
            "prompt_template_id": chosen["public_id"],
            "priority": 3,
            "is_active": False,
        },
    )
    assert answer.status_code == 201, answer.text
    made = answer.json()
    assert (made["priority"], made["is_active"], made["model_catalog_id"]) == (3, False, model)
    await admin.post(path, {"template_key": "free_key", "prompt_template_id": chosen["public_id"]})
    listed = (await admin.get(path)).json()
    assert (listed["total"], listed["page"], listed["limit"]) == (2, 1, 20)
    assert [row["template_key"] for row in listed["data"]] == ["timing", "free_key"]
    second = (await admin.get(path, page=2, limit=1)).json()
    assert [row["template_key"] for row in second["data"]] == ["free_key"]
    assert (second["total"], second["page"], second["limit"]) == (2, 2, 1)
    odd = (await admin.get(path, page="x", limit=-1)).json()
    assert (odd["page"], odd["limit"], len(odd["data"])) == (1, 20, 2)
    effective = (await admin.get(f"{path}/effective")).json()["templates"]
    assert effective["timing"]["source"] == "global"
    assert effective["free_key"] == {"template": chosen, "source": "model"}
    changed = await admin.patch(f"{path}/timing", {"is_active": True})
    assert (changed.status_code, changed.json()["is_active"]) == (200, True)
    effective = (await admin.get(f"{path}/effective")).json()["templates"]
    assert effective["timing"] == {"template": chosen, "source": "model"}
    assert (await admin.delete(f"{path}/timing")).status_code == 204
    assert (await admin.delete(f"{path}/timing")).status_code == 404
    assert (await admin.patch(f"{path}/timing", {})).status_code == 404


async def test_a_template_is_named_by_either_id_and_can_be_exchanged(admin: Caller, model: str) -> None:
    one, two = await template(admin), await template(admin)
    made = await admin.post(
        f"{FIRST}/assign/{model}", {"template_key": "memory", "prompt_template_id": one["id"]}
    )
    assert made.json()["prompt_template_id"] == one["public_id"]
    for path in (f"{FIRST}/update/memory/{model}", f"{SECOND}/{model}/memory"):
        for chosen, name in ((two, "public_id"), (one, "id")):
            changed = await admin.patch(path, {"prompt_template_id": chosen[name]})
            assert changed.status_code == 200, changed.text
            assert changed.json()["prompt_template_id"] == chosen["public_id"]
            assert changed.json()["id"] == made.json()["id"]


async def test_assigning_again_replaces(admin: Caller, model: str) -> None:
    one, two = await template(admin), await template(admin)
    path = f"{FIRST}/assign/{model}"
    body = {"template_key": "memory", "prompt_template_id": one["public_id"], "priority": 9}
    first = (await admin.post(path, body)).json()
    again = (
        await admin.post(path, {"template_key": "memory", "prompt_template_id": two["public_id"]})
    ).json()
    assert (again["id"], again["prompt_template_id"], again["priority"]) == (
        first["id"],
        two["public_id"],
        0,
    )
    answers = await asyncio.gather(*(admin.post(path, body) for _ in range(5)))
    assert {answer.status_code for answer in answers} == {200}
    assert (await admin.get(f"{FIRST}/list/{model}")).json()["total"] == 1


async def test_what_is_unknown_is_404(admin: Caller, model: str) -> None:
    chosen = await template(admin)
    body = {"template_key": "memory", "prompt_template_id": chosen["public_id"]}
    unknown = {**body, "prompt_template_id": "pt_unknown"}
    nothing = {**body, "prompt_template_id": str(uuid.uuid4())}
    for answer in (
        await admin.post(f"{FIRST}/assign/{NOBODY}", body),
        await admin.post(f"{FIRST}/assign/{model}", unknown),
        await admin.post(f"{FIRST}/assign/{model}", nothing),
        await admin.get(f"{FIRST}/list/{NOBODY}"),
        await admin.get(f"{FIRST}/effective/{NOBODY}"),
        await admin.patch(f"{FIRST}/update/unknown/{model}", {}),
        await admin.post(f"{SECOND}/{NOBODY}", body),
        await admin.post(f"{SECOND}/{model}", unknown),
        await admin.get(f"{SECOND}/{NOBODY}"),
        await admin.get(f"{SECOND}/{NOBODY}/effective"),
    ):
        assert (answer.status_code, answer.json()["error"]["type"]) == (404, "not_found_error")
    await admin.post(f"{FIRST}/assign/{model}", body)
    answer = await admin.patch(f"{FIRST}/update/memory/{model}", {"prompt_template_id": "pt_unknown"})
    assert (answer.status_code, answer.json()["error"]["param"]) == (404, "prompt_template_id")


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"template_key": None}, "template_key"),
        ({"template_key": "a b"}, "template_key"),
        ({"prompt_template_id": None}, "prompt_template_id"),
        ({"prompt_template_id": " "}, "prompt_template_id"),
        ({"priority": "high"}, "priority"),
        ({"priority": 2**31}, "priority"),
        ({"is_active": "perhaps"}, "is_active"),
    ],
)
async def test_what_is_wrong_is_refused_by_name(
    admin: Caller, model: str, members: dict[str, Any], param: str
) -> None:
    body = {"template_key": "memory", "prompt_template_id": "pt_memory_001", **members}
    for path in (f"{FIRST}/assign/{model}", f"{SECOND}/{model}"):
        answer = await admin.post(path, body)
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


async def test_a_text_that_a_module_cannot_fill_is_refused_for_its_key(admin: Caller, model: str) -> None:
    broken = await template(admin, content="Now {{.CurrentDate | upper}}")
    path = f"{FIRST}/assign/{model}"
    answer = await admin.post(path, {"template_key": "timing", "prompt_template_id": broken["public_id"]})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "prompt_template_id")
    free = await admin.post(path, {"template_key": "mine", "prompt_template_id": broken["public_id"]})
    assert free.status_code == 200


async def test_a_deleted_or_inactive_template_gives_the_global_one_back(admin: Caller, model: str) -> None:
    chosen = await template(admin)
    await admin.post(
        f"{FIRST}/assign/{model}",
        {"template_key": "memory", "prompt_template_id": chosen["public_id"]},
    )

    async def source() -> str:
        effective = await admin.get(f"{FIRST}/effective/{model}")
        return str(effective.json()["templates"]["memory"]["source"])

    assert await source() == "model_specific"
    await admin.patch(f"{TEMPLATES}/{chosen['public_id']}", {"is_active": False})
    assert await source() == "global_default"
    await admin.delete(f"{TEMPLATES}/{chosen['public_id']}")
    assert await source() == "global_default"
    assert (await admin.get(f"{FIRST}/list/{model}")).json()["total"] == 0


async def test_keys_of_administrators_write_too(llm_api: httpx.AsyncClient, model: str) -> None:
    key = key_of_an_admin(llm_api)
    body = {"template_key": "memory", "prompt_template_id": "pt_memory_001"}
    assert (await key.post(f"{SECOND}/{model}", body)).status_code == 201
    assert (await key.patch(f"{SECOND}/{model}/memory", {"priority": 1})).status_code == 200
