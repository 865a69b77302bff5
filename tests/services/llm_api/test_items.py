"""Items: appending, reading, deleting, and completing tool calls."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from tests.services.llm_api.callers import Caller, new_caller


@pytest.fixture
def owner(llm_api: httpx.AsyncClient) -> Caller:
    return new_caller(llm_api)


async def added(owner: Caller, item: dict[str, Any]) -> dict[str, Any]:
    """What comes of an item that is appended to a new conversation and read back."""
    path = await owner.conversation()
    answer = await owner.post(f"{path}/items", {"items": [item]})
    assert answer.status_code == 200, answer.text
    [shown] = answer.json()["data"]
    assert (await owner.get(f"{path}/items/{shown['id']}")).json() == shown
    assert await owner.items(path) == [shown]
    return dict(shown)


async def refused(owner: Caller, item: Any) -> str:
    """The field that a refused item is refused for."""
    path = await owner.conversation()
    answer = await owner.post(f"{path}/items", {"items": [{"content": "fine"}, item]})
    assert answer.status_code == 400, answer.text
    error = answer.json()["error"]
    assert error["code"] == "items[1]"
    assert await owner.items(path) == []
    return str(error["param"])


async def test_an_item_is_shown_as_it_was_stored(owner: Caller) -> None:
    shown = await added(
        owner, {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hello"}]}
    )
    assert re.fullmatch(r"msg_[0-9a-z]{16}", shown.pop("id"))
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", shown.pop("created_at"))
    assert shown == {
        "object": "conversation.item",
        "branch": "MAIN",
        "sequence_number": 1,
        "type": "message",
        "role": "user",
        "content": [{"type": "input_text", "input_text": "Hello"}],
        "status": "completed",
    }


async def test_members_of_a_block_come_out_sorted(owner: Caller) -> None:
    path = await owner.conversation()
    await owner.append(path, "Hello")
    text = (await owner.get(f"{path}/items")).text
    assert '[{"text":"Hello","type":"text"}]' in text


async def test_items_are_numbered_on_and_the_newest_comes_first(owner: Caller) -> None:
    path = await owner.conversation()
    first = await owner.append(path, "one", "two")
    second = await owner.append(path, "three")
    page = (await owner.get(f"{path}/items", limit=2)).json()
    assert [item["id"] for item in page["data"]] == [second[0], first[1]]
    assert [item["sequence_number"] for item in page["data"]] == [3, 2]
    assert (page["first_id"], page["last_id"], page["has_more"]) == (second[0], first[1], True)
    assert "total" not in page
    rest = (await owner.get(f"{path}/items", after=page["last_id"])).json()
    assert ([item["id"] for item in rest["data"]], rest["has_more"]) == ([first[0]], False)


async def test_a_page_has_at_most_a_hundred_items(owner: Caller) -> None:
    path = await owner.conversation()
    for _ in range(6):
        await owner.append(path, *map(str, range(20)))
    page = (await owner.get(f"{path}/items", limit=1000)).json()
    assert (len(page["data"]), page["has_more"]) == (100, True)
    assert len((await owner.get(f"{path}/items")).json()["data"]) == 20


async def test_no_items_is_fine_and_too_many_are_not(owner: Caller) -> None:
    path = await owner.conversation()
    answer = await owner.post(f"{path}/items", {"items": []})
    assert answer.json() == {"object": "list", "data": [], "first_id": "", "last_id": "", "has_more": False}
    refused = await owner.post(f"{path}/items", {"items": [{"content": "x"}] * 21})
    assert (refused.status_code, refused.json()["code"]) == (400, "items")
    assert (await owner.post(f"{path}/items", {})).status_code == 400
    assert (await owner.get(f"{path}/items", branch="unknown")).status_code == 404


async def test_appending_moves_the_conversation_to_the_front(owner: Caller) -> None:
    path = await owner.conversation()
    await owner.conversation()
    await owner.append(path, "hello")
    assert (await owner.get("/v1/conversations")).json()["first_id"] == path.rpartition("/")[2]


async def test_a_client_may_choose_id_and_time_and_nothing_else_of_the_frame(owner: Caller) -> None:
    item = {
        "id": "msg_mine1",
        "created_at": "2026-01-01T13:00:00+01:00",
        "branch": "ELSEWHERE",
        "sequence_number": 77,
        "object": "thing",
        "content": "hello",
    }
    shown = await added(owner, item)
    assert (shown["id"], shown["created_at"]) == ("msg_mine1", "2026-01-01T12:00:00Z")
    assert (shown["branch"], shown["sequence_number"], shown["object"]) == ("MAIN", 1, "conversation.item")
    # Ids are chosen per conversation: another one may have the same.
    assert (await added(owner, item))["id"] == "msg_mine1"


async def test_an_id_that_is_taken_is_a_conflict(owner: Caller) -> None:
    path = await owner.conversation()
    [taken] = await owner.append(path, "hello")
    item = {"id": "msg_new", "content": "x"}
    for items in ([item, {"id": taken, "content": "x"}], [item, item]):
        answer = await owner.post(f"{path}/items", {"items": items})
        assert (answer.status_code, answer.json()["error"]["param"]) == (409, "items[1].id")
    assert await owner.ids(path) == [taken]
    assert (await owner.get(f"{path}/items/msg_unknown")).status_code == 404
    assert (await owner.get(f"{path}/items/item_1")).status_code == 400


@pytest.mark.parametrize(
    ("block", "stored"),
    [
        ({"type": "text", "text": "a"}, None),
        ({"type": "text", "text": {"text": "a"}}, {"type": "text", "text": "a"}),
        ({"type": "text", "text": "a", "finish_reason": "stop"}, None),
        ({"type": "input_text", "input_text": "a"}, None),
        ({"type": "input_text", "text": {"text": "a"}}, {"type": "input_text", "input_text": "a"}),
        ({"type": "reasoning_text", "text": "a"}, {"type": "reasoning_text", "reasoning_text": "a"}),
        ({"type": "tool_result", "tool_result": "a", "tool_call_id": "call_1"}, None),
        (
            {"type": "output_text", "text": "a", "annotations": [{"type": "url_citation", "url": "u"}]},
            {
                "type": "output_text",
                "output_text": {"text": "a", "annotations": [{"type": "url_citation", "url": "u"}]},
            },
        ),
        ({"type": "output_text", "output_text": {"text": "a", "annotations": []}}, None),
        ({"type": "image", "image": {"url": "https://a.example/b.png", "detail": "low"}}, None),
        ({"type": "image", "file_id": "file_1"}, {"type": "image", "image": {"file_id": "file_1"}}),
        ({"type": "image", "image": {"url": "data:image/png;jan_0123"}}, None),
        (
            {"type": "input_image", "image_url": "https://a.example/b.png", "detail": "original"},
            {"type": "image", "image": {"url": "https://a.example/b.png", "detail": "original"}},
        ),
        ({"type": "input_image", "file_id": "file_1"}, {"type": "image", "image": {"file_id": "file_1"}}),
        (
            {"type": "input_file", "file_data": "data:text/plain;base64,YQ==", "filename": "a.txt"},
            {"type": "file", "file": {"file_data": "data:text/plain;base64,YQ==", "filename": "a.txt"}},
        ),
        ({"type": "file", "file": {"file_url": "https://a.example/b.pdf"}}, None),
        ({"type": "summary_text", "text": "a"}, {"type": "summary_text", "summary_text": "a"}),
        ({"type": "file", "file": {"file_id": "file_1", "mime_type": "text/plain", "size": 10}}, None),
        ({"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}, None),
        ({"type": "refusal", "refusal": "no"}, None),
        ({"type": "thinking", "text": "hm"}, {"type": "thinking", "thinking": "hm"}),
        (
            {"type": "code", "code": {"code": "x = 1", "language": "python"}},
            {"type": "code", "code": "x = 1", "language": "python"},
        ),
        ({"type": "function_call", "function_call": {"name": "f", "arguments": "{}"}}, None),
        ({"type": "computer_action", "computer_action": {"type": "click", "x": 1}}, None),
    ],
)
async def test_blocks_are_brought_into_one_form(
    owner: Caller, block: dict[str, Any], stored: dict[str, Any] | None
) -> None:
    assert (await added(owner, {"content": [block]}))["content"] == [stored or block]


@pytest.mark.parametrize(
    ("item", "param"),
    [
        ("text", "items[1]"),
        ({"type": "poem"}, "items[1].type"),
        ({"role": "king"}, "items[1].role"),
        ({"status": "fine"}, "items[1].status"),
        ({"id": "item_1"}, "items[1].id"),
        ({"id": "msg_" + "a" * 60}, "items[1].id"),
        ({"created_at": "yesterday"}, "items[1].created_at"),
        ({"created_at": "0001-01-01T00:00:00+14:00"}, "items[1].created_at"),
        ({"call_id": 7}, "items[1].call_id"),
        ({"call_id": "a\0b"}, "items[1].call_id"),
        ({"arguments": {"a": 1}}, "items[1].arguments"),
        ({"approve": "yes"}, "items[1].approve"),
        ({"max_output_length": True}, "items[1].max_output_length"),
        ({"tool_calls": [{"id": "call_1"}]}, "items[1].tool_calls[0].function.name"),
        ({"content": 7}, "items[1].content"),
        ({"content": ["text"]}, "items[1].content[0]"),
        ({"content": [{"type": "text", "text": "x"}] * 101}, "items[1].content"),
        ({"content": [{"type": "poem"}]}, "items[1].content[0].type"),
        ({"content": [{"type": "mcp_call", "mcp_call": "x"}]}, "items[1].content[0].type"),
        ({"content": [{"type": "text"}]}, "items[1].content[0].text"),
        ({"content": ""}, "items[1].content[0].text"),
        ({"content": [{"type": "text", "text": "x" * 100_001}]}, "items[1].content[0].text"),
        ({"content": [{"type": "text", "text": "a\0b"}]}, "items[1].content[0].text"),
        ({"content": [{"type": "code", "code": "x" * 50_001}]}, "items[1].content[0].code"),
        ({"content": [{"type": "image"}]}, "items[1].content[0]"),
        (
            {"content": [{"type": "image", "url": "https://a.example", "file_id": "f"}]},
            "items[1].content[0]",
        ),
        ({"content": [{"type": "image", "image": {"url": "ftp://a.example"}}]}, "items[1].content[0].url"),
        (
            {"content": [{"type": "image", "image": {"file_id": "f", "detail": "much"}}]},
            "items[1].content[0].detail",
        ),
        (
            {"content": [{"type": "input_image", "image_url": "ftp://a.example"}]},
            "items[1].content[0].image_url",
        ),
        ({"content": [{"type": "input_image", "image_url": None}]}, "items[1].content[0]"),
        ({"content": [{"type": "file"}]}, "items[1].content[0].file_id"),
        ({"content": [{"type": "input_file", "filename": "a"}]}, "items[1].content[0].file_id"),
        ({"type": "reasoning", "summary": "short"}, "items[1].summary"),
        ({"type": "custom_tool_call", "input": {}}, "items[1].input"),
        (
            {"content": [{"type": "file", "file_id": "f", "size": 512 * 1024 * 1024 + 1}]},
            "items[1].content[0].size",
        ),
        ({"content": [{"type": "audio", "data": "A", "format": "ogg"}]}, "items[1].content[0].format"),
        (
            {"content": [{"type": "output_text", "text": "a", "annotations": [{"type": "rumour"}]}]},
            "items[1].content[0].annotations[0].type",
        ),
        (
            {"content": [{"type": "output_text", "text": "a", "annotations": [{"type": "quote"}] * 101}]},
            "items[1].content[0].annotations",
        ),
        ({"content": [{"type": "tool_calls", "tool_calls": []}]}, "items[1].content[0].tool_calls"),
        ({"content": [{"type": "function_call"}]}, "items[1].content[0].function_call"),
    ],
)
async def test_an_item_that_breaks_a_rule_is_refused_by_name(owner: Caller, item: Any, param: str) -> None:
    assert await refused(owner, item) == param


async def test_an_item_that_is_nested_too_deeply_is_refused(owner: Caller) -> None:
    deep: dict[str, Any] = {}
    for _ in range(400):
        deep = {"a": deep}
    assert await refused(owner, {"action": deep}) == "items[1]"


async def test_an_exchange_with_tools_can_be_rebuilt_from_the_members_at_the_top(owner: Caller) -> None:
    calls = [{"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]
    path = await owner.conversation()
    asked = {"role": "assistant", "content": [{"type": "tool_calls", "tool_calls": calls}]}
    told = {"role": "tool", "tool_call_id": "call_1", "content": [{"type": "tool_result", "text": "21"}]}
    answer = await owner.post(f"{path}/items", {"items": [asked, told]})
    assistant, tool = answer.json()["data"]
    assert assistant["tool_calls"] == calls
    assert (tool["call_id"], tool["tool_call_id"]) == ("call_1", "call_1")
    assert "tool_calls" not in tool
    assert "tool_call_id" not in assistant
    # What a client read can be written again.
    again = await owner.conversation()
    await owner.post(f"{again}/items", {"items": [assistant, tool]})
    copied = await owner.items(again)
    assert [item["content"] for item in copied] == [assistant["content"], tool["content"]]
    assert (copied[0]["tool_calls"], copied[1]["tool_call_id"]) == (calls, "call_1")


async def test_the_members_of_other_types_are_kept(owner: Caller) -> None:
    members: dict[str, Any] = {
        "type": "shell_call",
        "status": "incomplete",
        "incomplete_at": "2026-01-01T12:00:00Z",
        "incomplete_details": {"reason": "stopped"},
        "name": "shell",
        "server_label": "local",
        "approval_request_id": "appr_1",
        "arguments": "{}",
        "output": "done",
        "error": "none",
        "action": {"type": "exec"},
        "tools": [{"name": "f"}],
        "pending_safety_checks": [],
        "acknowledged_safety_checks": [{"id": "1"}],
        "approve": False,
        "reason": "why not",
        "commands": ["ls"],
        "max_output_length": 100,
        "shell_outputs": [{"stdout": ""}],
        "operation": {"type": "update"},
    }
    shown = await added(owner, members)
    assert {name: shown[name] for name in members} == members
    assert "content" not in shown


class TestCompletion:
    """PATCH …/items/by-call-id/{call_id}"""

    async def pending(self, owner: Caller, call_id: str) -> str:
        path = await owner.conversation()
        item = {
            "type": "mcp_call",
            "role": "tool",
            "status": "in_progress",
            "call_id": call_id,
            "arguments": "{}",
            "server_label": "Jan MCP Server",
        }
        assert (await owner.post(f"{path}/items", {"items": [item]})).status_code == 200
        return path

    async def test_the_outcome_goes_into_the_item(self, owner: Caller) -> None:
        path = await self.pending(owner, "call_1")
        body = {"status": "completed", "output": "21", "name": "weather"}
        done = (await owner.patch(f"{path}/items/by-call-id/call_1", body)).json()
        assert done["status"] == "completed"
        assert done["content"] == [{"type": "mcp_call", "tool_call_id": "call_1", "mcp_call": "21"}]
        assert (done["name"], done["output"], done["arguments"]) == ("weather", "21", "{}")
        assert done["server_label"] == "Jan MCP Server"
        assert done["completed_at"] >= done["created_at"]
        assert (await owner.get(f"{path}/items/{done['id']}")).json() == done

    async def test_an_error_is_the_text_where_there_is_no_output(self, owner: Caller) -> None:
        path = await self.pending(owner, "call_1")
        body = {"status": "some words of its own", "error": "no network"}
        done = (await owner.patch(f"{path}/items/by-call-id/call_1", body)).json()
        assert (done["status"], done["error"]) == ("some words of its own", "no network")
        assert done["content"][0]["mcp_call"] == "no network"

    @pytest.mark.parametrize("call_id", ["call/1 ä?", "toolu_" + "x" * 5000])
    async def test_call_ids_may_be_long_and_strange(self, owner: Caller, call_id: str) -> None:
        path = await self.pending(owner, call_id)
        url = f"{path}/items/by-call-id/{quote(call_id, safe='')}"
        done = await owner.patch(url, {"status": "completed", "output": "ok"})
        assert (done.status_code, done.json()["call_id"]) == (200, call_id)

    async def test_other_items_and_unknown_calls_are_not_found(self, owner: Caller) -> None:
        path = await self.pending(owner, "call_1")
        item = {"type": "function_call", "call_id": "call_2"}
        await owner.post(f"{path}/items", {"items": [item]})
        for call_id in ("call_2", "call_3"):
            answer = await owner.patch(f"{path}/items/by-call-id/{call_id}", {"status": "completed"})
            assert answer.status_code == 404
        for body in ({}, {"status": ""}, {"status": "x" * 65}, {"status": "completed", "output": 7}):
            assert (await owner.patch(f"{path}/items/by-call-id/call_1", body)).status_code == 400

    async def test_the_active_branch_goes_first(self, owner: Caller) -> None:
        path = await self.pending(owner, "call_1")
        [original] = await owner.ids(path)
        body = {"name": "copy", "fork_from_item_id": original}
        assert (await owner.post(f"{path}/branches", body)).status_code == 201
        outcome = {"status": "completed", "output": "ok"}
        done = (await owner.patch(f"{path}/items/by-call-id/call_1", outcome)).json()
        assert (done["id"], done["branch"]) == (original, "MAIN")


class TestDeletion:
    """DELETE …/items/{item}"""

    async def test_it_cuts_the_tail_and_keeps_the_ids_of_what_stays(self, owner: Caller) -> None:
        path = await owner.conversation()
        ids = await owner.append(path, *"abcde")
        gone = (await owner.delete(f"{path}/items/{ids[2]}")).json()
        backup = gone.pop("old_main_backup")
        assert gone == {"branch": "MAIN", "branch_created": True, "deleted": True}
        assert re.fullmatch(r"MAIN_\d{14}", backup)
        assert await owner.ids(path) == ids[:2]
        assert await owner.texts(path, branch=backup) == list("abcde")
        kept = await owner.ids(path, branch=backup)
        assert kept[2:] == ids[2:]
        assert not set(kept[:2]) & set(ids)
        assert [item["sequence_number"] for item in await owner.items(path, branch=backup)] == [1, 2, 3, 4, 5]

    async def test_what_is_added_next_is_numbered_on(self, owner: Caller) -> None:
        path = await owner.conversation()
        ids = await owner.append(path, *"abc")
        await owner.delete(f"{path}/items/{ids[1]}")
        await owner.append(path, "x")
        assert await owner.texts(path) == ["a", "x"]
        assert [item["sequence_number"] for item in await owner.items(path)] == [1, 2]

    async def test_the_first_item_leaves_nothing(self, owner: Caller) -> None:
        path = await owner.conversation()
        ids = await owner.append(path, *"ab")
        await owner.delete(f"{path}/items/{ids[0]}")
        assert await owner.ids(path) == []
        assert (await owner.get(f"{path}/items/{ids[1]}")).status_code == 200

    async def test_an_item_of_another_branch_makes_that_branch_main(self, owner: Caller) -> None:
        path = await owner.conversation()
        ids = await owner.append(path, *"ab")
        await owner.post(f"{path}/branches", {"name": "side", "fork_from_item_id": ids[1]})
        await owner.post(f"{path}/branches/side/activate")
        await owner.append(path, "c", "d")
        side = await owner.ids(path)
        gone = (await owner.delete(f"{path}/items/{side[3]}")).json()
        assert await owner.ids(path) == side[:3]
        assert await owner.texts(path, branch="side") == list("abcd")
        assert await owner.texts(path, branch=gone["old_main_backup"]) == list("ab")
        assert (await owner.get(f"{path}/branches")).json()["active_branch"] == "MAIN"

    async def test_an_unknown_item_is_not_found(self, owner: Caller) -> None:
        path = await owner.conversation()
        assert (await owner.delete(f"{path}/items/msg_unknown")).status_code == 404
        assert (await owner.delete(f"{path}/items/unknown")).status_code == 400
