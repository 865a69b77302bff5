"""Conversations: making, reading, changing, listing and deleting them."""

from __future__ import annotations

import re
import time
from typing import Any

import httpx
import pytest

from tests.services.llm_api.callers import Caller, new_caller


@pytest.fixture
def owner(llm_api: httpx.AsyncClient) -> Caller:
    return new_caller(llm_api)


async def test_a_new_conversation_has_an_id_times_and_an_unlocked_title(owner: Caller) -> None:
    answer = await owner.post("/v1/conversations", {})
    assert answer.status_code == 200
    made = answer.json()
    assert re.fullmatch(r"conv_[0-9a-z]{16}", made["id"])
    assert made.pop("object") == "conversation"
    assert made["metadata"] == {"title_locked": "false"}
    assert abs(made["created_at"] - time.time()) < 60
    assert made["updated_at"] == made["created_at"]
    assert set(made) == {"id", "created_at", "updated_at", "metadata"}
    assert (await owner.get(f"/v1/conversations/{made['id']}")).json() == {**made, "object": "conversation"}


async def test_everything_a_conversation_may_begin_with(owner: Caller) -> None:
    project = (await owner.post("/v1/projects", {"name": "thesis"})).json()["id"]
    body = {
        "title": "Compare prices on www.shop.example, please!",
        "metadata": {"model": "jan-v2"},
        "referrer": "web",
        "project_id": project,
        "items": [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hi"}],
    }
    made = (await owner.post("/v1/conversations", body)).json()
    assert made["title"] == "Compare prices on please"
    assert made["metadata"] == {"model": "jan-v2", "title_locked": "false"}
    assert (made["referrer"], made["project_id"]) == ("web", project)
    assert await owner.texts(f"/v1/conversations/{made['id']}") == ["Hello", "Hi"]


async def test_the_default_title_counts_as_none(owner: Caller) -> None:
    assert "title" not in (await owner.post("/v1/conversations", {"title": "New Conversation"})).json()
    assert "title" not in (await owner.post("/v1/conversations", {"title": " !? "})).json()


async def test_a_long_title_is_cut_at_a_word(owner: Caller) -> None:
    title = (await owner.post("/v1/conversations", {"title": "word " * 100})).json()["title"]
    assert len(title) <= 256
    assert title.endswith("word...")


async def test_what_follows_the_first_json_value_is_ignored(owner: Caller) -> None:
    answer = await owner.send("POST", "/v1/conversations", content=b'{"title":"One"}}')
    assert answer.json()["title"] == "One"


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"text"', b'{"title": "\\ud800"}'])
async def test_a_body_that_is_no_json_object_is_refused(owner: Caller, body: bytes) -> None:
    answer = await owner.send("POST", "/v1/conversations", content=body)
    assert answer.status_code == 400
    assert answer.json()["code"] == "invalid_json"


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"title": 7}, "title"),
        ({"metadata": {f"k{n}": "v" for n in range(17)}}, "metadata"),
        ({"metadata": {"_key": "v"}}, "metadata"),
        ({"metadata": {"a-b": "v"}}, "metadata"),
        ({"metadata": {"": "v"}}, "metadata"),
        ({"metadata": {"k" * 65: "v"}}, "metadata"),
        ({"metadata": {"key": "v" * 513}}, "metadata"),
        ({"metadata": {"key": 1}}, "metadata.key"),
        ({"metadata": {"key": "a\0b"}}, "metadata"),
        ({"referrer": "  "}, "referrer"),
        ({"referrer": "r" * 65}, "referrer"),
        ({"referrer": "a\0b"}, "referrer"),
        ({"project_id": "project 1"}, "project_id"),
        ({"items": "none"}, "items"),
        ({"items": [{"content": "x"}] * 21}, "items"),
        ({"items": [{"content": "x"}, {"content": 7}]}, "items[1].content"),
    ],
)
async def test_what_breaks_a_limit_is_refused_by_name(
    owner: Caller, body: dict[str, Any], param: str
) -> None:
    answer = await owner.post("/v1/conversations", body)
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["param"] == param
    assert (await owner.get("/v1/conversations")).json()["total"] == 0


