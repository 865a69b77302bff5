"""Conversations, their items and branches through the gateway."""

from __future__ import annotations

import re
from typing import Any

import openai
import pytest
from openai.types.conversations import Message
from openai.types.responses import ResponseFunctionToolCallItem, ResponseFunctionToolCallOutputItem

from tests.services.llm_api.platform import TRUST
from tests.services.llm_api.through_gateway.stack import MODEL, Visitor

HELLO = {"role": "user", "content": [{"type": "input_text", "text": "Hello"}]}
ANSWER = {"role": "assistant", "content": [{"type": "text", "text": "Hi"}]}


@pytest.fixture
async def talk(ann: Visitor) -> str:
    """The path of a new conversation of a question and an answer."""
    made = await ann.post("/v1/conversations", {"title": "Trip plan", "items": [HELLO, ANSWER]})
    return f"/v1/conversations/{made['id']}"


async def items_of(ann: Visitor, talk: str, **query: Any) -> list[dict[str, Any]]:
    """The items of a branch, the oldest first."""
    return list((await ann.get(f"{talk}/items", order="asc", **query))["data"])


@pytest.mark.route(
    "POST /v1/conversations",
    "GET /v1/conversations",
    "GET /v1/conversations/{conversation_id}",
    "POST /v1/conversations/{conversation_id}",
    "DELETE /v1/conversations/{conversation_id}",
)
async def test_a_conversation_from_its_making_to_its_end(ann: Visitor) -> None:
    wish = {"title": "Trip plan", "metadata": {"mood": "good"}, "referrer": "web"}
    made = await ann.post("/v1/conversations", wish)
    assert re.fullmatch(r"conv_[0-9a-z]{16}", made["id"])
    assert made.items() >= {"object": "conversation", "title": "Trip plan", "referrer": "web"}.items()
    assert made["metadata"] == {"mood": "good", "title_locked": "false"}
    assert isinstance(made["created_at"], int)
    path = f"/v1/conversations/{made['id']}"
    assert await ann.get(path) == made
    listed = await ann.get("/v1/conversations", limit=1)
    assert (listed["object"], listed["data"], listed["first_id"]) == ("list", [made], made["id"])
    assert listed.keys() >= {"last_id", "has_more", "total"}
    changed = await ann.post(path, {"title": "To Lisbon"})
    assert changed["title"] == "To Lisbon"
    assert changed["metadata"] == {"mood": "good", "title_locked": "true"}
    gone = await ann.delete(path)
    assert gone == {"id": made["id"], "object": "conversation.deleted", "deleted": True}
    await ann.get(path, status=404)


@pytest.mark.route("DELETE /v1/conversations")
async def test_all_conversations_of_a_caller_go_at_once(visitor: Visitor, talk: str, ann: Visitor) -> None:
    guest = await visitor.guest()
    for _ in range(2):
        await guest.post("/v1/conversations", {})
    gone = await guest.delete("/v1/conversations")
    assert gone == {"object": "conversations.deleted", "deleted": True, "deleted_count": 2}
    assert (await guest.get("/v1/conversations"))["data"] == []
    await ann.get(talk)


@pytest.mark.route(
    "POST /v1/conversations/{conversation_id}/items",
    "GET /v1/conversations/{conversation_id}/items",
    "GET /v1/conversations/{conversation_id}/items/{item_id}",
    "DELETE /v1/conversations/{conversation_id}/items/{item_id}",
)
async def test_items_are_added_read_and_cut_off(ann: Visitor, talk: str) -> None:
    made = await ann.post(f"{talk}/items", {"items": [HELLO]})
    assert made["object"] == "list" and "total" not in made
    [item] = made["data"]
    assert re.fullmatch(r"msg_[0-9a-z]{16}", item["id"])
    assert item["content"] == [{"type": "input_text", "input_text": "Hello"}]
    assert (item["object"], item["branch"], item["sequence_number"]) == ("conversation.item", "MAIN", 3)
    assert await ann.get(f"{talk}/items/{item['id']}") == item
    newest = await ann.get(f"{talk}/items", limit=1)
    assert (newest["data"], newest["has_more"]) == ([item], True)
    second = (await items_of(ann, talk))[1]
    cut = await ann.delete(f"{talk}/items/{second['id']}")
    assert (cut["branch"], cut["branch_created"], cut["deleted"]) == ("MAIN", True, True)
    assert [one["content"] for one in await items_of(ann, talk)] == [item["content"]]
    assert len(await items_of(ann, talk, branch=cut["old_main_backup"])) == 3


