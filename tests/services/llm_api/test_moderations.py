"""Moderations through OpenAI's own client, against a scripted provider."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest

from tests.doubles.openai_upstream import Failure, Json, OpenAIUpstream
from tests.services.llm_api.conftest import UPSTREAM_KEY
from tests.services.llm_api.platform import Platform

MODEL = "unknown/strict-moderation"
ANSWER = {
    "id": "modr-1",
    "model": "strict-moderation",
    "results": [{"flagged": True, "categories": {"violence": True}, "category_scores": {"violence": 0.9}}],
}


@pytest.fixture(scope="module")
async def upstream() -> AsyncIterator[OpenAIUpstream]:
    models = ["strict-moderation", "omni-moderation-latest"]
    async with OpenAIUpstream(models=models, api_key=UPSTREAM_KEY) as running:
        yield running


@pytest.mark.parametrize("path", ["/v1", "/llm/v1"])
async def test_a_model_judges(platform: Platform, path: str) -> None:
    platform.upstream.next(Json(ANSWER))
    async with platform.openai() as client:
        client.base_url = platform.url + path
        moderation = await client.moderations.create(model=MODEL, input=["a", "b"])
    assert moderation.results[0].flagged
    assert platform.upstream.last.path == "/v1/moderations"
    assert platform.upstream.last.json == {"model": "strict-moderation", "input": ["a", "b"]}


async def test_openais_own_model_answers_where_none_is_named(platform: Platform) -> None:
    platform.upstream.next(Json(ANSWER))
    image: Any = [{"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}]
    async with platform.openai() as client:
        await client.moderations.create(input=image)
    assert platform.upstream.last.json == {"model": "omni-moderation-latest", "input": image}


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "input"),
        ({"input": []}, "input"),
        ({"input": 1}, "input"),
        ({"input": ["a", 1]}, "input[0]"),
        ({"input": [{}, 1]}, "input[1]"),
        ({"input": "a", "model": 1}, "model"),
    ],
)
async def test_a_bad_body_names_its_field(platform: Platform, body: dict[str, Any], param: str) -> None:
    async with platform.client() as client:
        answer = await client.post("/v1/moderations", json=body)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


async def test_failures_are_errors(platform: Platform) -> None:
    platform.upstream.next(Failure(429, "slow down"), Json({"hello": 1}))
    async with platform.openai() as client:
        with pytest.raises(openai.RateLimitError):
            await client.moderations.create(model=MODEL, input="a")
        with pytest.raises(openai.InternalServerError):
            await client.moderations.create(model=MODEL, input="a")
        with pytest.raises(openai.NotFoundError):
            await client.moderations.create(model="nobody/knows", input="a")
