"""Text completions through OpenAI's own client, against a scripted provider."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import openai
import psycopg
import pytest

from tests.doubles.openai_upstream import Drop, Failure, Gate, Hang, Json, Raw, Stream, TextCompletion
from tests.services.llm_api.conftest import eventually
from tests.services.llm_api.platform import Platform

MODEL = "unknown/scripted-model"


@pytest.mark.parametrize("path", ["/v1", "/llm/v1"])
async def test_a_whole_completion_is_relayed(platform: Platform, path: str) -> None:
    platform.upstream.next(TextCompletion("there was a fox"))
    async with platform.openai() as client:
        client.base_url = platform.url + path
        completion = await client.completions.create(
            model=MODEL, prompt="Once upon a time", max_tokens=9, stop="END", extra_body={"min_p": 0.1}
        )
    assert completion.choices[0].text == "there was a fox"
    assert completion.usage is not None
    assert completion.usage.total_tokens == 7
    assert platform.upstream.last.path == "/v1/completions"
    assert platform.upstream.last.json == {
        "model": "scripted-model",
        "prompt": "Once upon a time",
        "max_tokens": 9,
        "stop": "END",
        "min_p": 0.1,
    }


@pytest.mark.parametrize("with_usage", [True, False])
async def test_a_stream_has_usage_in_its_last_chunk_when_asked(platform: Platform, with_usage: bool) -> None:
    platform.upstream.next(TextCompletion("one two three"))
    options: Any = {"stream_options": {"include_usage": True}} if with_usage else {}
    async with platform.openai() as client:
        stream = await client.completions.create(model=MODEL, prompt="Count", stream=True, **options)
        chunks = [chunk async for chunk in stream]
    assert "".join(chunk.choices[0].text for chunk in chunks if chunk.choices) == "one two three"
    assert (chunks[-1].usage is not None) == with_usage


@pytest.mark.parametrize("prompt", ["a", ["a", "b"], [1, 2], [[1, 2], [3]]])
async def test_every_form_of_a_prompt_passes(platform: Platform, prompt: Any) -> None:
    platform.upstream.next(TextCompletion())
    async with platform.openai() as client:
        await client.completions.create(model=MODEL, prompt=prompt)
    assert platform.upstream.last.json["prompt"] == prompt


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"prompt": "a"}, "model"),
        ({"model": " ", "prompt": "a"}, "model"),
        ({"model": 1, "prompt": "a"}, "model"),
        ({"model": MODEL, "prompt": {}}, "prompt"),
        ({"model": MODEL, "prompt": ["a", 1]}, "prompt[1]"),
        ({"model": MODEL, "prompt": [[1], []]}, "prompt[1]"),
        ({"model": MODEL, "prompt": "a", "stream": "yes"}, "stream"),
        ({"model": MODEL, "prompt": "a", "max_tokens": 1.5}, "max_tokens"),
        ({"model": MODEL, "prompt": "a", "stop": [1]}, "stop"),
    ],
)
async def test_a_bad_body_names_its_field(platform: Platform, body: dict[str, Any], param: str) -> None:
    async with platform.client() as client:
        answer = await client.post("/v1/completions", json=body)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)
    assert not platform.upstream.calls


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("failure", "status", "code"),
    [
        (Failure(400, "too long", code="context_length_exceeded"), 400, "context_length_exceeded"),
        (Failure(401, "bad key"), 502, "upstream_unauthorized"),
        (Failure(429, "slow down"), 429, "rate_limit_exceeded"),
        (Failure(500, "broken"), 502, "upstream_error"),
        (Drop(), 502, "upstream_unreachable"),
        (Json({"error": {"message": "no such adapter", "code": 404}}), 404, "not_found"),
    ],
)
async def test_failures_are_errors_with_the_providers_words(
    platform: Platform, failure: Any, status: int, code: str, stream: bool
) -> None:
    platform.upstream.always(failure)
    async with platform.openai() as client:
        with pytest.raises(openai.APIStatusError) as caught:
            await client.completions.create(model=MODEL, prompt="a", stream=stream)
    assert (caught.value.status_code, caught.value.code) == (status, code)


async def test_an_answer_that_is_none_is_a_502(platform: Platform) -> None:
    platform.upstream.next(Raw(b"<html>It works!</html>", content_type="text/html"))
    async with platform.client() as client:
        answer = await client.post("/v1/completions", json={"model": MODEL, "prompt": "a"})
    assert answer.status_code == 502


async def test_an_unknown_model_is_not_found(platform: Platform) -> None:
    async with platform.openai() as client:
        with pytest.raises(openai.NotFoundError) as caught:
            await client.completions.create(model="nobody/knows", prompt="a")
    assert (caught.value.code, caught.value.param) == ("model_not_found", "model")


async def test_a_stream_that_breaks_raises_in_the_client(platform: Platform) -> None:
    platform.upstream.next(Stream(frames=5, drop_after=2))
    async with platform.openai() as client:
        with pytest.raises(openai.APIError, match="broke off"):
            async for _ in await client.completions.create(model=MODEL, prompt="a", stream=True):
                pass


@pytest.mark.parametrize("stream", [True, False])
async def test_a_caller_who_leaves_ends_the_call(platform: Platform, stream: bool) -> None:
    platform.upstream.always(Stream(frames=1, gate=Gate()) if stream else Hang())
    async with platform.client() as client:
        with pytest.raises(httpx.ReadTimeout):
            body = {"model": MODEL, "prompt": "a", "stream": stream}
            await client.post("/v1/completions", json=body, timeout=0.3)
    await platform.upstream.wait_until(lambda: platform.upstream.live == 0)
    assert platform.upstream.cancelled == 1
    assert platform.serving.upstream.open_calls == 0


async def test_a_credential_is_needed(platform: Platform) -> None:
    async with httpx.AsyncClient(base_url=platform.url) as client:
        for path in ("/v1/completions", "/v1/embeddings", "/v1/moderations", "/v1/rerank"):
            for prefix in ("", "/llm"):
                assert (await client.post(prefix + path, json={})).status_code == 401


async def test_every_call_is_taken_down(platform: Platform, database_url: str) -> None:
    platform.upstream.next(TextCompletion(), TextCompletion(), Failure(500))
    async with platform.openai("counted") as client:
        await client.completions.create(model=MODEL, prompt="a")
        async for _ in await client.completions.create(model=MODEL, prompt="a", stream=True):
            pass
        with pytest.raises(openai.InternalServerError):
            await client.completions.create(model=MODEL, prompt="a")

    def rows() -> list[Any]:
        with psycopg.connect(database_url) as connection:
            return connection.execute(
                "select status, stream, prompt_tokens, completion_tokens from llm_api.token_usage t "
                "join llm_api.users u on u.id = t.user_id where u.username = 'counted' order by t.id"
            ).fetchall()

    async def written() -> bool:
        return len(await asyncio.to_thread(rows)) == 3

    await eventually(written)
    assert rows() == [(200, False, 3, 4), (200, True, 3, 4), (502, False, 0, 0)]
