"""Projects: making, listing, changing and deleting them."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import httpx
import pytest

from tests.services.llm_api.callers import Caller, new_caller


@pytest.fixture
def owner(llm_api: httpx.AsyncClient) -> Caller:
    return new_caller(llm_api)


async def project(owner: Caller, **members: Any) -> str:
    """The path of a new project."""
    made = await owner.post("/v1/projects", {"name": "thesis", **members})
    assert made.status_code == 201, made.text
    return f"/v1/projects/{made.json()['id']}"


async def test_a_new_project(owner: Caller) -> None:
    answer = await owner.post("/v1/projects", {"name": "  Thesis ", "instruction": "Be brief."})
    assert answer.status_code == 201
    made = answer.json()
    assert re.fullmatch(r"proj_[0-9a-z]{16}", made["id"])
    assert (await owner.get(f"/v1/projects/{made['id']}")).json() == made
    assert made["created_at"] == made["updated_at"]
    for member in ("id", "created_at", "updated_at"):
        del made[member]
    assert made == {
        "object": "project",
        "name": "Thesis",
        "instruction": "Be brief.",
        "is_favorite": False,
        "is_archived": False,
    }


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "name"),
        ({"name": " "}, "name"),
        ({"name": "x" * 121}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"name": 7}, "name"),
        ({"name": "a", "instruction": "x" * 32_769}, "instruction"),
        ({"name": "a", "instruction": "a\0b"}, "instruction"),
    ],
)
async def test_what_breaks_a_limit_is_refused_by_name(
    owner: Caller, body: dict[str, Any], param: str
) -> None:
    answer = await owner.post("/v1/projects", body)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)
    path = await project(owner, name="kept", instruction="kept")
    if body:
        changed = {"instruction": body["instruction"]} if "instruction" in body else body
        assert (await owner.patch(path, changed)).status_code == 400


async def test_the_limit_of_an_instruction_is_told_in_characters(owner: Caller) -> None:
    answer = await owner.post("/v1/projects", {"name": "a", "instruction": "x" * 32_769})
    assert "at most 32768 characters" in answer.json()["message"]
    assert "item" not in answer.json()["message"]


async def test_changes_are_partial(owner: Caller) -> None:
    path = await project(owner, instruction="Be brief.")
    changed = (await owner.patch(path, {"is_favorite": True})).json()
    assert (changed["name"], changed["instruction"], changed["is_favorite"]) == ("thesis", "Be brief.", True)
    archived = (await owner.patch(path, {"is_archived": True})).json()
    assert (archived["is_archived"], archived["is_favorite"]) == (True, True)
    assert archived["archived_at"] >= archived["created_at"]
    restored = (await owner.patch(path, {"is_archived": False, "instruction": ""})).json()
    assert "archived_at" not in restored
    assert "instruction" not in restored
    assert (await owner.patch(path, {"name": "book"})).json()["name"] == "book"
    assert (await owner.patch(path, {})).json()["name"] == "book"


async def test_a_name_is_taken_once_for_each_user(owner: Caller, llm_api: httpx.AsyncClient) -> None:
    path = await project(owner)
    holder = path.rpartition("/")[2]
    answer = await owner.post("/v1/projects", {"name": "thesis"})
    assert (answer.status_code, answer.json()["message"]) == (409, "Project name already exists")
    assert answer.json()["code"] == holder
    other = await project(owner, name="Thesis")
    renamed = await owner.patch(other, {"name": "thesis"})
    assert (renamed.status_code, renamed.json()["code"]) == (409, holder)
    assert (await owner.get(other)).json()["name"] == "Thesis"
    assert (await owner.patch(path, {"name": "thesis"})).status_code == 200
    await project(new_caller(llm_api))


async def test_of_several_at_once_one_gets_the_name(owner: Caller) -> None:
    answers = await asyncio.gather(*(owner.post("/v1/projects", {"name": "one"}) for _ in range(8)))
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 7


async def test_a_deleted_project_frees_its_name_and_stays_named(owner: Caller) -> None:
    path = await project(owner)
    project_id = path.rpartition("/")[2]
    conversation = await owner.conversation(project_id=project_id)
    assert (await owner.delete(path)).json() == {"id": project_id, "object": "project", "deleted": True}
    for answer in (await owner.get(path), await owner.patch(path, {"name": "x"}), await owner.delete(path)):
        assert answer.status_code == 404
    assert (await owner.get(conversation)).json()["project_id"] == project_id
    assert (await owner.post("/v1/conversations", {"project_id": project_id})).status_code == 404
    await project(owner)


async def test_the_list_holds_archived_ones_and_is_sorted_by_the_last_change(owner: Caller) -> None:
    paths = [await project(owner, name=name) for name in ("one", "two", "three")]
    await owner.patch(paths[0], {"is_archived": True})
    listed = (await owner.get("/v1/projects")).json()
    assert [row["name"] for row in listed["data"]] == ["one", "three", "two"]
    assert (listed["object"], listed["total"], listed["has_more"]) == ("list", 3, False)
    assert (listed["first_id"], listed["last_id"]) == (listed["data"][0]["id"], listed["data"][2]["id"])
    assert "next_cursor" not in listed


async def test_an_empty_list(owner: Caller) -> None:
    assert (await owner.get("/v1/projects")).json() == {
        "object": "list",
        "data": [],
        "has_more": False,
        "total": 0,
    }


async def test_cursors_are_digits_and_others_are_refused(owner: Caller) -> None:
    for name in ("one", "two"):
        await project(owner, name=name)
    page = (await owner.get("/v1/projects", limit=1)).json()
    assert page["next_cursor"].isdecimal()
    rest = (await owner.get("/v1/projects", limit=1, cursor=page["next_cursor"])).json()
    assert [row["name"] for row in rest["data"]] == ["one"]
    answer = await owner.get("/v1/projects", cursor="abc")
    assert (answer.status_code, answer.json()["message"]) == (400, "invalid pagination cursor")


async def test_an_id_of_another_form_is_a_bad_request(owner: Caller) -> None:
    assert (await owner.get("/v1/projects/project-1")).status_code == 400
    assert (await owner.get("/v1/projects/proj_unknown")).status_code == 404


@pytest.mark.parametrize("value", [0, 1, "true", "false"])
async def test_only_true_and_false_are_flags(owner: Caller, value: Any) -> None:
    path = await project(owner)
    answer = await owner.patch(path, {"is_archived": value})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "is_archived")
