"""Prompt templates: read by everybody, kept by administrators."""

from __future__ import annotations

import asyncio
import re
import uuid
from typing import Any

import httpx
import psycopg
import pytest

from jan_server.database.engine import Database
from jan_server.services.llm_api.built_in_prompts import BUILT_IN, seed_prompts
from tests.services.llm_api.administrators import key_of_an_admin, new_admin
from tests.services.llm_api.callers import Caller

ADMIN = "/v1/admin/prompt-templates"
PUBLIC = "/v1/prompt-templates"


@pytest.fixture
def admin(llm_api: httpx.AsyncClient) -> Caller:
    return new_admin(llm_api)


def body(**members: Any) -> dict[str, Any]:
    key = f"key_{uuid.uuid4().hex[:12]}"
    return {"name": "Tutor", "category": "education", "template_key": key, "content": "Be kind.", **members}


async def made(admin: Caller, **members: Any) -> dict[str, Any]:
    answer = await admin.post(ADMIN, body(**members))
    assert answer.status_code == 201, answer.text
    template: dict[str, Any] = answer.json()["data"]
    return template


async def test_the_programs_templates_are_there_for_everybody(llm_api: httpx.AsyncClient) -> None:
    for key, prompt in BUILT_IN.items():
        answer = await llm_api.get(f"{PUBLIC}/{key}")
        assert answer.status_code == 200
        template = answer.json()["data"]
        assert (template["public_id"], template["content"]) == (f"pt_{key}_001", prompt.content)
        assert (template["is_system"], template["is_active"], template["version"]) == (True, True, 1)
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", template["created_at"])
    answer = await llm_api.get(f"{PUBLIC}/nothing")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


async def test_a_new_template(admin: Caller, llm_api: httpx.AsyncClient) -> None:
    wanted = body(
        name="  Tutor ", description="For schools", variables=["Topic"], metadata={"team": {"id": 7}}
    )
    answer = await admin.post("/llm" + ADMIN, wanted)
    assert answer.status_code == 201
    template = answer.json()["data"]
    assert uuid.UUID(template["id"])
    assert re.fullmatch(r"pt_[0-9a-z]{24}", template["public_id"])
    assert template == {
        **wanted,
        "id": template["id"],
        "public_id": template["public_id"],
        "name": "Tutor",
        "is_active": True,
        "is_system": False,
        "version": 1,
        "created_at": template["updated_at"],
        "updated_at": template["updated_at"],
    }
    assert (await admin.get(f"{ADMIN}/{template['public_id']}")).json()["data"] == template
    assert (await admin.get(f"/llm{ADMIN}/{template['public_id']}")).json()["data"] == template
    assert (await llm_api.get(f"{PUBLIC}/{wanted['template_key']}")).json()["data"] == template


async def test_what_is_empty_is_left_out(admin: Caller) -> None:
    template = await made(admin, description="", variables=[], metadata={})
    assert not {"description", "variables", "metadata"} & template.keys()


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"name": " "}, "name"),
        ({"name": "x" * 256}, "name"),
        ({"name": None}, "name"),
        ({"category": ""}, "category"),
        ({"category": "x" * 101}, "category"),
        ({"template_key": "with blank"}, "template_key"),
        ({"template_key": "a\n"}, "template_key"),
        ({"template_key": "x" * 101}, "template_key"),
        ({"content": " \n"}, "content"),
        ({"content": "a\0b"}, "content"),
        ({"variables": "Topic"}, "variables"),
        ({"variables": [""]}, "variables[0]"),
        ({"metadata": []}, "metadata"),
    ],
)
async def test_what_breaks_a_limit_is_refused_by_name(
    admin: Caller, members: dict[str, Any], param: str
) -> None:
    answer = await admin.post(ADMIN, body(**members))
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)
    for name in ("name", "category", "template_key", "content"):
        missing = body()
        del missing[name]
        answer = await admin.post(ADMIN, missing)
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, name)


async def test_metadata_that_cannot_be_stored_is_refused(admin: Caller) -> None:
    deep: Any = {}
    for _ in range(300):
        deep = {"a": deep}
    for metadata in (deep, {"a": "x" * 70_000}):
        answer = await admin.post(ADMIN, body(metadata=metadata))
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, "metadata")


