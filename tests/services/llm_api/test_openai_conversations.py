"""OpenAI's Conversations API, as OpenAI's own package uses it on the paths that the contract has too."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import openai
import pytest
from openai.types.conversations import ConversationItem
from openai.types.conversations import Message as OpenAIMessage
from openai.types.responses import (
    ResponseFunctionToolCallItem,
    ResponseFunctionToolCallOutputItem,
    ResponseInputFile,
    ResponseInputImage,
    ResponseInputText,
    ResponseOutputText,
    ResponseReasoningItem,
)
from pydantic import TypeAdapter

from jan_server.services.llm_api.items import NewItem, stored_item
from jan_server.services.llm_api.schemas.new_item import STATUSES, TYPES, new_items
from jan_server.services.llm_api.schemas.openai_item import openai_item_members
from tests.doubles.openai_upstream import ToolCall
from tests.services.llm_api.platform import TRUST, Platform

HELLO = {"role": "user", "content": "Hello"}
OPENAI = {"X-Stainless-Lang": "curl"}
MODEL = "unknown/scripted-model"

CONVERSATION_ITEM: TypeAdapter[ConversationItem] = TypeAdapter(ConversationItem)


@pytest.fixture
async def program(platform: Platform) -> openai.AsyncOpenAI:
    return platform.openai()


async def conversation(program: openai.AsyncOpenAI, *items: Any) -> str:
    return (await program.conversations.create(items=list(items))).id


async def shown(program: openai.AsyncOpenAI, conversation_id: str) -> list[Any]:
    """All items, the oldest first."""
    return [item async for item in program.conversations.items.list(conversation_id, order="asc")]


async def added(program: openai.AsyncOpenAI, item: Any) -> Any:
    """What OpenAI's client makes of an item that it wrote, the same in all its answers."""
    conversation_id = await conversation(program)
    answer = await program.conversations.items.create(conversation_id, items=[item])
    [made] = answer.data
    assert (answer.first_id, answer.last_id, answer.has_more) == (made.id, made.id, False)
    read = await program.conversations.items.retrieve(
        item_id=cast("str", made.id), conversation_id=conversation_id
    )
    assert [read] == [made] == await shown(program, conversation_id)
    return CONVERSATION_ITEM.validate_python(made.model_dump())


async def test_a_conversation_from_its_making_to_its_end(program: openai.AsyncOpenAI) -> None:
    made = await program.conversations.create(metadata={"topic": "trip"}, items=[cast("Any", HELLO)])
    assert (made.object, made.metadata) == ("conversation", {"topic": "trip"})
    assert await program.conversations.retrieve(made.id) == made
    changed = await program.conversations.update(made.id, metadata={"topic": "sea"})
    assert (changed.id, changed.metadata) == (made.id, {"topic": "sea"})
    gone = await program.conversations.delete(made.id)
    assert (gone.id, gone.object, gone.deleted) == (made.id, "conversation.deleted", True)
    with pytest.raises(openai.NotFoundError):
        await program.conversations.retrieve(made.id)
    assert (await program.conversations.create()).metadata == {}


async def test_the_lock_of_the_title_outlives_a_change_that_does_not_show_it(platform: Platform) -> None:
    async with platform.client() as plain:
        made = (await plain.post("/v1/conversations", json={})).json()
        path = f"/v1/conversations/{made['id']}"
        await plain.post(path, json={"title": "Chosen"})
        changed = await platform.openai().conversations.update(made["id"], metadata={"a": "b"})
        assert changed.metadata == {"a": "b"}
        assert (await plain.get(path)).json()["metadata"] == {"a": "b", "title_locked": "true"}


