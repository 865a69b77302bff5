"""Edit and regenerate with `generate`: the branch starts anew, and a model answers at once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import openai
import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from tests.doubles.openai_upstream import Answer, Failure, Stream, ToolCall
from tests.services.llm_api.callers import text_of
from tests.services.llm_api.platform import Platform

MODEL = "unknown/scripted-model"
Message = dict[str, Any]


class Talk:
    """A conversation of one question and its answer, and its owner."""

    def __init__(self, platform: Platform, client: httpx.AsyncClient) -> None:
        self.platform = platform
        self.client = client
        self.path = ""
        self.ids: list[str] = []

    async def begin(self, **members: Any) -> None:
        self.platform.upstream.next(Answer("Four."))
        body = {"model": MODEL, "messages": [{"role": "user", "content": "2 + 2?"}], "conversation": {}}
        answer = await self.client.post("/v1/chat/completions", json=body | members)
        assert answer.status_code == 200, answer.text
        self.path = f"/v1/conversations/{answer.headers['x-conversation-id']}"
        self.ids = [item["id"] for item in await self.items()]

    async def revise(self, action: str, item: str, status: int = 200, **body: Any) -> httpx.Response:
        answer = await self.client.post(f"{self.path}/items/{item}/{action}", json=body)
        assert answer.status_code == status, answer.text
        return answer

    async def items(self, **query: Any) -> list[dict[str, Any]]:
        query = {"order": "asc", "limit": 100, **query}
        answer = await self.client.get(f"{self.path}/items", params=query)
        assert answer.status_code == 200, answer.text
        return list(answer.json()["data"])

    async def texts(self, **query: Any) -> list[str]:
        return [text_of(item) for item in await self.items(**query)]

    async def branches(self) -> list[str]:
        return [branch["name"] for branch in (await self.client.get(f"{self.path}/branches")).json()["data"]]

    @property
    def sent(self) -> dict[str, Any]:
        """What the provider got last."""
        body: dict[str, Any] = self.platform.upstream.last.json
        return body


@pytest.fixture
async def talk(platform: Platform) -> AsyncIterator[Talk]:
    async with platform.client() as client:
        talk = Talk(platform, client)
        await talk.begin()
        yield talk


async def test_a_question_is_answered_again_by_the_model_that_answered(talk: Talk) -> None:
    talk.platform.upstream.next(Answer("It is four."))
    answer = await talk.revise("regenerate", talk.ids[1], generate=True, temperature=0.9)
    completion = ChatCompletion.model_validate(answer.json())
    assert completion.choices[0].message.content == "It is four."
    told = answer.json()
    assert (talk.sent["model"], talk.sent["temperature"]) == ("scripted-model", 0.9)
    assert talk.sent["messages"] == [{"role": "user", "content": "2 + 2?"}]
    assert "generate" not in talk.sent
    items = await talk.items()
    assert [text_of(item) for item in items] == ["2 + 2?", "It is four."]
    assert told["conversation"] == {"id": talk.path.rpartition("/")[2], "title": "2 2"}
    assert (told["branch"], told["branch_created"], told["user_item_id"]) == ("MAIN", True, items[0]["id"])
    # As the question left it: the answer comes behind it.
    assert (told["new_branch"]["name"], told["new_branch"]["item_count"]) == ("MAIN", 1)
    assert [item["id"] for item in await talk.items(branch=told["old_main_backup"])] == talk.ids
    assert answer.headers["x-old-main-backup"] == told["old_main_backup"]
    assert answer.headers["x-user-item-id"] == told["user_item_id"]


async def test_an_edited_question_is_answered_behind_its_history(talk: Talk) -> None:
    talk.platform.upstream.next(Answer("Six."), Answer("Eight."))
    asked = {"model": MODEL, "messages": [{"role": "user", "content": "3 + 3?"}]}
    await talk.client.post(
        "/v1/chat/completions", json=asked | {"conversation": talk.path.rpartition("/")[2]}
    )
    question = (await talk.items())[2]["id"]
    # Text that looks like parts is text, as it is stored.
    text = '[{"type":"text","text":"4 + 4?"}]'
    told = (await talk.revise("edit", question, content=text, generate=True, regenerate=True)).json()
    assert told["choices"][0]["message"]["content"] == "Eight."
    assert text_of(told["user_item"]) == text
    assert talk.sent["messages"] == [
        {"role": "user", "content": "2 + 2?"},
        {"role": "assistant", "content": "Four."},
        {"role": "user", "content": text},
    ]
    assert talk.sent.keys() == {"model", "messages"}
    assert await talk.texts() == ["2 + 2?", "Four.", text, "Eight."]
    assert await talk.texts(branch=told["old_main_backup"]) == ["2 + 2?", "Four.", "3 + 3?", "Six."]


@pytest.mark.parametrize("generate", [{}, {"generate": False}, {"generate": None}])
async def test_without_being_told_nobody_is_asked(talk: Talk, generate: Message) -> None:
    calls = len(talk.platform.upstream.calls)
    chat = {"model": MODEL, "max_tokens": 5, "stream": True, "messages": 7, **generate}
    told = (await talk.revise("regenerate", talk.ids[1], **chat)).json()
    assert told.keys() == {"branch", "old_main_backup", "branch_created", "new_branch", "user_item_id"}
    told = (await talk.revise("edit", talk.ids[0], content="3 + 3?", **chat)).json()
    assert told.keys() == {"branch", "old_main_backup", "branch_created", "new_branch", "user_item"}
    assert await talk.texts() == ["3 + 3?"]
    assert len(talk.platform.upstream.calls) == calls


async def test_openais_client_reads_the_stream(talk: Talk) -> None:
    talk.platform.upstream.next(Stream(words=("It", "is", "four.")))
    stream = await talk.platform.openai().post(
        f"{talk.path.removeprefix('/v1')}/items/{talk.ids[1]}/regenerate",
        cast_to=ChatCompletionChunk,
        body={"generate": True, "stream": True},
        stream=True,
        stream_cls=openai.AsyncStream[ChatCompletionChunk],
    )
    said = [choice.delta.content or "" async for chunk in stream for choice in chunk.choices]
    assert "".join(said) == "It is four."
    items = await talk.items()
    assert [text_of(item) for item in items] == ["2 + 2?", "It is four."]
    told = stream.response.headers
    assert told["x-conversation-id"] == talk.path.rpartition("/")[2]
    assert told["x-user-item-id"] == items[0]["id"]
    assert [item["id"] for item in await talk.items(branch=told["x-old-main-backup"])] == talk.ids


async def test_an_answer_may_be_calls_of_tools(talk: Talk) -> None:
    talk.platform.upstream.next(ToolCall("add", '{"a":2}', "call_1"), Answer("Four, says the tool."))
    tools = [{"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}]
    told = (await talk.revise("regenerate", talk.ids[0], generate=True, tools=tools)).json()
    assert told["choices"][0]["finish_reason"] == "tool_calls"
    assert talk.sent["tools"] == tools
    kinds = [(item["type"], item["role"]) for item in await talk.items()]
    assert kinds == [("message", "user"), ("message", "assistant"), ("mcp_call", "tool")]
    body = {
        "model": MODEL,
        "messages": [{"role": "tool", "tool_call_id": "call_1", "content": "4"}],
        "conversation": told["conversation"]["id"],
    }
    assert (await talk.client.post("/v1/chat/completions", json=body)).status_code == 200
    assert [message["role"] for message in talk.sent["messages"]] == ["user", "assistant", "tool"]


async def test_a_failure_leaves_the_question_to_be_asked_again(talk: Talk) -> None:
    talk.platform.upstream.always(Failure(500))
    answer = await talk.revise("regenerate", talk.ids[1], 502, generate=True)
    assert answer.json()["error"]["message"]
    assert await talk.texts() == ["2 + 2?"]
    [backup] = [name for name in await talk.branches() if name != "MAIN"]
    assert [item["id"] for item in await talk.items(branch=backup)] == talk.ids


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        ({"model": "unknown/model"}, 404, "model"),
        ({"model": 7}, 400, "model"),
        ({"temperature": "hot"}, 400, "temperature"),
        ({"messages": [{"role": "user", "content": "?"}]}, 400, "messages"),
        ({"conversation": {}}, 400, "conversation"),
        ({"generate": "yes"}, 400, "generate"),
    ],
)
@pytest.mark.parametrize("action", ["regenerate", "edit"])
async def test_what_cannot_be_asked_changes_nothing(
    talk: Talk, action: str, body: dict[str, Any], status: int, param: str
) -> None:
    calls = len(talk.platform.upstream.calls)
    body = {"content": "3 + 3?", "generate": True} | body
    answer = await talk.revise(action, talk.ids[0], status, **body)
    assert answer.json()["error"]["param"] == param
    assert await talk.branches() == ["MAIN"]
    assert len(talk.platform.upstream.calls) == calls


async def test_without_an_earlier_answer_metadata_or_the_body_names_the_model(talk: Talk) -> None:
    item = {"role": "user", "content": [{"type": "input_text", "text": "Hi"}]}
    for metadata, status in (({}, 400), ({"model": MODEL}, 200)):
        made = await talk.client.post("/v1/conversations", json={"items": [item], "metadata": metadata})
        talk.path = f"/v1/conversations/{made.json()['id']}"
        [asked] = await talk.items()
        answer = await talk.revise("regenerate", asked["id"], status, generate=True)
        if status == 400:
            assert answer.json()["error"]["param"] == "model"
            assert await talk.branches() == ["MAIN"]
            await talk.revise("regenerate", asked["id"], generate=True, model=MODEL)
            assert len(await talk.items()) == 2


async def test_a_question_without_words_cannot_be_asked(talk: Talk) -> None:
    item = {"role": "user", "content": [{"type": "image", "image": {"file_id": "file_1"}}]}
    made = await talk.client.post("/v1/conversations", json={"items": [item]})
    talk.path = f"/v1/conversations/{made.json()['id']}"
    [asked] = await talk.items()
    answer = await talk.revise("regenerate", asked["id"], 400, generate=True, model=MODEL)
    assert answer.json()["error"]["param"] == "item_id"
    assert await talk.branches() == ["MAIN"]


async def test_a_stranger_finds_nothing_and_asks_nobody(talk: Talk) -> None:
    calls = len(talk.platform.upstream.calls)
    async with talk.platform.client("bob") as stranger:
        for action, body in (("regenerate", {}), ("edit", {"content": "?"})):
            path = f"{talk.path}/items/{talk.ids[0]}/{action}"
            answer = await stranger.post(path, json={"generate": True, "model": MODEL, **body})
            assert answer.status_code == 404
    assert await talk.branches() == ["MAIN"]
    assert len(talk.platform.upstream.calls) == calls


async def test_an_answer_that_is_not_to_be_stored_is_not(talk: Talk) -> None:
    await talk.revise("regenerate", talk.ids[0], generate=True, store=False)
    assert await talk.texts() == ["2 + 2?"]