async def test_openais_client_keeps_a_conversation_by_its_own_shapes(
    ann: Visitor, user_token: str, talk: str
) -> None:
    async with openai.AsyncOpenAI(
        api_key=user_token,
        base_url=f"{ann.client.base_url}{ann.mount}/v1",
        http_client=openai.DefaultAsyncHttpxClient(verify=TRUST),
    ) as program:
        conversations = program.conversations
        conversation_id = talk.rpartition("/")[2]
        call: Any = {"type": "function_call", "call_id": "call_1", "name": "weather", "arguments": "{}"}
        output: Any = {"type": "function_call_output", "call_id": "call_1", "output": "21"}
        await conversations.items.create(conversation_id, items=[call, output])
        items = [item async for item in conversations.items.list(conversation_id, limit=3, order="asc")]
        assert [type(item) for item in items] == [
            Message,
            Message,
            ResponseFunctionToolCallItem,
            ResponseFunctionToolCallOutputItem,
        ]
        assert items[0].model_dump()["content"][0]["text"] == "Hello"
        changed = await conversations.items.delete(str(items[1].id), conversation_id=conversation_id)
        assert changed == await conversations.retrieve(conversation_id)
        assert [item["sequence_number"] for item in await items_of(ann, talk)] == [1, 2, 3]
        assert (await conversations.delete(conversation_id)).deleted
        with pytest.raises(openai.NotFoundError):
            await conversations.items.retrieve(str(items[0].id), conversation_id=conversation_id)


@pytest.mark.route("PATCH /v1/conversations/{conversation_id}/items/by-call-id/{call_id}")
async def test_a_tool_call_is_completed_by_its_id(ann: Visitor, talk: str) -> None:
    call = {"type": "mcp_call", "role": "tool", "call_id": "call_1", "status": "in_progress"}
    await ann.post(f"{talk}/items", {"items": [call]})
    path = f"{talk}/items/by-call-id"
    done = await ann.patch(f"{path}/call_1", {"status": "completed", "output": "12 degrees"})
    assert done["content"] == [{"type": "mcp_call", "mcp_call": "12 degrees", "tool_call_id": "call_1"}]
    assert done["status"] == "completed" and done["completed_at"]
    await ann.patch(f"{path}/call_2", {"status": "completed"}, status=404)


@pytest.mark.route(
    "GET /v1/conversations/{conversation_id}/branches",
    "POST /v1/conversations/{conversation_id}/branches",
    "GET /v1/conversations/{conversation_id}/branches/{name}",
    "DELETE /v1/conversations/{conversation_id}/branches/{name}",
    "POST /v1/conversations/{conversation_id}/branches/{name}/activate",
)
async def test_a_branch_from_its_making_to_its_end(ann: Visitor, talk: str) -> None:
    first = (await items_of(ann, talk))[0]
    wish = {"name": "side", "fork_from_item_id": first["id"], "description": "Another way."}
    made = await ann.post(f"{talk}/branches", wish, status=201)
    assert made.items() >= {"name": "side", "item_count": 1, "is_active": False}.items()
    assert await ann.get(f"{talk}/branches/side") == made
    listed = await ann.get(f"{talk}/branches")
    assert (listed["active_branch"], {one["name"] for one in listed["data"]}) == ("MAIN", {"MAIN", "side"})
    active = await ann.post(f"{talk}/branches/side/activate")
    assert active == {"active_branch": "side", "message": "Branch activated successfully"}
    await ann.delete(f"{talk}/branches/side", status=400)
    await ann.post(f"{talk}/branches/main/activate")
    await ann.delete(f"{talk}/branches/side", status=204)
    await ann.get(f"{talk}/branches/side", status=404)


@pytest.mark.route(
    "POST /v1/conversations/{conversation_id}/items/{item_id}/edit",
    "POST /v1/conversations/{conversation_id}/items/{item_id}/regenerate",
)
async def test_an_edit_and_a_regeneration_at_once(ann: Visitor, talk: str) -> None:
    first = (await items_of(ann, talk))[0]
    edited = await ann.post(f"{talk}/items/{first['id']}/edit", {"content": "Good morning"})
    assert edited["user_item"]["content"] == [{"type": "input_text", "input_text": "Good morning"}]
    again = await ann.post(f"{talk}/items/{edited['user_item']['id']}/regenerate")
    assert (again["branch"], again["branch_created"]) == ("MAIN", True)
    assert again["old_main_backup"] != edited["old_main_backup"]
    assert [one["id"] for one in await items_of(ann, talk)] == [again["user_item_id"]]
    wish = {"generate": True, "model": MODEL}
    told = await ann.post(f"{talk}/items/{again['user_item_id']}/regenerate", wish)
    assert [one["role"] for one in await items_of(ann, talk)] == ["user", "assistant"]
    assert (await items_of(ann, talk))[0]["id"] == told["user_item_id"]