async def test_a_list_is_walked_page_by_page(platform: Platform) -> None:
    program = platform.openai()
    conversation_id = await conversation(program, *[{"role": "user", "content": str(n)} for n in range(7)])

    def walk(order: Any) -> list[str]:
        with openai.OpenAI(
            api_key="unused",
            base_url=f"{platform.url}/v1",
            default_headers={**platform.headers(), "Authorization": ""},
            http_client=openai.DefaultHttpxClient(verify=TRUST),
        ) as waiting:
            pages = waiting.conversations.items.list(conversation_id, limit=3, order=order)
            return [cast("Any", item).content[0].text for item in pages]

    assert await asyncio.to_thread(walk, "asc") == list("0123456")
    assert await asyncio.to_thread(walk, openai.omit) == list("6543210")


async def test_a_message_keeps_its_parts(program: openai.AsyncOpenAI) -> None:
    content = [
        {"type": "input_text", "text": "What is this?"},
        {"type": "input_image", "image_url": "https://pictures.example/a.png", "detail": "original"},
        {"type": "input_image", "file_id": "file-1"},
        {"type": "input_file", "file_data": "data:text/plain;base64,YQ==", "filename": "a.txt"},
        {"type": "input_file", "file_url": "https://files.example/a.pdf"},
    ]
    message = await added(program, {"type": "message", "role": "user", "content": content})
    assert isinstance(message, OpenAIMessage)
    assert (message.role, message.status) == ("user", "completed")
    text, by_url, by_id, data, address = message.content
    assert text == ResponseInputText(type="input_text", text="What is this?")
    assert by_url == ResponseInputImage(
        type="input_image", image_url="https://pictures.example/a.png", detail="original"
    )
    assert by_id == ResponseInputImage(type="input_image", file_id="file-1", detail="auto")
    assert data == ResponseInputFile(
        type="input_file", file_data="data:text/plain;base64,YQ==", filename="a.txt"
    )
    assert address == ResponseInputFile(type="input_file", file_url="https://files.example/a.pdf")


async def test_an_answer_keeps_its_citations_and_gets_an_id_of_its_own(program: openai.AsyncOpenAI) -> None:
    citation = {"type": "url_citation", "url": "u", "title": "t", "start_index": 0, "end_index": 1}
    content = [
        {"type": "output_text", "text": "It is so.", "annotations": [citation]},
        {"type": "refusal", "refusal": "No."},
    ]
    foreign = "msg_" + "0a" * 24
    answer = {"id": foreign, "type": "message", "role": "assistant", "status": "incomplete"}
    message = await added(program, {**answer, "content": content, "phase": "commentary"})
    assert (message.role, message.status, message.phase) == ("assistant", "incomplete", "commentary")
    assert message.id != foreign and message.id.startswith("msg_")
    said, refused = message.content
    assert isinstance(said, ResponseOutputText)
    assert (said.text, said.annotations[0].model_dump()) == ("It is so.", citation)
    assert refused.refusal == "No."


async def test_words_alone_are_input_of_a_user_and_output_of_an_assistant(
    program: openai.AsyncOpenAI,
) -> None:
    said = [{"role": role, "content": "x"} for role in ("user", "developer", "assistant")]
    items = await shown(program, await conversation(program, *said))
    assert [item.content[0].type for item in items] == ["input_text", "input_text", "output_text"]


PICTURE = {"type": "input_image", "image_url": "data:image/png;base64,AA==", "detail": "low"}

