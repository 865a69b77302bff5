"""Branches, and the revisions that make MAIN anew: edit and regenerate."""

from __future__ import annotations

import time
from typing import Any

import httpx
import pytest

from tests.services.llm_api.callers import Caller, new_caller


@pytest.fixture
def owner(llm_api: httpx.AsyncClient) -> Caller:
    return new_caller(llm_api)


async def branches(owner: Caller, path: str) -> dict[str, dict[str, Any]]:
    listed = (await owner.get(f"{path}/branches")).json()
    assert listed["object"] == "list"
    shown = {branch["name"]: branch for branch in listed["data"]}
    assert [name for name, branch in shown.items() if branch["is_active"]] == [listed["active_branch"]]
    return shown


async def test_main_is_there_from_the_start_with_its_real_count(owner: Caller) -> None:
    path = await owner.conversation()
    assert list(await branches(owner, path)) == ["MAIN"]
    await owner.append(path, "a", "b")
    main = (await branches(owner, path))["MAIN"]
    assert (await owner.get(f"{path}/branches/MAIN")).json() == main
    assert (await owner.get(f"{path}/branches/main")).json() == main
    assert abs(main.pop("created_at") - time.time()) < 60
    assert abs(main.pop("updated_at") - time.time()) < 60
    assert main == {"name": "MAIN", "item_count": 2, "is_active": True}


async def test_a_branch_copies_its_parent_up_to_an_item(owner: Caller) -> None:
    path = await owner.conversation()
    ids = await owner.append(path, *"abc")
    body = {"name": "side", "fork_from_item_id": ids[1], "description": "another way"}
    answer = await owner.post(f"{path}/branches", body)
    assert answer.status_code == 201
    made = answer.json()
    assert (made["name"], made["description"], made["parent_branch"]) == ("side", "another way", "MAIN")
    assert (made["forked_from_item_id"], made["item_count"], made["is_active"]) == (ids[1], 2, False)
    assert made["forked_at"] >= made["created_at"] - 1
    assert list(await branches(owner, path)) == ["MAIN", "side"]
    assert await owner.texts(path, branch="side") == ["a", "b"]
    assert not set(await owner.ids(path, branch="side")) & set(ids)
    assert await owner.ids(path) == ids


async def test_without_an_item_it_starts_empty(owner: Caller) -> None:
    path = await owner.conversation()
    await owner.append(path, "a")
    assert (await owner.post(f"{path}/branches", {"name": "empty"})).json()["item_count"] == 0
    assert await owner.ids(path, branch="empty") == []


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        ({}, 400, "name"),
        ({"name": ""}, 400, "name"),
        ({"name": "  "}, 400, "name"),
        ({"name": "MAIN"}, 400, "name"),
        ({"name": "main"}, 400, "name"),
        ({"name": "a/b"}, 400, "name"),
        ({"name": "a\0b"}, 400, "name"),
        ({"name": "\u202e"}, 400, "name"),
        ({"name": "a\x85b"}, 400, "name"),
        ({"name": "x" * 51}, 400, "name"),
        ({"name": "taken"}, 409, "name"),
        ({"name": "new", "parent_branch": "unknown"}, 404, "parent_branch"),
        ({"name": "new", "fork_from_item_id": "msg_unknown"}, 404, "fork_from_item_id"),
        ({"name": "new", "fork_from_item_id": "unknown"}, 400, "fork_from_item_id"),
        ({"name": "new", "description": "a\0b"}, 400, "description"),
    ],
)
async def test_a_branch_that_cannot_be_made(
    owner: Caller, body: dict[str, Any], status: int, param: str
) -> None:
    path = await owner.conversation()
    await owner.post(f"{path}/branches", {"name": "taken"})
    answer = await owner.post(f"{path}/branches", body)
    assert (answer.status_code, answer.json()["error"]["param"]) == (status, param)
    assert list(await branches(owner, path)) == ["MAIN", "taken"]