async def test_an_unknown_project_is_refused(owner: Caller) -> None:
    assert (await owner.post("/v1/conversations", {"project_id": "proj_unknown"})).status_code == 404


async def test_a_new_title_keeps_everything_else_and_is_locked(owner: Caller) -> None:
    path = await owner.conversation(title="Before", metadata={"model": "jan"}, referrer="web")
    changed = (await owner.post(path, {"title": "After!"})).json()
    assert changed["title"] == "After"
    assert changed["metadata"] == {"model": "jan", "title_locked": "true"}
    assert changed["referrer"] == "web"


@pytest.mark.parametrize("method", ["PATCH", "PUT"])
async def test_only_post_changes_a_conversation(owner: Caller, method: str) -> None:
    path = await owner.conversation(title="Before")
    assert (await owner.send(method, path, json={"title": "After"})).status_code == 404
    assert (await owner.get(path)).json()["title"] == "Before"


async def test_new_metadata_replaces_the_map_and_keeps_only_title_locked(owner: Caller) -> None:
    path = await owner.conversation(title="Title", metadata={"a": "1"})
    changed = (await owner.post(path, {"metadata": {"b": "2"}})).json()
    assert (changed["title"], changed["metadata"]) == ("Title", {"b": "2", "title_locked": "false"})
    await owner.post(path, {"title": "Mine"})
    assert (await owner.post(path, {"metadata": {}})).json()["metadata"] == {"title_locked": "true"}
    unlocked = await owner.post(path, {"metadata": {"title_locked": "false"}})
    assert unlocked.json()["metadata"] == {"title_locked": "false"}


async def test_an_empty_title_and_an_empty_update_change_nothing(owner: Caller) -> None:
    path = await owner.conversation(title="Title")
    before = (await owner.get(path)).json()
    assert (await owner.post(path, {"title": ""})).json() == before
    assert (await owner.post(path, {})).json() == before


async def test_a_conversation_moves_between_projects(owner: Caller) -> None:
    project = (await owner.post("/v1/projects", {"name": "thesis"})).json()["id"]
    path = await owner.conversation()
    assert (await owner.post(path, {"project_id": project})).json()["project_id"] == project
    assert (await owner.post(path, {"referrer": "app"})).json()["project_id"] == project
    assert "project_id" not in (await owner.post(path, {"project_id": ""})).json()
    assert (await owner.post(path, {"project_id": "proj_unknown"})).status_code == 404
    assert (await owner.post(path, {"project_id": "?"})).status_code == 400


async def test_a_deleted_conversation_is_gone(owner: Caller) -> None:
    path = await owner.conversation(title="Title")
    assert (await owner.delete(path)).json() == {
        "id": path.rpartition("/")[2],
        "object": "conversation.deleted",
        "deleted": True,
    }
    for answer in (
        await owner.get(path),
        await owner.delete(path),
        await owner.post(path, {"title": "x"}),
        await owner.get(f"{path}/items"),
        await owner.post(f"{path}/items", {"items": []}),
    ):
        assert answer.status_code == 404
    assert (await owner.get("/v1/conversations")).json()["data"] == []


async def test_deleting_all_spares_those_of_others(owner: Caller, llm_api: httpx.AsyncClient) -> None:
    stranger = new_caller(llm_api)
    theirs = await stranger.conversation()
    for _ in range(3):
        await owner.conversation()
    assert (await owner.delete("/v1/conversations")).json() == {
        "object": "conversations.deleted",
        "deleted": True,
        "deleted_count": 3,
    }
    assert (await owner.get("/v1/conversations")).json()["total"] == 0
    assert (await owner.delete("/v1/conversations")).json()["deleted_count"] == 0
    assert (await stranger.get(theirs)).status_code == 200