ITEMS: dict[str, dict[str, Any]] = {
    "function_call": {"call_id": "call_1", "name": "f", "arguments": "{}", "namespace": "n"},
    "function_call_output": {"call_id": "call_1", "output": "21"},
    "function_call_output_parts": {
        "type": "function_call_output",
        "call_id": "call_1",
        "output": [{"type": "input_text", "text": "21"}, PICTURE],
    },
    "custom_tool_call": {"call_id": "call_1", "name": "shell", "input": "ls"},
    "custom_tool_call_output": {"call_id": "call_1", "output": "a.txt"},
    "reasoning": {
        "summary": [{"type": "summary_text", "text": "In short"}],
        "content": [{"type": "reasoning_text", "text": "At length"}],
        "encrypted_content": "AAAA",
    },
    "file_search_call": {"queries": ["q"], "results": [{"file_id": "file-1", "score": 0.5}]},
    "web_search_call": {"action": {"type": "search", "query": "q", "queries": ["q"]}},
    "image_generation_call": {
        "result": "AA==",
        "action": "generate",
        "size": "1024x1024",
        "revised_prompt": "A cat",
    },
    "code_interpreter_call": {
        "code": "print(1)",
        "container_id": "cntr_1",
        "outputs": [{"type": "logs", "logs": "1"}],
    },
    "computer_call": {
        "call_id": "call_1",
        "action": {"type": "screenshot"},
        "pending_safety_checks": [{"id": "cu_sc_1"}],
    },
    "computer_call_output": {
        "call_id": "call_1",
        "output": {"type": "computer_screenshot", "image_url": "data:image/png;base64,AA=="},
        "acknowledged_safety_checks": [{"id": "cu_sc_1"}],
    },
    "local_shell_call": {
        "call_id": "call_1",
        "action": {"type": "exec", "command": ["ls"], "env": {"A": "b"}},
    },
    "local_shell_call_output": {"output": "{}"},
    "shell_call": {
        "call_id": "call_1",
        "action": {"commands": ["ls"], "timeout_ms": 1000},
        "environment": {"type": "local"},
    },
    "shell_call_output": {
        "call_id": "call_1",
        "max_output_length": 100,
        "output": [{"stdout": "a", "stderr": "", "outcome": {"type": "exit", "exit_code": 0}}],
    },
    "apply_patch_call": {
        "call_id": "call_1",
        "operation": {"type": "create_file", "path": "a", "diff": "+a"},
    },
    "apply_patch_call_output": {"call_id": "call_1", "output": "done"},
    "mcp_list_tools": {"server_label": "s", "tools": [{"name": "f", "input_schema": {"type": "object"}}]},
    "mcp_approval_request": {"server_label": "s", "name": "f", "arguments": "{}"},
    "mcp_approval_response": {"approval_request_id": "mcpr_1", "approve": True, "reason": "fine"},
    "mcp_call": {"server_label": "s", "name": "f", "arguments": "{}", "output": "21"},
}


@pytest.mark.parametrize("name", ITEMS)
async def test_an_item_comes_back_with_all_its_members(program: openai.AsyncOpenAI, name: str) -> None:
    item = {"type": name, "id": "fc_0A1b", **ITEMS[name]}
    read = await added(program, item)
    assert read.id.startswith("msg_")
    members = read.model_dump(exclude_none=True, by_alias=True)
    assert {member: members[member] for member in item if member != "id"} == {
        member: value for member, value in item.items() if member != "id"
    }


def test_every_type_and_status_of_the_contract_has_a_form_that_openai_knows() -> None:
    for kind in TYPES:
        for status in STATUSES:
            item = NewItem(type=kind, status=status, call_id="call_1")
            members = openai_item_members(stored_item(item, "MAIN", 1))
            if members["type"] == "apply_patch_call":
                # There is no operation to show where none is stored.
                members["operation"] = ITEMS["apply_patch_call"]["operation"]
            CONVERSATION_ITEM.validate_python(members)


def test_blocks_of_the_contract_have_a_form_that_openai_knows() -> None:
    blocks = [
        {"type": "text", "text": "a"},
        {"type": "reasoning_text", "text": "a"},
        {"type": "thinking", "text": "a"},
        {"type": "summary_text", "text": "a"},
        {"type": "tool_result", "text": "a"},
        {"type": "code", "code": "a", "language": "python"},
        {"type": "image", "image": {"url": "https://a.example/b.png"}},
        {"type": "file", "file": {"file_id": "file_1", "name": "a.txt", "size": 1}},
        {"type": "computer_screenshot", "image_url": "https://a.example/b.png"},
    ]
    [item] = new_items([{"role": "assistant", "content": blocks}])
    members = openai_item_members(stored_item(item, "MAIN", 1))
    message = CONVERSATION_ITEM.validate_python(members)
    assert isinstance(message, OpenAIMessage)
    assert [part.type for part in message.content] == [
        "output_text",
        "reasoning_text",
        "reasoning_text",
        "summary_text",
        "text",
        "text",
        "input_image",
        "input_file",
        "computer_screenshot",
    ]


