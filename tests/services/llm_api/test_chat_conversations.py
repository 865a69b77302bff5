"""Chats that belong to a conversation: history, what is stored, titles, and answers that break off."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.doubles.openai_upstream import (
    Answer,
    Drop,
    Failure,
    Gate,
    Json,
    Raw,
    Stream,
    ToolCall,
    completion,
)
from tests.services.llm_api.conftest import eventually
from tests.services.llm_api.platform import Platform

MODEL = "unknown/scripted-model"
Message = dict[str, Any]


def user(text: str) -> Message:
    return {"role": "user", "content": text}


def assistant(text: str) -> Message:
    return {"role": "assistant", "content": text}


class Talk:
    """One conversation, as a client keeps it."""

    def __init__(self, platform: Platform, client: httpx.AsyncClient) -> None:
        self.platform = platform
        self.client = client
        self.id = ""

    async def say(self, *messages: Message, status: int = 200, **members: Any) -> httpx.Response:
        conversation = members.pop("conversation", self.id)
        answer = await self.client.post(
            "/v1/chat/completions",
            json={"model": MODEL, "messages": messages, "conversation": conversation, **members},
        )
        assert answer.status_code == status, answer.text
        self.id = answer.headers.get("x-conversation-id", self.id)
        return answer

    @property
    def sent(self) -> list[Message]:
        """What the provider got last."""
        messages: list[Message] = self.platform.upstream.last.json["messages"]
        return messages

    async def items(self, **query: Any) -> list[dict[str, Any]]:
        answer = await self.client.get(
            f"/v1/conversations/{self.id}/items", params={"order": "asc", "limit": 100, **query}
        )
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json()["data"]
        return found

    async def read(self) -> dict[str, Any]:
        answer = await self.client.get(f"/v1/conversations/{self.id}")
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found


@pytest.fixture
async def talk(platform: Platform) -> Any:
    async with platform.client() as client:
        yield Talk(platform, client)


async def test_an_exchange_is_stored_and_precedes_the_next(talk: Talk) -> None:
    talk.platform.upstream.next(Answer("Hi!"), Answer("Fine."))
    first = (await talk.say(user("Hello there"), conversation={})).json()
    assert first["conversation"] == {"id": talk.id, "title": "Hello there"}
    assert talk.sent == [user("Hello there")]
    second = (await talk.say({"role": "system", "content": "Be brief"}, user("How are you?"))).json()
    assert second["conversation"] == {"id": talk.id, "title": "Hello there"}
    assert talk.sent == [
        {"role": "system", "content": "Be brief"},
        user("Hello there"),
        assistant("Hi!"),
        user("How are you?"),
    ]
    items = await talk.items()
    assert [(item["role"], item["sequence_number"]) for item in items] == [
        ("user", 1),
        ("assistant", 2),
        ("user", 3),
        ("assistant", 4),
    ]
    assert items[0]["content"] == [{"type": "input_text", "input_text": "Hello there"}]
    assert items[1]["content"] == [{"type": "text", "text": "Hi!", "finish_reason": "stop"}]
    assert {item["status"] for item in items} == {"completed"}


async def test_a_client_that_resends_its_history_gets_it_once(talk: Talk) -> None:
    talk.platform.upstream.next(Answer("Hi!"), Answer("Fine."))
    await talk.say(user("Hello"), conversation="")
    await talk.say(user("Hello"), assistant("Hi!"), user("How are you?"))
    assert talk.sent == [user("Hello"), assistant("Hi!"), user("How are you?")]
    assert len(await talk.items()) == 4
    await talk.say(user("How are you?"), assistant("Fine."), user("Good"))
    assert talk.sent == [
        user("Hello"),
        assistant("Hi!"),
        user("How are you?"),
        assistant("Fine."),
        user("Good"),
    ]


async def test_a_version_of_the_clients_own_is_left_alone(talk: Talk) -> None:
    talk.platform.upstream.always(Answer("Hi!"))
    await talk.say(user("Hello"), conversation="")
    await talk.say(user("Again"))
    edited = [user("Hello"), assistant("Hi!"), user("Something else")]
    await talk.say(*edited)
    assert talk.sent == edited


@pytest.mark.parametrize(
    ("history", "sent"),
    [
        ("never", [user("Next")]),
        ("always", [user("Hello"), assistant("Hi!"), user("Next")]),
        ("auto", [user("Hello"), assistant("Hi!"), user("Next")]),
    ],
)
async def test_history_can_be_chosen(talk: Talk, history: str, sent: list[Message]) -> None:
    talk.platform.upstream.always(Answer("Hi!"))
    await talk.say(user("Hello"), conversation="")
    await talk.say(user("Next"), conversation={"id": talk.id, "history": history})
    assert talk.sent == sent


async def test_streams_are_stored_once_their_end_is_told(talk: Talk) -> None:
    talk.platform.upstream.next(Stream(words=("Hi", "there"), reasoning=("Hmm",)))
    answer = await talk.say(user("Hello"), conversation={}, stream=True)
    assert answer.content.endswith(b"data: [DONE]\n\n")
    items = await talk.items()
    assert [item["content"][0].get("text") for item in items[1:]] == ["Hi there"]
    assert (await talk.read())["title"] == "Hello"


async def test_a_stream_is_relayed_verbatim_while_it_is_stored(talk: Talk) -> None:
    frames = (
        b": the queue is long\n\n"
        b'data: {"choices":[{"index":0,"delta":{"content":"Hi"}}],"x":1.50}\n\n'
        b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
        b"data: [DONE]\n\n"
    )
    talk.platform.upstream.next(Raw(frames, content_type="text/event-stream"))
    answer = await talk.say(user("Hello"), conversation={}, stream=True)
    assert answer.content == frames
    assert [item["content"][0].get("text") for item in (await talk.items())[1:]] == ["Hi"]


async def test_a_conversation_may_be_passed_back_as_it_was_read(talk: Talk) -> None:
    await talk.say(user("Hello"), conversation={})
    await talk.say(user("And again"), conversation=await talk.read())
    assert len(await talk.items()) == 4
    assert talk.sent[0] == user("Hello")


async def test_reasoning_is_kept_on_request_or_when_it_is_all_there_is(talk: Talk) -> None:
    talk.platform.upstream.next(Stream(words=("Hi",), reasoning=("Hmm", "!")))
    await talk.say(user("Hello"), conversation={}, stream=True, store_reasoning=True)
    [_, item] = await talk.items()
    assert item["content"][0] == {"type": "reasoning_text", "reasoning_text": "Hmm!"}
    alone = b'{"choices":[{"message":{"content":null,"reasoning_content":"Just thinking"}}]}'
    talk.platform.upstream.next(Raw(alone))
    await talk.say(user("And?"))
    assert (await talk.items())[-1]["content"][0]["type"] == "reasoning_text"


async def test_store_false_keeps_the_exchange_out(talk: Talk) -> None:
    await talk.say(user("Hello"), conversation={}, store=False)
    assert await talk.items() == []
    assert (await talk.read())["title"] == "Hello"


async def test_a_failed_call_leaves_no_conversation(talk: Talk) -> None:
    async def conversations() -> int:
        answer = await talk.client.get("/v1/conversations")
        return int(answer.json()["total"])

    before = await conversations()
    for behaviour in (Failure(500), Drop(), Failure(400)):
        talk.platform.upstream.always(behaviour)
        for stream in (True, False):
            answer = await talk.client.post(
                "/v1/chat/completions",
                json={"model": MODEL, "messages": [user("x")], "conversation": "", "stream": stream},
            )
            assert answer.status_code >= 400
    unknown = await talk.client.post(
        "/v1/chat/completions", json={"model": "nobody/knows", "messages": [user("x")], "conversation": ""}
    )
    assert unknown.status_code == 404
    assert await conversations() == before


async def test_a_broken_answer_is_no_turn_of_the_conversation(talk: Talk) -> None:
    await talk.say(user("Hello"))
    before = await talk.items()
    talk.platform.upstream.always(Raw(b'{"choices":['))
    await talk.say(user("And now?"), status=502)
    assert await talk.items() == before


async def test_odd_shapes_of_an_answer_are_stored_as_text(talk: Talk) -> None:
    body = completion("")
    body["choices"][0]["message"] = {
        "role": "assistant",
        "content": [{"type": "text", "text": "In parts"}],
        "tool_calls": [{"id": "call_1", "function": {"name": "add", "arguments": {"a": 1}}}, None],
    }
    talk.platform.upstream.next(Json(body))
    await talk.say(user("Hello"))
    _, answer, call = await talk.items()
    assert answer["content"][0]["text"] == "In parts"
    assert (call["name"], call["arguments"]) == ("add", '{"a":1}')


async def test_what_an_abandoned_stream_said_is_kept_as_incomplete(talk: Talk) -> None:
    await talk.say(user("Hello"), conversation={})
    gate = Gate()
    talk.platform.upstream.next(Stream(frames=3, gate=gate))
    gate.release(2)
    body = {"model": MODEL, "messages": [user("Next")], "conversation": talk.id, "stream": True}
    async with talk.client.stream("POST", "/v1/chat/completions", json=body) as answer:
        received = b""
        async for chunk in answer.aiter_bytes():
            received += chunk
            if b"word1" in received:
                break

    async def stored() -> bool:
        return len(await talk.items()) == 4

    await eventually(stored)
    item = (await talk.items())[-1]
    assert item["status"] == "incomplete"
    assert item["incomplete_details"] == {"reason": "client_disconnected"}
    assert item["content"] == [{"type": "text", "text": "word0 word1"}]
    await talk.platform.upstream.wait_until(lambda: talk.platform.upstream.live == 0)


async def test_what_a_broken_stream_said_is_kept_as_incomplete(talk: Talk) -> None:
    talk.platform.upstream.next(Stream(frames=3, drop_after=2))
    answer = await talk.say(user("Hello"), conversation={}, stream=True)
    assert b'"upstream_broken_off"' in answer.content
    assert b"[DONE]" not in answer.content
    item = (await talk.items())[-1]
    assert (item["status"], item["incomplete_details"]) == ("incomplete", {"reason": "upstream_error"})


@pytest.mark.parametrize("stream", [True, False])
async def test_tool_calls_are_logged_and_their_results_find_their_turn(talk: Talk, stream: bool) -> None:
    talk.platform.upstream.next(ToolCall(call_id="call_1"), Answer("18 degrees"))
    await talk.say(user("Weather in Hanoi?"), conversation={}, stream=stream)
    call = {
        "id": "call_1",
        "type": "function",
        "function": {"name": "get_weather", "arguments": '{"city":"Hanoi"}'},
    }
    _, turn, log = await talk.items()
    assert turn["tool_calls"] == [call]
    assert (log["type"], log["role"], log["status"]) == ("mcp_call", "tool", "in_progress")
    assert (log["call_id"], log["tool_call_id"], log["name"]) == ("call_1", "call_1", "get_weather")
    assert log["server_label"] == "Jan MCP Server"
    result = {"role": "tool", "tool_call_id": "call_1", "content": "18"}
    answer = await talk.say(result)
    assert answer.json()["choices"][0]["message"]["content"] == "18 degrees"
    expected = [
        user("Weather in Hanoi?"),
        {"role": "assistant", "content": None, "tool_calls": [call]},
        result,
    ]
    assert talk.sent == expected
    items = await talk.items()
    assert [item["role"] for item in items] == ["user", "assistant", "tool", "tool", "assistant"]
    assert items[3]["content"] == [{"type": "tool_result", "tool_result": "18", "tool_call_id": "call_1"}]
    assert items[3]["tool_call_id"] == "call_1"
    await talk.say(user("Thanks"))
    assert talk.sent == [*expected, assistant("18 degrees"), user("Thanks")]


async def test_a_tool_result_is_completed_even_without_history(talk: Talk) -> None:
    talk.platform.upstream.next(Answer("Hi!"), ToolCall(call_id="call_1"), Answer("18 degrees"))
    await talk.say(user("Hello"), conversation={})
    await talk.say(user("Weather?"))
    result = {"role": "tool", "tool_call_id": "call_1", "content": "18"}
    await talk.say(result, conversation={"id": talk.id, "history": "never"})
    assert [message["role"] for message in talk.sent] == ["user", "assistant", "tool"]
    assert talk.sent[0] == user("Weather?")


async def test_a_logged_result_answers_the_call_in_later_turns(talk: Talk) -> None:
    talk.platform.upstream.next(ToolCall(call_id="call_1"))
    await talk.say(user("Weather?"), conversation={})
    path = f"/v1/conversations/{talk.id}/items/by-call-id/call_1"
    done = await talk.client.patch(path, json={"status": "completed", "output": "18"})
    assert done.status_code == 200
    await talk.say(user("So?"))
    assert talk.sent[2] == {"role": "tool", "tool_call_id": "call_1", "content": "18"}


async def test_an_unanswered_call_never_reaches_the_provider(talk: Talk) -> None:
    talk.platform.upstream.next(ToolCall(call_id="call_1"))
    await talk.say(user("Weather?"), conversation={})
    await talk.say(user("Forget it"))
    assert talk.sent == [user("Weather?"), user("Forget it")]


async def test_images_and_tool_images_come_back_as_history(talk: Talk) -> None:
    content = [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": "https://pictures.example/1.png", "detail": "low"}},
    ]
    await talk.say({"role": "user", "content": content}, conversation={})
    [item, _] = await talk.items()
    assert item["content"][1] == {
        "type": "image",
        "image": {"url": "https://pictures.example/1.png", "detail": "low"},
    }
    await talk.say(user("Again?"))
    assert talk.sent[0] == {"role": "user", "content": content}


async def test_a_branch_is_read_and_written_by_name(talk: Talk) -> None:
    talk.platform.upstream.always(Answer("Hi!"))
    await talk.say(user("Hello"), conversation={})
    made = await talk.client.post(f"/v1/conversations/{talk.id}/branches", json={"name": "draft"})
    assert made.status_code == 201, made.text
    await talk.say(user("Elsewhere"), conversation={"id": talk.id, "branch": "draft"})
    assert talk.sent == [user("Elsewhere")]
    assert len(await talk.items(branch="draft")) == 2
    assert len(await talk.items(branch="MAIN")) == 2
    for choice in ({"id": talk.id, "branch": "nowhere"}, {"branch": "nowhere"}):
        await talk.say(user("x"), conversation=choice, status=404)


async def test_only_the_owner_may_attach(talk: Talk) -> None:
    await talk.say(user("Hello"), conversation={})
    async with talk.platform.client("bob") as bob:
        for conversation in (talk.id, "conv_0000000000000000"):
            answer = await bob.post(
                "/v1/chat/completions",
                json={"model": MODEL, "messages": [user("x")], "conversation": conversation},
            )
            assert (answer.status_code, answer.json()["message"]) == (404, "conversation not found")
    await talk.say(user("x"), conversation="thread_1", status=400)


async def test_a_referrer_makes_a_conversation_each_time(talk: Talk) -> None:
    ids = set()
    for _ in range(2):
        answer = await talk.client.post(
            "/v1/chat/completions?referrer=web%20app", json={"model": MODEL, "messages": [user("Hi")]}
        )
        ids.add(answer.json()["conversation"]["id"])
    assert len(ids) == 2
    talk.id = ids.pop()
    assert (await talk.read())["referrer"] == "web app"
    refused = await talk.client.post(
        "/v1/chat/completions?referrer=%00", json={"model": MODEL, "messages": [user("Hi")]}
    )
    assert refused.status_code == 400


async def test_the_projects_instruction_goes_first_and_once(talk: Talk) -> None:
    project = await talk.client.post("/v1/projects", json={"name": "Trips", "instruction": "Speak French"})
    made = await talk.client.post("/v1/conversations", json={"project_id": project.json()["id"]})
    talk.id = made.json()["id"]
    instruction = {"role": "system", "content": "Speak French"}
    await talk.say({"role": "system", "content": "Be brief"}, user("Hello"))
    assert talk.sent == [instruction, {"role": "system", "content": "Be brief"}, user("Hello")]
    await talk.say(instruction, user("Next"))
    assert talk.sent.count(instruction) == 1


async def test_titles_follow_their_rules(talk: Talk) -> None:
    await talk.say(user("First question"), conversation={})
    assert (await talk.say(user("Second question"))).json()["conversation"]["title"] == "First question"
    five = [user(f"Question {number}") for number in range(5)]
    assert (await talk.say(*five)).json()["conversation"]["title"] == "Question 0"
    renamed = await talk.client.post(f"/v1/conversations/{talk.id}", json={"title": "Mine"})
    assert renamed.status_code == 200
    assert (await talk.say(*five)).json()["conversation"]["title"] == "Mine"


async def test_a_conversation_that_is_deleted_meanwhile_does_not_lose_the_answer(talk: Talk) -> None:
    await talk.say(user("Hello"), conversation={})
    gate = Gate()
    talk.platform.upstream.next(Stream(frames=1, gate=gate))
    gate.release()
    body = {"model": MODEL, "messages": [user("Next")], "conversation": talk.id, "stream": True}
    async with talk.client.stream("POST", "/v1/chat/completions", json=body) as answer:
        chunks = answer.aiter_bytes()
        received = await anext(chunks)
        assert (await talk.client.delete(f"/v1/conversations/{talk.id}")).status_code == 200
        gate.open()
        received += b"".join([chunk async for chunk in chunks])
    assert received.endswith(b"data: [DONE]\n\n")


async def test_a_branch_that_is_deleted_meanwhile_leaves_its_conversation_as_it_was(talk: Talk) -> None:
    await talk.say(user("Hello"), conversation={})
    branches = f"/v1/conversations/{talk.id}/branches"
    assert (await talk.client.post(branches, json={"name": "side"})).status_code == 201
    before, items = await talk.read(), await talk.items()
    gate = Gate()
    talk.platform.upstream.next(Stream(frames=2, gate=gate))
    gate.release()
    # As many questions as give a conversation a new title.
    questions = [user(f"Question {number}") for number in range(5)]
    place = {"id": talk.id, "branch": "side"}
    body = {"model": MODEL, "messages": questions, "conversation": place, "stream": True}
    async with talk.client.stream("POST", "/v1/chat/completions", json=body) as answer:
        chunks = answer.aiter_bytes()
        await anext(chunks)
        assert (await talk.client.delete(f"{branches}/side")).status_code == 204
        gate.open()
        assert b"".join([chunk async for chunk in chunks]).endswith(b"data: [DONE]\n\n")
    assert (await talk.read(), await talk.items()) == (before, items)


async def test_long_histories_are_trimmed_to_the_context(talk: Talk) -> None:
    talk.platform.upstream.always(Answer("ok"))
    long = "word " * 15_000  # 18750 estimated tokens
    await talk.say(user(long), conversation={})
    for _ in range(9):
        answer = await talk.say(user(long))
    assert answer.json()["trimmed"] is True
    assert talk.sent[0] == user(long)
    assert len(talk.sent) < 19
    assert len(await talk.items()) == 20
