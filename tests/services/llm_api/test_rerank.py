"""Reranking in the shape of Jina and Cohere, against a scripted provider."""

from __future__ import annotations

import asyncio
from typing import Any

import psycopg
import pytest

from tests.doubles.openai_upstream import Failure, Json
from tests.services.llm_api.conftest import eventually
from tests.services.llm_api.platform import Platform

MODEL = "unknown/scripted-model"
REQUEST: dict[str, Any] = {
    "model": MODEL,
    "query": "What do foxes eat?",
    "documents": ["The train leaves at nine.", {"text": "Foxes eat mice."}],
    "top_n": 1,
    "return_documents": False,
}
ANSWER = {"model": "scripted-model", "results": [{"index": 1, "relevance_score": 0.98}]}


@pytest.mark.parametrize("path", ["/v1/rerank", "/llm/v1/rerank"])
async def test_documents_are_ranked(platform: Platform, path: str) -> None:
    platform.upstream.next(Json(ANSWER))
    async with platform.client() as client:
        answer = await client.post(path, json=REQUEST)
    assert (answer.status_code, answer.json()) == (200, ANSWER)
    assert platform.upstream.last.path == "/v1/rerank"
    assert platform.upstream.last.json == {**REQUEST, "model": "scripted-model"}


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"model": None}, "model"),
        ({"query": ""}, "query"),
        ({"query": 1}, "query"),
        ({"documents": []}, "documents"),
        ({"documents": "a"}, "documents"),
        ({"documents": ["a", 1]}, "documents[1]"),
        ({"top_n": 0}, "top_n"),
        ({"return_documents": "no"}, "return_documents"),
    ],
)
async def test_a_bad_body_names_its_field(platform: Platform, changes: dict[str, Any], param: str) -> None:
    async with platform.client() as client:
        answer = await client.post("/v1/rerank", json=REQUEST | changes)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


async def test_failures_are_errors(platform: Platform) -> None:
    platform.upstream.next(Failure(404, "no such route"), Json({"detail": "odd"}))
    async with platform.client() as client:
        missing = await client.post("/v1/rerank", json=REQUEST)
        assert (missing.status_code, missing.json()["message"]) == (404, "no such route")
        assert (await client.post("/v1/rerank", json=REQUEST)).status_code == 502
        unknown = await client.post("/v1/rerank", json=REQUEST | {"model": "nobody/knows"})
        assert (unknown.status_code, unknown.json()["code"]) == (404, "model_not_found")


async def test_tokens_are_estimated_where_the_provider_tells_none(
    platform: Platform, database_url: str
) -> None:
    platform.upstream.next(Json(ANSWER))
    async with platform.client("ranking") as client:
        await client.post("/v1/rerank", json=REQUEST)

    def rows() -> list[Any]:
        with psycopg.connect(database_url) as connection:
            return connection.execute(
                "select status, prompt_tokens > 0, estimated from llm_api.token_usage t "
                "join llm_api.users u on u.id = t.user_id where u.username = 'ranking'"
            ).fetchall()

    async def written() -> bool:
        return bool(await asyncio.to_thread(rows))

    await eventually(written)
    assert rows() == [(200, True, True)]