async def test_what_a_chat_kept_of_a_tool_is_a_call_and_its_output(platform: Platform) -> None:
    program = platform.openai()
    platform.upstream.next(ToolCall(call_id="call_1", name="weather", arguments='{"at":"sea"}'))
    conversation_id = await conversation(program)
    body = {"conversation": conversation_id}
    await program.chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": "How is it?"}], extra_body=body
    )
    question, turn, asked = await shown(program, conversation_id)
    assert (question.role, turn.role, turn.content) == ("user", "assistant", [])
    assert isinstance(asked, ResponseFunctionToolCallItem)
    assert (asked.call_id, asked.name, asked.arguments) == ("call_1", "weather", '{"at":"sea"}')
    assert asked.status == "completed"
    output = {"type": "function_call_output", "call_id": asked.call_id, "output": "21 degrees"}
    await program.conversations.items.create(conversation_id, items=[cast("Any", output)])
    await program.chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": "So?"}], extra_body=body
    )
    messages = platform.upstream.last.json["messages"]
    assert [message["role"] for message in messages] == ["user", "assistant", "tool", "user"]
    assert messages[1]["tool_calls"][0]["function"] == {"name": "weather", "arguments": '{"at":"sea"}'}
    assert messages[2] == {"role": "tool", "tool_call_id": "call_1", "content": "21 degrees"}


async def test_a_tools_message_is_an_output(platform: Platform) -> None:
    async with platform.client() as plain:
        told = {"role": "tool", "tool_call_id": "call_1", "content": [{"type": "tool_result", "text": "21"}]}
        made = (await plain.post("/v1/conversations", json={"items": [told]})).json()
    [item] = await shown(platform.openai(), made["id"])
    assert isinstance(item, ResponseFunctionToolCallOutputItem)
    assert (item.call_id, item.output, item.status) == ("call_1", "21", "completed")


async def test_a_chat_goes_on_from_items_that_openais_client_wrote(platform: Platform) -> None:
    program = platform.openai()
    call = {"type": "function_call", "arguments": "{}"}
    conversation_id = await conversation(
        program,
        {"role": "user", "content": [{"type": "input_text", "text": "Sun?"}, PICTURE]},
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm"}]},
        {**call, "call_id": "call_1", "name": "weather"},
        {**call, "call_id": "call_2", "name": "calendar"},
        {"type": "function_call_output", "call_id": "call_1", "output": "sun"},
        {"type": "function_call_output", "call_id": "call_2", "output": "free"},
    )
    await program.chat.completions.create(
        model=MODEL,
        messages=[{"role": "user", "content": "And?"}],
        extra_body={"conversation": conversation_id},
    )
    question, turn, *results, last = platform.upstream.last.json["messages"]
    image = {"url": PICTURE["image_url"], "detail": "low"}
    assert question["content"] == [
        {"type": "text", "text": "Sun?"},
        {"type": "image_url", "image_url": image},
    ]
    assert [asked["function"]["name"] for asked in turn["tool_calls"]] == ["weather", "calendar"]
    assert [result["content"] for result in results] == ["sun", "free"]
    assert last == {"role": "user", "content": "And?"}


async def test_reasoning_is_typed(program: openai.AsyncOpenAI) -> None:
    read = await added(program, {"type": "reasoning", "id": "rs_1", "summary": []})
    assert isinstance(read, ResponseReasoningItem)
    assert (read.summary, read.content, read.encrypted_content) == ([], None, None)


