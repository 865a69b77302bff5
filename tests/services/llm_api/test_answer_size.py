"""Answers of providers that are larger than the settings allow become errors on every route."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from typing import Any

import httpx
import orjson
import pytest
from aiohttp import web

from tests.doubles.openai_upstream import Call, Custom, Json, OpenAIUpstream, Raw, Stream, completion
from tests.services.llm_api.conftest import Serve
from tests.services.llm_api.platform import Platform

MODEL = "unknown/scripted-model"
HELLO: Any = [{"role": "user", "content": "Hello"}]
LARGE = "x" * (2**20 + 1)
CODE = "upstream_answer_too_large"


@pytest.fixture(scope="module")
async def strict(serve: Serve, upstream: OpenAIUpstream) -> Platform:
    platform = await serve(upstream, llm_api={"max_response_mb": 1, "images": {"enabled": True}})
    await platform.serving.sync.sync_providers()
    return platform


@pytest.fixture
async def caller(strict: Platform) -> AsyncIterator[httpx.AsyncClient]:
    strict.upstream.reset()
    async with strict.client() as client:
        yield client


@pytest.mark.parametrize(
    ("path", "body", "answer"),
    [
        ("/v1/chat/completions", {"messages": HELLO}, completion(LARGE, model="x", finish_reason="stop")),
        ("/v1/messages", {"messages": HELLO, "max_tokens": 9}, completion(LARGE, model="x")),
        ("/v1/completions", {"prompt": "Hi"}, {"choices": [{"text": LARGE}]}),
        ("/v1/embeddings", {"input": "Hi"}, {"data": [{"embedding": LARGE}]}),
        ("/v1/moderations", {"input": "Hi"}, {"results": [LARGE]}),
        ("/v1/rerank", {"query": "Hi", "documents": ["Hi"]}, {"results": [LARGE]}),
        ("/v1/images/generations", {"prompt": "Fox"}, {"data": [{"b64_json": LARGE}]}),
        (
            "/v1/images/edits",
            {
                "prompt": "Fox",
                "image": "data:image/png;base64," + base64.b64encode(b"\x89PNG\r\n\x1a\n").decode(),
            },
            {"data": [{"b64_json": LARGE}]},
        ),
    ],
    ids=["chat", "messages", "completions", "embeddings", "moderations", "rerank", "images", "edits"],
)
async def test_a_whole_answer_beyond_the_limit_is_502(
    caller: httpx.AsyncClient, strict: Platform, path: str, body: dict[str, Any], answer: Any
) -> None:
    strict.upstream.next(Json(answer))
    refused = await caller.post(path, json={"model": MODEL, **body})
    assert refused.status_code == 502, refused.text
    assert "is larger than 1 MB" in refused.json()["error"]["message"]
    if path != "/v1/messages":
        assert refused.json()["error"]["code"] == CODE
    # The provider is well, and so is the next answer.
    assert (
        await caller.post("/v1/chat/completions", json={"model": MODEL, "messages": HELLO})
    ).status_code == 200


@pytest.mark.parametrize("conversation", [False, True], ids=["plain", "in a conversation"])
async def test_a_stream_beyond_the_limit_ends_with_an_error_frame(
    caller: httpx.AsyncClient, strict: Platform, conversation: bool
) -> None:
    body: dict[str, Any] = {"model": MODEL, "messages": HELLO, "stream": True}
    if conversation:
        made = await caller.post("/v1/conversations", json={"title": "Long"})
        body["conversation"] = made.json()["id"]
    strict.upstream.next(Stream(words=("word",) * 8000))
    answer = await caller.post("/v1/chat/completions", json=body)
    assert answer.status_code == 200
    assert len(answer.content) < 1.1 * 2**20
    *_, last, end = answer.text.split("\n\n")
    assert end == ""
    assert orjson.loads(last.removeprefix("data: "))["error"]["code"] == CODE
    assert strict.upstream.last.json["stream"] is True


async def test_sound_beyond_the_limit_is_refused_or_breaks_off(
    caller: httpx.AsyncClient, strict: Platform
) -> None:
    body = {"model": MODEL, "input": "Hello", "voice": "alloy"}
    strict.upstream.next(Raw(LARGE.encode(), content_type="audio/mpeg"))
    refused = await caller.post("/v1/audio/speech", json=body)
    assert (refused.status_code, refused.json()["error"]["code"]) == (502, CODE)

    async def endless(request: web.Request, call: Call) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "audio/mpeg"})
        await response.prepare(request)
        while True:
            await response.write(b"x" * 65536)

    strict.upstream.next(Custom(endless))
    # What was passed on is no whole recording, and the caller is told so.
    with pytest.raises(httpx.RemoteProtocolError):
        await caller.post("/v1/audio/speech", json=body)