async def test_a_key_is_taken_once(admin: Caller) -> None:
    template = await made(admin, template_key="one_of_a_kind")
    answer = await admin.post(ADMIN, body(template_key="one_of_a_kind"))
    assert (answer.status_code, answer.json()["error"]["param"]) == (409, "template_key")
    await admin.patch(f"{ADMIN}/{template['public_id']}", {"is_active": False})
    assert (await admin.post(ADMIN, body(template_key="one_of_a_kind"))).status_code == 409
    assert (await admin.post(ADMIN, body(template_key="timing"))).status_code == 409
    answers = await asyncio.gather(*(admin.post(ADMIN, body(template_key="race")) for _ in range(6)))
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 5


async def test_changes_are_partial_and_counted(admin: Caller, llm_api: httpx.AsyncClient) -> None:
    template = await made(admin, description="old", metadata={"a": 1}, variables=["A"])
    path = f"{ADMIN}/{template['public_id']}"
    changed = (await admin.patch(path, {"content": "Be brief.", "name": None})).json()["data"]
    assert {**template, "content": "Be brief.", "version": 2, "updated_at": changed["updated_at"]} == changed
    changed = (
        await admin.patch(
            f"/llm{path}",
            {
                "name": "Coach",
                "category": "sport",
                "description": "",
                "variables": [],
                "metadata": {"b": 2},
                "template_key": "another",
            },
        )
    ).json()["data"]
    assert (changed["name"], changed["category"], changed["metadata"]) == ("Coach", "sport", {"b": 2})
    assert (changed["version"], changed["template_key"]) == (3, template["template_key"])
    assert "description" not in changed
    await asyncio.gather(*(admin.patch(path, {"category": f"c{n}"}) for n in range(5)))
    assert (await admin.get(path)).json()["data"]["version"] == 8
    await admin.patch(path, {"is_active": False})
    assert (await llm_api.get(f"{PUBLIC}/{template['template_key']}")).status_code == 404
    assert (await admin.get(path)).json()["data"]["is_active"] is False
    assert (await admin.patch(path, {"content": " "})).status_code == 400


async def test_a_text_that_a_module_cannot_fill_is_refused(admin: Caller) -> None:
    path = f"{ADMIN}/pt_memory_001"
    before = (await admin.get(path)).json()["data"]
    answer = await admin.patch(path, {"content": "Notes:\n{{range .MemoryItems}}{{.}}"})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "content")
    assert "line 2: this block has no {{end}}" in answer.json()["message"]
    assert (await admin.get(path)).json()["data"] == before
    # Only modules fill texts: what clients do with theirs is their affair.
    free = await made(admin, content="{% if anything %} {{ goes")
    for content in ("{{", "{{range .X}}"):
        changed = await admin.patch(f"{ADMIN}/{free['public_id']}", {"content": content})
        assert (changed.status_code, changed.json()["data"]["content"]) == (200, content)


async def test_templates_are_deleted_unless_they_came_with_the_program(admin: Caller) -> None:
    template = await made(admin)
    path = f"{ADMIN}/{template['public_id']}"
    answer = await admin.delete(path)
    assert (answer.status_code, answer.content) == (204, b"")
    for answer in (await admin.get(path), await admin.patch(path, {}), await admin.delete(path)):
        assert answer.status_code == 404
    refused = await admin.delete(f"{ADMIN}/pt_timing_001")
    assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
    again = await made(admin)
    assert (await admin.delete(f"/llm{ADMIN}/{again['public_id']}")).status_code == 204