class TestDeletion:
    """DELETE …/items/{id}: OpenAI removes the item alone, the contract cuts the branch off."""

    async def test_one_item_goes_and_the_others_stay(self, platform: Platform) -> None:
        program = platform.openai()
        conversation_id = await conversation(
            program, *[{"role": "user", "content": str(n)} for n in range(5)]
        )
        items = await shown(program, conversation_id)
        answer = await program.conversations.items.delete(items[1].id, conversation_id=conversation_id)
        assert (answer.id, answer.object, answer.metadata) == (conversation_id, "conversation", {})
        left = [items[0], *items[2:]]
        assert await shown(program, conversation_id) == left
        with pytest.raises(openai.NotFoundError):
            await program.conversations.items.retrieve(items[1].id, conversation_id=conversation_id)
        async with platform.client() as plain:
            path = f"/v1/conversations/{conversation_id}"
            numbered = (await plain.get(f"{path}/items", params={"order": "asc"})).json()["data"]
            assert [(item["id"], item["sequence_number"]) for item in numbered] == [
                (item.id, number) for number, item in enumerate(left, start=1)
            ]
            [main] = (await plain.get(f"{path}/branches")).json()["data"]
            assert (main["name"], main["item_count"]) == ("MAIN", 4)
        await program.conversations.items.create(conversation_id, items=[cast("Any", HELLO)])
        assert len(await shown(program, conversation_id)) == 5

    async def test_writers_and_deletions_at_once_leave_no_gap(self, platform: Platform) -> None:
        program = platform.openai()
        conversation_id = await conversation(
            program, *[{"role": "user", "content": str(n)} for n in range(12)]
        )
        items = await shown(program, conversation_id)
        async with asyncio.TaskGroup() as group:
            for item in items[::2]:
                group.create_task(
                    program.conversations.items.delete(item.id, conversation_id=conversation_id)
                )
                group.create_task(
                    program.conversations.items.create(conversation_id, items=[cast("Any", HELLO)])
                )
        async with platform.client() as plain:
            found = await plain.get(f"/v1/conversations/{conversation_id}/items", params={"order": "asc"})
        numbered = found.json()["data"]
        assert [item["sequence_number"] for item in numbered] == list(range(1, 13))
        assert [item["id"] for item in numbered[:6]] == [item.id for item in items[1::2]]

    async def test_a_branch_that_left_behind_the_item_leaves_behind_the_one_before(
        self, platform: Platform
    ) -> None:
        program = platform.openai()
        conversation_id = await conversation(
            program, *[{"role": "user", "content": str(n)} for n in range(2)]
        )
        first, second = await shown(program, conversation_id)
        async with platform.client() as plain:
            path = f"/v1/conversations/{conversation_id}"
            fork = {"name": "side", "fork_from_item_id": second.id}
            await plain.post(f"{path}/branches", json=fork)
            for gone, before in ((second, first.id), (first, None)):
                await program.conversations.items.delete(gone.id, conversation_id=conversation_id)
                side = (await plain.get(f"{path}/branches/side")).json()
                assert (side.get("forked_from_item_id"), side["item_count"]) == (before, 2)

    async def test_without_the_header_the_contract_holds(self, platform: Platform) -> None:
        program = platform.openai()
        conversation_id = await conversation(
            program, *[{"role": "user", "content": str(n)} for n in range(3)]
        )
        _, second, _ = await shown(program, conversation_id)
        async with platform.client() as plain:
            path = f"/v1/conversations/{conversation_id}/items"
            answer = (await plain.delete(f"{path}/{second.id}")).json()
            assert (answer["branch"], answer["deleted"]) == ("MAIN", True)
            [item] = (await plain.get(path)).json()["data"]
            assert item["content"] == [{"type": "input_text", "input_text": "0"}]

    async def test_what_is_not_there_or_somebody_elses_cannot_be_deleted(self, platform: Platform) -> None:
        program = platform.openai()
        conversation_id = await conversation(program, HELLO)
        [item] = await shown(program, conversation_id)
        for caller, wanted in ((program, "msg_unknown"), (platform.openai("bob"), item.id)):
            with pytest.raises(openai.NotFoundError):
                await caller.conversations.items.delete(wanted, conversation_id=conversation_id)
        assert await shown(program, conversation_id) == [item]


