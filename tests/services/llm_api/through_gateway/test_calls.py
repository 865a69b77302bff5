"""Every kind of call of a model through the gateway, to a scripted provider."""

from __future__ import annotations

import pytest

from tests.doubles.openai_upstream import EmbeddingsOf, Json, Raw, TextCompletion
from tests.services.llm_api.through_gateway.stack import MODEL, Visitor, WholeStack

QUESTION = {"model": MODEL, "messages": [{"role": "user", "content": "Hello"}]}
DRAWING = {"prompt": "A fox in the snow", "response_format": "b64_json"}


@pytest.mark.route("POST /v1/chat/completions")
async def test_a_chat(ann: Visitor) -> None:
    answer = await ann.post("/v1/chat/completions", QUESTION)
    assert (answer["object"], answer["choices"][0]["finish_reason"]) == ("chat.completion", "stop")
    assert answer["choices"][0]["message"]["content"] == "Hello from the scripted upstream."
    assert answer["usage"]["total_tokens"] == 12
    stream = await ann.send("POST", "/v1/chat/completions", json={**QUESTION, "stream": True})
    assert stream.headers["content-type"].startswith("text/event-stream")
    assert stream.text.rstrip().endswith("data: [DONE]")


async def test_a_chat_is_kept_in_its_conversation(ann: Visitor) -> None:
    answer = await ann.post("/v1/chat/completions", {**QUESTION, "conversation": {}})
    conversation = answer["conversation"]
    assert conversation["title"] == "Hello"
    items = (await ann.get(f"/v1/conversations/{conversation['id']}/items"))["data"]
    assert [item["role"] for item in items] == ["assistant", "user"]


async def test_a_key_chats_as_its_owner(visitor: Visitor, user_key: str) -> None:
    for by_key in (visitor.with_key(user_key), visitor.with_token(user_key)):
        assert (await by_key.post("/v1/chat/completions", QUESTION))["object"] == "chat.completion"


@pytest.mark.route("POST /v1/completions")
async def test_a_completion(stack: WholeStack, ann: Visitor) -> None:
    stack.upstream.next(TextCompletion())
    answer = await ann.post("/v1/completions", {"model": MODEL, "prompt": "Once upon a time"})
    assert (answer["object"], answer["choices"][0]["text"]) == ("text_completion", "there was a fox")


@pytest.mark.route("POST /v1/embeddings")
async def test_embeddings(stack: WholeStack, ann: Visitor) -> None:
    stack.upstream.next(EmbeddingsOf())
    answer = await ann.post("/v1/embeddings", {"model": MODEL, "input": ["a", "b"]})
    assert (answer["object"], [one["index"] for one in answer["data"]]) == ("list", [0, 1])
    assert all(isinstance(number, float) for number in answer["data"][0]["embedding"])


@pytest.mark.route("POST /v1/moderations")
async def test_a_moderation(stack: WholeStack, ann: Visitor) -> None:
    told = {"id": "modr-1", "model": "scripted-model", "results": [{"flagged": False}]}
    stack.upstream.next(Json(told))
    answer = await ann.post("/v1/moderations", {"model": MODEL, "input": "kind words"})
    assert answer["results"] == [{"flagged": False}]


@pytest.mark.route("POST /v1/rerank")
async def test_a_ranking(stack: WholeStack, ann: Visitor) -> None:
    stack.upstream.next(Json({"results": [{"index": 1, "relevance_score": 0.9}]}))
    answer = await ann.post("/v1/rerank", {"model": MODEL, "query": "a fox", "documents": ["dog", "fox"]})
    assert answer["results"][0]["index"] == 1


@pytest.mark.route("POST /v1/messages", "POST /v1/messages/count_tokens")
async def test_a_message_of_anthropics_clients(visitor: Visitor, user_key: str) -> None:
    by_key = visitor.with_key(user_key)
    answer = await by_key.post("/v1/messages", {**QUESTION, "max_tokens": 100})
    assert (answer["type"], answer["role"], answer["stop_reason"]) == ("message", "assistant", "end_turn")
    assert [block["text"] for block in answer["content"]] == ["Hello from the scripted upstream."]
    assert (await by_key.post("/v1/messages/count_tokens", QUESTION))["input_tokens"] > 0


@pytest.mark.route("POST /v1/audio/transcriptions", "POST /v1/audio/translations")
async def test_speech_becomes_text(stack: WholeStack, ann: Visitor) -> None:
    for path in ("/v1/audio/transcriptions", "/v1/audio/translations"):
        stack.upstream.next(Json({"text": "hello"}))
        sound = {"file": ("a.wav", b"RIFF", "audio/wav")}
        answer = await ann.send("POST", path, data={"model": MODEL}, files=sound)
        assert answer.json()["text"] == "hello"
        assert stack.upstream.last.path == path


@pytest.mark.route("POST /v1/audio/speech")
async def test_text_becomes_speech(stack: WholeStack, ann: Visitor) -> None:
    stack.upstream.next(Raw(b"sound", content_type="audio/mpeg"))
    wish = {"model": MODEL, "input": "hello", "voice": "alloy"}
    answer = await ann.send("POST", "/v1/audio/speech", json=wish)
    assert (answer.content, answer.headers["content-type"]) == (b"sound", "audio/mpeg")


@pytest.mark.route("POST /v1/images/generations", "POST /v1/images/edits")
async def test_pictures_are_made_and_edited(stack: WholeStack, ann: Visitor) -> None:
    made = await ann.post("/v1/images/generations", DRAWING)
    assert made.keys() >= {"created", "data", "usage"}
    picture = made["data"][0]["b64_json"]
    edited = await ann.post("/v1/images/edits", {**DRAWING, "image": {"b64_json": picture}})
    assert edited["data"][0]["b64_json"] == picture
    assert [call.path for call in stack.painter.calls] == ["/v1/images/generations", "/v1/images/edits"]


@pytest.mark.route("POST /v1/images/variations")
async def test_variations_are_not_made(ann: Visitor) -> None:
    refused = await ann.post("/v1/images/variations", {}, status=501)
    assert refused["code"] == "image-variation-not-impl"