async def test_the_fork_item_has_to_lie_in_the_parent(owner: Caller) -> None:
    path = await owner.conversation()
    [item] = await owner.append(path, "a")
    await owner.post(f"{path}/branches", {"name": "other"})
    body = {"name": "new", "parent_branch": "other", "fork_from_item_id": item}
    assert (await owner.post(f"{path}/branches", body)).status_code == 404


async def test_reads_and_writes_go_to_the_active_branch(owner: Caller) -> None:
    path = await owner.conversation()
    [item] = await owner.append(path, "a")
    await owner.post(f"{path}/branches", {"name": "side", "fork_from_item_id": item})
    assert (await owner.post(f"{path}/branches/side/activate")).json() == {
        "active_branch": "side",
        "message": "Branch activated successfully",
    }
    await owner.append(path, "b")
    assert await owner.texts(path) == ["a", "b"]
    assert await owner.texts(path, branch="MAIN") == ["a"]
    assert (await branches(owner, path))["side"]["item_count"] == 2
    assert (await owner.post(f"{path}/branches/main/activate")).json()["active_branch"] == "MAIN"
    assert (await owner.post(f"{path}/branches/unknown/activate")).status_code == 404


async def test_a_branch_goes_with_its_items_and_frees_its_name(owner: Caller) -> None:
    path = await owner.conversation()
    [item] = await owner.append(path, "a")
    await owner.post(f"{path}/branches", {"name": "side", "fork_from_item_id": item})
    [copy] = await owner.ids(path, branch="side")
    for _ in range(2):
        assert (await owner.delete(f"{path}/branches/side")).status_code == 204
    assert (await owner.get(f"{path}/branches/side")).status_code == 404
    assert (await owner.get(f"{path}/items", branch="side")).status_code == 404
    assert (await owner.get(f"{path}/items/{copy}")).status_code == 404
    assert (await owner.post(f"{path}/branches", {"name": "side"})).status_code == 201


async def test_neither_main_nor_the_active_branch_can_be_deleted(owner: Caller) -> None:
    path = await owner.conversation()
    await owner.post(f"{path}/branches", {"name": "side"})
    await owner.post(f"{path}/branches/side/activate")
    for name in ("MAIN", "main", "side"):
        assert (await owner.delete(f"{path}/branches/{name}")).status_code == 400
    assert (await owner.delete(f"{path}/branches/none")).status_code == 204
    assert (await owner.get(f"{path}/branches/none")).status_code == 404


async def exchange(owner: Caller) -> tuple[str, list[str]]:
    """A conversation of four messages: a question, an answer, and both again."""
    path = await owner.conversation()
    ids = []
    for text, role in (("q1", "user"), ("a1", "assistant"), ("q2", "user"), ("a2", "assistant")):
        ids += await owner.append(path, text, role=role)
    return path, ids


async def test_an_edit_replaces_a_message_and_keeps_the_former_main(owner: Caller) -> None:
    path, ids = await exchange(owner)
    edited = (await owner.post(f"{path}/items/{ids[2]}/edit", {"content": "q2, better"})).json()
    assert (edited["branch"], edited["branch_created"]) == ("MAIN", True)
    assert edited["user_item"]["content"] == [{"type": "input_text", "input_text": "q2, better"}]
    assert (edited["user_item"]["role"], edited["user_item"]["sequence_number"]) == ("user", 3)
    assert (edited["new_branch"]["name"], edited["new_branch"]["item_count"]) == ("MAIN", 3)
    assert edited["new_branch"] == (await branches(owner, path))["MAIN"]
    assert await owner.texts(path) == ["q1", "a1", "q2, better"]
    assert not set(await owner.ids(path)) & set(ids)
    assert await owner.ids(path, branch=edited["old_main_backup"]) == ids
    assert (await owner.get(f"{path}/items/{ids[3]}")).json()["branch"] == edited["old_main_backup"]