async def test_refusals_are_typed_and_name_the_field(platform: Platform) -> None:
    program = platform.openai()
    conversation_id = await conversation(program)
    poem = cast("Any", {"role": "user", "content": [{"type": "poem", "text": "x"}]})
    with pytest.raises(openai.BadRequestError) as refused:
        await program.conversations.items.create(conversation_id, items=[poem])
    assert (refused.value.param, refused.value.code) == ("items[0].content[0].type", "items[0]")
    with pytest.raises(openai.BadRequestError) as crowded:
        await program.conversations.create(items=[cast("Any", HELLO)] * 21)
    assert crowded.value.code == "items"
    with pytest.raises(openai.BadRequestError):
        await program.conversations.create(metadata={"not-a-key": "x"})
    for stranger in (platform.openai("bob").conversations.retrieve(conversation_id), None):
        with pytest.raises(openai.NotFoundError) as missing:
            await (stranger or program.conversations.retrieve("conv_unknown"))
        assert cast("Any", missing.value.body)["message"] == "conversation not found"


async def test_the_header_alone_chooses_the_shape(platform: Platform) -> None:
    body = {"items": [{"role": "user", "content": [{"type": "input_text", "text": "Hello"}]}]}
    async with platform.client() as plain:
        made = (await plain.post("/v1/conversations", json=body)).json()
        assert made["metadata"] == {"title_locked": "false"}
        path = f"/v1/conversations/{made['id']}/items"
        [contracts] = (await plain.get(path)).json()["data"]
        [theirs] = (await plain.get(path, headers=OPENAI)).json()["data"]
        foreign = {"items": [{"id": "fc_1", **body["items"][0]}]}
        assert (await plain.post(path, json=foreign)).status_code == 400
        assert (await plain.post(path, json=foreign, headers=OPENAI)).status_code == 200
    assert contracts["content"] == [{"type": "input_text", "input_text": "Hello"}]
    assert theirs == {
        "id": contracts["id"],
        "type": "message",
        "role": "user",
        "status": "completed",
        "content": [{"type": "input_text", "text": "Hello"}],
    }


async def test_what_openais_client_read_it_can_write_again(platform: Platform) -> None:
    program = platform.openai()
    platform.upstream.next(ToolCall(call_id="call_1"))
    first = await conversation(
        program, {"role": "user", "content": [{"type": "input_text", "text": "?"}, PICTURE]}
    )
    await program.chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": "How is it?"}], extra_body={"conversation": first}
    )
    output: Any = {"type": "function_call_output", "call_id": "call_1", "output": "21"}
    await program.conversations.items.create(first, items=[output])
    second = await conversation(program, *[item.model_dump() for item in await shown(program, first)])
    assert await shown(program, second) == await shown(program, first)
    sent = []
    for copy in (first, second):
        await program.chat.completions.create(
            model=MODEL, messages=[{"role": "user", "content": "So?"}], extra_body={"conversation": copy}
        )
        sent.append(platform.upstream.last.json["messages"])
    assert sent[0] == sent[1]


@pytest.mark.parametrize("images", [True, False])
async def test_pictures_that_openais_client_wrote_are_shared_only_as_pictures(
    platform: Platform, images: bool
) -> None:
    content = [{"type": "input_text", "text": "Sun?"}, PICTURE, {"type": "input_file", "file_data": "secret"}]
    question = {"role": "user", "content": content}
    made = await conversation(platform.openai(), question, {"role": "assistant", "content": "Yes"})
    async with platform.client() as plain:
        body = {"scope": "conversation", "include_images": images}
        link = (await plain.post(f"/v1/conversations/{made}/share", json=body)).json()
        public = (await plain.get(f"/v1/public/shares/{link['slug']}")).text
    assert "Sun?" in public and "secret" not in public
    assert (str(PICTURE["image_url"]) in public) is images