async def test_a_copy_has_the_same_key_and_counts_after_the_older_one(
    admin: Caller, llm_api: httpx.AsyncClient
) -> None:
    template = await made(admin, description="Kind", variables=["A"], metadata={"a": 1})
    path, public = f"{ADMIN}/{template['public_id']}", f"{PUBLIC}/{template['template_key']}"
    copied = (await admin.send("POST", f"{path}/duplicate")).json()["data"]
    own = {"id", "public_id", "name", "created_at", "updated_at"}
    assert copied["name"] == "Tutor - Copy"
    assert {name: copied[name] for name in copied.keys() - own} == {
        name: template[name] for name in template.keys() - own
    }
    named = await admin.post(f"/llm{path}/duplicate", {"new_name": "Mine"})
    assert (named.status_code, named.json()["data"]["name"]) == (201, "Mine")
    assert (await admin.post(f"{path}/duplicate", {"new_name": "x" * 201})).status_code == 400
    assert (await admin.post(f"{ADMIN}/pt_unknown/duplicate")).status_code == 404
    assert (await llm_api.get(public)).json()["data"]["public_id"] == template["public_id"]
    await admin.patch(path, {"is_active": False})
    assert (await llm_api.get(public)).json()["data"]["public_id"] == copied["public_id"]
    of_the_system = (await admin.post(f"{ADMIN}/pt_timing_001/duplicate", {})).json()["data"]
    assert (of_the_system["is_system"], of_the_system["template_key"]) == (False, "timing")
    assert (await admin.delete(f"{ADMIN}/{of_the_system['public_id']}")).status_code == 204
    long = await made(admin, name="y" * 255)
    copied = (await admin.post(f"{ADMIN}/{long['public_id']}/duplicate")).json()["data"]
    assert (len(copied["name"]), copied["name"][-7:]) == (200, " - Copy")


async def test_the_list_is_sorted_filtered_and_paged(admin: Caller) -> None:
    names = ["Zebra list", "alpha list", "Mid list"]
    rows = [await made(admin, name=name, category="listing", description="for 100%") for name in names]
    await admin.patch(f"{ADMIN}/{rows[0]['public_id']}", {"is_active": False})

    async def found(**query: Any) -> tuple[list[str], int]:
        answer = await admin.get(ADMIN, **query)
        assert answer.status_code == 200, answer.text
        return [row["name"] for row in answer.json()["data"]], answer.json()["total"]

    everything, total = await found(category="listing")
    assert (sorted(everything), total) == (sorted(names), 3)
    assert await found(category="listing", is_active="false") == (["Zebra list"], 1)
    assert (await found(search="ALPHA"))[0] == ["alpha list"]
    assert (await found(search="100%"))[1] == 3
    assert (await found(search="1_0%"))[1] == 0
    assert (await found(search=rows[2]["template_key"]))[0] == ["Mid list"]
    assert await found(category="listing", limit=1, offset=1) == (everything[1:2], 3)
    assert await found(category="listing", limit="many", offset=-1, is_active="maybe") == (everything, 3)
    assert (await found(is_system="true", limit=100))[1] == len(BUILT_IN)
    assert (await admin.get(ADMIN, search="a\0")).status_code == 400
    assert (await admin.get("/llm" + ADMIN, limit=1)).json()["total"] > len(BUILT_IN)


async def test_keys_of_administrators_write_too(
    llm_api: httpx.AsyncClient, admin: Caller, database_url: str
) -> None:
    key = key_of_an_admin(llm_api)
    template = await made(key)
    path = f"{ADMIN}/{template['public_id']}"
    assert (await admin.patch(path, {"category": "new"})).status_code == 200
    async with await psycopg.AsyncConnection.connect(database_url) as connection:
        rows = await connection.execute(
            "select created_by, updated_by from llm_api.prompt_templates where public_id = %s",
            (template["public_id"],),
        )
        assert await rows.fetchone() == (key.principal.subject, admin.principal.subject)


async def test_a_new_version_of_the_program_updates_what_nobody_edited(
    admin: Caller, database_url: str
) -> None:
    edited = f"{ADMIN}/pt_code_assistant_001"
    await admin.patch(edited, {"content": "Write code."})
    async with await psycopg.AsyncConnection.connect(database_url) as connection:
        await connection.execute(
            "update llm_api.prompt_templates set content = 'of an older version' "
            "where public_id = 'pt_chain_of_thought_001'"
        )
    database = Database(database_url)
    try:
        for _ in range(2):
            async with database.session() as session:
                await seed_prompts(session)
    finally:
        await database.dispose()
    assert (await admin.get(edited)).json()["data"]["content"] == "Write code."
    followed = (await admin.get(f"{ADMIN}/pt_chain_of_thought_001")).json()["data"]
    assert (followed["content"], followed["version"]) == (BUILT_IN["chain_of_thought"].content, 1)