async def test_an_id_of_another_form_is_a_bad_request(owner: Caller) -> None:
    for path in ("/v1/conversations/conv_UPPER", "/v1/conversations/chat_1/items", "/v1/conversations/conv_"):
        answer = await owner.get(path)
        assert answer.status_code == 400
        assert answer.json()["message"] == "invalid conversation ID"


async def test_the_list_is_sorted_by_the_last_change(owner: Caller) -> None:
    paths = [await owner.conversation(title=name) for name in ("one", "two", "three")]
    await owner.append(paths[0], "hello")
    listed = (await owner.get("/v1/conversations")).json()
    assert [row["title"] for row in listed["data"]] == ["one", "three", "two"]
    assert (listed["object"], listed["total"], listed["has_more"]) == ("list", 3, False)
    assert (listed["first_id"], listed["last_id"]) == (listed["data"][0]["id"], listed["data"][2]["id"])
    ascending = (await owner.get("/v1/conversations", order="asc")).json()["data"]
    assert ascending == listed["data"][::-1]


async def test_an_empty_list_has_empty_ids(owner: Caller) -> None:
    assert (await owner.get("/v1/conversations")).json() == {
        "object": "list",
        "data": [],
        "first_id": "",
        "last_id": "",
        "has_more": False,
        "total": 0,
    }


async def test_the_list_is_filtered_by_referrer_and_project(owner: Caller) -> None:
    project = (await owner.post("/v1/projects", {"name": "thesis"})).json()["id"]
    await owner.conversation(title="plain")
    await owner.conversation(title="web", referrer="web")
    await owner.conversation(title="inside", project_id=project)

    async def titles(**query: str) -> list[str]:
        page = (await owner.get("/v1/conversations", **query)).json()
        assert page["total"] == len(page["data"])
        return sorted(row["title"] for row in page["data"])

    assert await titles() == ["inside", "plain", "web"]
    assert await titles(referrer="web") == ["web"]
    assert await titles(project_id=project) == ["inside"]
    assert await titles(project_id="proj_unknown") == []
    assert await titles(referrer="web", project_id=project) == []


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({"limit": "0"}, "invalid limit number"),
        ({"limit": "-1"}, "invalid limit number"),
        ({"limit": "many"}, "invalid limit number"),
        ({"order": "up"}, "invalid order"),
        ({"after": "conv_unknown"}, "invalid offset number"),
        ({"after": "a\0b"}, "invalid offset number"),
        ({"after": "9" * 36}, "invalid offset number"),
        ({"offset": "-1"}, "invalid offset number"),
        ({"referrer": "a\0b"}, "referrer must not hold NUL characters"),
    ],
)
async def test_bad_list_parameters_are_refused(owner: Caller, query: dict[str, str], message: str) -> None:
    for path in ("/v1/conversations", f"{await owner.conversation()}/items"):
        if "referrer" in query and path.endswith("items"):
            continue
        answer = await owner.get(path, **query)
        assert (answer.status_code, answer.json()["message"]) == (400, message)


async def test_there_is_no_largest_limit_and_no_largest_offset(owner: Caller) -> None:
    path = await owner.conversation()
    for listed in ("/v1/conversations", f"{path}/items", "/v1/projects"):
        assert (await owner.get(listed, limit=10**17)).status_code == 200
        assert (await owner.get(listed, offset=10**17)).json()["data"] == []


async def test_every_route_is_mirrored_below_llm(owner: Caller) -> None:
    path = await owner.conversation(title="Title")
    assert (await owner.get(f"/llm{path}")).json()["title"] == "Title"


async def test_nobody_comes_in_without_a_credential(llm_api: httpx.AsyncClient) -> None:
    answer = await llm_api.get("/v1/conversations")
    assert answer.status_code == 401