async def test_editing_the_first_message_leaves_that_one(owner: Caller) -> None:
    path, ids = await exchange(owner)
    edited = (await owner.post(f"{path}/items/{ids[0]}/edit", {"content": "q"})).json()
    assert await owner.ids(path) == [edited["user_item"]["id"]]


async def test_only_user_messages_can_be_edited(owner: Caller) -> None:
    path, ids = await exchange(owner)
    assert (await owner.post(f"{path}/items/{ids[1]}/edit", {"content": "a"})).status_code == 400
    assert (await owner.post(f"{path}/items/msg_unknown/edit", {"content": "a"})).status_code == 404
    for body in ({}, {"content": ""}, {"content": ["a"]}, {"content": "a\0b"}, {"content": "a" * 100_001}):
        answer = await owner.post(f"{path}/items/{ids[0]}/edit", body)
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, "content")
    assert list(await branches(owner, path)) == ["MAIN"]


async def test_regenerating_an_answer_goes_back_to_its_question(owner: Caller) -> None:
    path, ids = await exchange(owner)
    again = (await owner.post(f"{path}/items/{ids[3]}/regenerate")).json()
    assert (again["branch"], again["branch_created"]) == ("MAIN", True)
    assert await owner.texts(path) == ["q1", "a1", "q2"]
    assert (await owner.ids(path))[-1] == again["user_item_id"]
    assert again["new_branch"] == (await branches(owner, path))["MAIN"]
    assert again["new_branch"]["item_count"] == 3
    assert await owner.ids(path, branch=again["old_main_backup"]) == ids


@pytest.mark.parametrize("body", [None, b"", b"{", b'{"model":"jan","max_tokens":5}'])
async def test_a_user_item_is_its_own_question_and_the_body_does_not_matter(
    owner: Caller, body: bytes | None
) -> None:
    path, ids = await exchange(owner)
    answer = await owner.send("POST", f"{path}/items/{ids[0]}/regenerate", content=body)
    assert answer.status_code == 200
    assert await owner.texts(path) == ["q1"]


async def test_what_cannot_be_regenerated(owner: Caller) -> None:
    path = await owner.conversation()
    [answer] = await owner.append(path, "a", role="assistant")
    [result] = await owner.append(path, "r", role="tool")
    assert (await owner.post(f"{path}/items/{answer}/regenerate")).status_code == 404
    assert (await owner.post(f"{path}/items/{result}/regenerate")).status_code == 400
    assert (await owner.post(f"{path}/items/msg_unknown/regenerate")).status_code == 404
    assert (await owner.post(f"{path}/items/unknown/regenerate")).status_code == 400
    assert list(await branches(owner, path)) == ["MAIN"]


async def test_revisions_in_the_same_second_keep_one_backup_each(owner: Caller) -> None:
    path, ids = await exchange(owner)
    backups = []
    for text in ("x", "y", "z"):
        edited = (await owner.post(f"{path}/items/{ids[2]}/edit", {"content": text})).json()
        backups.append(edited["old_main_backup"])
        again = (await owner.post(f"{path}/items/{edited['user_item']['id']}/regenerate")).json()
        backups.append(again["old_main_backup"])
        assert await owner.texts(path) == ["q1", "a1", text]
    assert len(set(backups)) == 6
    assert list(await branches(owner, path)) == ["MAIN", *backups]


async def test_a_revision_of_a_backup_starts_from_there_and_makes_main_active(owner: Caller) -> None:
    path, ids = await exchange(owner)
    backup = (await owner.post(f"{path}/items/{ids[0]}/edit", {"content": "other"})).json()["old_main_backup"]
    await owner.post(f"{path}/branches", {"name": "side"})
    await owner.post(f"{path}/branches/side/activate")
    await owner.post(f"{path}/items/{ids[2]}/edit", {"content": "q2, better"})
    assert await owner.texts(path) == ["q1", "a1", "q2, better"]
    shown = await branches(owner, path)
    assert shown["MAIN"]["is_active"]
    assert shown["MAIN"]["parent_branch"] == backup
    assert await owner.ids(path, branch=backup) == ids
