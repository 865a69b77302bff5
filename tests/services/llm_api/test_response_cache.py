"""Answers that are given again to those who ask for it."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import httpx
import pytest

from jan_server.authentication.identity_header import HEADER
from jan_server.services.llm_api.response_cache import CacheWish, ResponseCache
from tests.doubles.openai_upstream import Answer, EmbeddingsOf, Failure, Stream, TextCompletion
from tests.services.llm_api.platform import Platform

MODEL = "unknown/scripted-model"
WISH = {"ttl": 60}


async def ask(
    platform: Platform,
    text: str,
    name: str = "ann",
    cache: Any = WISH,
    **members: Any,
) -> httpx.Response:
    body = {"model": MODEL, "messages": [{"role": "user", "content": text}], "cache": cache, **members}
    async with platform.client(name) as client:
        return await client.post("/v1/chat/completions", json=body)


@pytest.mark.parametrize("stream", [True, False])
async def test_the_same_request_gets_the_same_answer(platform: Platform, stream: bool) -> None:
    text = f"the same, streamed: {stream}"
    platform.upstream.next(Answer("first"), Answer("second"))
    first = await ask(platform, text, stream=stream)
    again = await ask(platform, text, stream=stream)
    assert first.headers["x-jan-cache"] == "miss"
    assert again.headers["x-jan-cache"] == "hit"
    assert again.content == first.content and b"first" in again.content
    assert again.headers["content-type"] == first.headers["content-type"]
    assert len(platform.upstream.calls) == 1
    assert "cache" not in platform.upstream.last.json


async def test_only_who_asks_gets_it(platform: Platform) -> None:
    await ask(platform, "opt in")
    plain = await ask(platform, "opt in", cache=None)
    assert "x-jan-cache" not in plain.headers
    assert len(platform.upstream.calls) == 2


@pytest.mark.parametrize("change", [{"temperature": 1}, {"stream": True}, {"seed": 2}])
async def test_any_difference_is_another_request(platform: Platform, change: dict[str, Any]) -> None:
    text = f"different: {change}"
    await ask(platform, text)
    assert (await ask(platform, text, **change)).headers["x-jan-cache"] == "miss"


async def test_users_share_only_when_both_say_so(platform: Platform) -> None:
    await ask(platform, "mine", "ann")
    assert (await ask(platform, "mine", "bob")).headers["x-jan-cache"] == "miss"
    shared = {"ttl": 60, "shared": True}
    assert (await ask(platform, "mine", "bob", shared)).headers["x-jan-cache"] == "miss"
    assert (await ask(platform, "mine", "ann", shared)).headers["x-jan-cache"] == "hit"


async def test_failures_are_not_kept(platform: Platform) -> None:
    platform.upstream.next(Failure(400, "no"))
    assert (await ask(platform, "fails")).status_code == 400
    assert (await ask(platform, "fails")).headers["x-jan-cache"] == "miss"
    platform.upstream.next(Stream(frames=3, drop_after=1))
    broken = await ask(platform, "breaks", stream=True)
    assert b"broke off" in broken.content
    assert (await ask(platform, "breaks", stream=True)).headers["x-jan-cache"] == "miss"


async def test_conversations_are_never_answered_from_memory(platform: Platform) -> None:
    for _ in range(2):
        assert "x-jan-cache" not in (await ask(platform, "talk", conversation={})).headers
    assert len(platform.upstream.calls) == 2


@pytest.mark.parametrize(
    ("cache", "param"),
    [
        (True, "cache"),
        ({}, "cache.ttl"),
        ({"ttl": 0}, "cache.ttl"),
        ({"ttl": "1h"}, "cache.ttl"),
        ({"ttl": 5, "shared": 1}, "cache.shared"),
    ],
)
async def test_a_bad_wish_names_the_member(platform: Platform, cache: Any, param: str) -> None:
    answer = await ask(platform, "bad", cache=cache)
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == param


OTHERS: list[tuple[str, dict[str, Any], Any]] = [
    ("/v1/embeddings", {"input": "text"}, EmbeddingsOf()),
    ("/v1/completions", {"prompt": "text"}, TextCompletion()),
    ("/v1/completions", {"prompt": "text", "stream": True}, TextCompletion()),
    ("/v1/messages", {"messages": [{"role": "user", "content": "text"}], "max_tokens": 9}, Answer("first")),
    (
        "/v1/messages",
        {"messages": [{"role": "user", "content": "text"}], "max_tokens": 9, "stream": True},
        Answer("first"),
    ),
]
IDS = ["embeddings", "completions", "a stream of one", "messages", "a stream of one message"]


async def post(
    platform: Platform, path: str, body: dict[str, Any], name: str = "ann", key: str = "", **headers: str
) -> httpx.Response:
    async with platform.client(name) as client:
        if key:
            principal = platform.signer.verify(client.headers[HEADER])
            headers[HEADER] = platform.signer.sign(replace(principal, key_id=key, method="apikey"))
        return await client.post(path, json={"model": MODEL, **body}, headers=headers)


@pytest.mark.parametrize(("path", "body", "behaviour"), OTHERS, ids=IDS)
async def test_other_routes_have_it_too(
    platform: Platform, path: str, body: dict[str, Any], behaviour: Any
) -> None:
    platform.upstream.always(behaviour)
    wished = {**body, "cache": WISH, "user": "u"}
    first, again = [await post(platform, path, wished) for _ in range(2)]
    assert [answer.headers["x-jan-cache"] for answer in (first, again)] == ["miss", "hit"]
    # Each message of Anthropic's has an id of its own.
    bodies = [
        re.sub(rb'"msg_[0-9a-z]+"', b'"msg_"', answer.content, flags=re.IGNORECASE)
        for answer in (first, again)
    ]
    assert bodies[0] == bodies[1]
    assert again.headers["content-type"] == first.headers["content-type"]
    assert len(platform.upstream.calls) == 1
    assert "cache" not in platform.upstream.last.json
    assert (await post(platform, path, wished, "bob")).headers["x-jan-cache"] == "miss"
    assert "x-jan-cache" not in (await post(platform, path, body)).headers
    assert "x-jan-cache" not in (await post(platform, path, {**body, "cache": False})).headers
    wrong = await post(platform, path, {**body, "cache": {"ttl": 0}})
    assert wrong.status_code == 400, wrong.text


@pytest.mark.parametrize(("path", "body", "behaviour"), OTHERS, ids=IDS)
async def test_a_key_wishes_it_for_other_routes_too(
    platform: Platform, path: str, body: dict[str, Any], behaviour: Any
) -> None:
    platform.upstream.always(behaviour)
    made = await post(platform, "/auth/api-keys", {"name": "ci", "cache": WISH}, "cal")
    key = str(made.json()["id"])
    found = [await post(platform, path, body, "cal", key) for _ in range(2)]
    assert [answer.headers["x-jan-cache"] for answer in found] == ["miss", "hit"]
    fresh = await post(platform, path, {**body, "cache": False}, "cal", key)
    assert "x-jan-cache" not in fresh.headers
    assert len(platform.upstream.calls) == 2


async def test_routes_do_not_share_their_answers(platform: Platform) -> None:
    body = {"prompt": "all", "input": "all", "cache": WISH}
    platform.upstream.always(TextCompletion())
    assert (await post(platform, "/v1/completions", body)).headers["x-jan-cache"] == "miss"
    platform.upstream.always(EmbeddingsOf())
    assert (await post(platform, "/v1/embeddings", body)).headers["x-jan-cache"] == "miss"


async def test_broken_completions_are_not_kept(platform: Platform) -> None:
    body = {"prompt": "breaks", "cache": WISH}
    platform.upstream.next(Failure(400, "no"), TextCompletion())
    assert (await post(platform, "/v1/completions", body)).status_code == 400
    assert (await post(platform, "/v1/completions", body)).headers["x-jan-cache"] == "miss"
    platform.upstream.next(Stream(frames=3, drop_after=1))
    streamed = {**body, "stream": True}
    assert b"broke off" in (await post(platform, "/v1/completions", streamed)).content
    assert (await post(platform, "/v1/completions", streamed)).headers["x-jan-cache"] == "miss"


def test_old_answers_are_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr("jan_server.services.llm_api.response_cache.time.monotonic", lambda: clock[0])
    cache, wish = ResponseCache(10_000), CacheWish(60)
    key = cache.key(wish, 1, 1, b"request")
    cache.keep(key, b"answer")
    clock[0] = 60.0
    assert cache.find(key, wish) == b"answer"
    clock[0] = 60.5
    assert cache.find(key, wish) is None
    assert cache.find(key, CacheWish(100)) == b"answer"


def test_what_was_not_used_for_longest_goes_first() -> None:
    cache, wish = ResponseCache(1_000), CacheWish(60)
    for key in (b"a", b"b"):
        cache.keep(key, b"x" * 250)
    cache.find(b"a", wish)
    cache.keep(b"c", b"x" * 250)
    assert [cache.find(key, wish) is not None for key in (b"a", b"b", b"c")] == [True, False, True]
    cache.keep(b"huge", b"x" * 2_000)
    assert cache.find(b"huge", wish) is None
    assert cache.find(b"a", wish) is not None
