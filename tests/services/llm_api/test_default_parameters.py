"""What a provider's model gets where a request says nothing, as administrators set it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.doubles.openai_upstream import TextCompletion
from tests.services.llm_api.platform import Platform

MODEL = "unknown/scripted-model"
HELLO: Any = [{"role": "user", "content": "Hello"}]
MODELS = "/v1/admin/models/provider-models"


@pytest.fixture
async def admin(platform: Platform) -> AsyncIterator[httpx.AsyncClient]:
    async with platform.client("root", admin=True) as client:
        yield client


@pytest.fixture
async def path(admin: httpx.AsyncClient) -> str:
    """Where the scripted model is administered."""
    [row] = [
        row
        for row in (await admin.get(MODELS)).json()["data"]
        if row["model_public_id"] == MODEL and row["active"]
    ]
    return f"{MODELS}/{row['id']}"


async def test_they_go_to_the_provider_unless_the_request_says_otherwise(
    platform: Platform, admin: httpx.AsyncClient, path: str
) -> None:
    wanted = {"temperature": 0.3, "max_tokens": 77, "top_k": None}
    changed = await admin.patch(path, json={"default_parameters": wanted})
    assert changed.status_code == 200, changed.text
    assert changed.json()["default_parameters"] == {"temperature": 0.3, "max_tokens": 77}
    async with platform.client() as client:
        body = {"model": MODEL, "messages": HELLO, "temperature": 1.5}
        assert (await client.post("/v1/chat/completions", json=body)).status_code == 200
        asked = platform.upstream.last.json
        assert (asked["temperature"], asked["max_tokens"]) == (1.5, 77)
        platform.upstream.next(TextCompletion("there was a fox"))
        assert (await client.post("/v1/completions", json={"model": MODEL, "prompt": "x"})).status_code == 200
        asked = platform.upstream.last.json
        assert (asked["temperature"], asked["max_tokens"]) == (0.3, 77)
    assert "default_parameters" not in (await admin.patch(path, json={"default_parameters": None})).json()


@pytest.mark.parametrize(
    ("parameters", "param"),
    [
        ({"temperature": "hot"}, "default_parameters.temperature"),
        ({"top_p": 1.5}, "default_parameters.top_p"),
        ({"max_tokens": 0}, "default_parameters.max_tokens"),
        ({"mood": 1}, "default_parameters.mood"),
    ],
)
async def test_wrong_ones_are_named(
    admin: httpx.AsyncClient, path: str, parameters: dict[str, Any], param: str
) -> None:
    refused = await admin.patch(path, json={"default_parameters": parameters})
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, param)
