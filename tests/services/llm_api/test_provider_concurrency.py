"""How many requests a provider gets at a time, and what becomes of the others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import httpx
import pytest

from tests.doubles.openai_upstream import Answer, Gate, Hang, Stream
from tests.services.llm_api.platform import Platform
from tests.services.llm_api.routed_models import PROVIDERS, RoutedModels, model_at, routed_models

CHAT = "/v1/chat/completions"
NORTH = model_at("north")


@pytest.fixture(scope="module")
async def all_models(serving_platform: Platform) -> AsyncIterator[RoutedModels]:
    async with routed_models(serving_platform, ("north", "south")) as models:
        yield models


@pytest.fixture
async def models(all_models: RoutedModels) -> AsyncIterator[RoutedModels]:
    all_models.reset()
    yield all_models
    await all_models.limit(
        "north", max_concurrent_requests=None, max_queued_requests=100, queue_timeout_seconds=30
    )


def chat(text: str = "Hello", model: str = NORTH, **members: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": text}], **members}


def waiting(models: RoutedModels) -> int:
    """How many requests stand in the queue of north."""
    room = models.platform.serving.upstream._places._rooms.get(models.providers["north"])
    return 0 if room is None else len(room.waiting)


def in_line(models: RoutedModels, number: int) -> bool:
    return waiting(models) == number


async def test_requests_wait_in_line_and_streams_hold_their_place(models: RoutedModels) -> None:
    await models.limit("north", max_concurrent_requests=1)
    north, gate = models.upstreams["north"], Gate()
    north.next(Stream(frames=2, gate=gate))
    async with models.platform.client() as client:
        first = asyncio.create_task(client.post(CHAT, json=chat("0", stream=True)))
        await north.wait_until(lambda: north.live == 1)
        others = []
        for number in range(1, 4):
            others.append(asyncio.create_task(client.post(CHAT, json=chat(str(number)))))
            await north.wait_until(partial(in_line, models, number))
        gate.release(1)
        assert len(north.calls) == 1
        gate.release(1)
        answers = [await first, *[await one for one in others]]
    assert [answer.status_code for answer in answers] == [200] * 4
    assert [call.json["messages"][0]["content"] for call in north.calls] == ["0", "1", "2", "3"]
    assert north.peak == 1


async def test_the_queue_is_bounded_and_waits_only_so_long(models: RoutedModels) -> None:
    await models.limit("north", max_concurrent_requests=1, max_queued_requests=1, queue_timeout_seconds=0.2)
    north = models.upstreams["north"]
    north.next(Hang())
    async with models.platform.client() as client:
        held = asyncio.create_task(client.post(CHAT, json=chat()))
        await north.wait_until(lambda: north.live == 1)
        queued = asyncio.create_task(client.post(CHAT, json=chat()))
        await north.wait_until(lambda: waiting(models) == 1)
        full = await client.post(CHAT, json=chat(stream=True))
        late = await queued
        for answer, why in ((full, "1 are waiting already"), (late, "no place was free within 0.2 s")):
            assert (answer.status_code, answer.json()["code"]) == (429, "provider_busy")
            assert why in answer.json()["message"]
            assert answer.headers["Retry-After"] == "1"
        held.cancel()
        await asyncio.gather(held, return_exceptions=True)
        await north.wait_until(lambda: north.live == 0)
        assert (await client.post(CHAT, json=chat())).status_code == 200


async def test_who_leaves_the_queue_frees_its_place(models: RoutedModels) -> None:
    await models.limit("north", max_concurrent_requests=1, max_queued_requests=1)
    north = models.upstreams["north"]
    gate = Gate()
    north.next(Stream(frames=1, gate=gate))
    async with models.platform.client() as client, models.platform.client() as leaving:
        first = asyncio.create_task(client.post(CHAT, json=chat("first", stream=True)))
        await north.wait_until(lambda: north.live == 1)
        left = asyncio.create_task(leaving.post(CHAT, json=chat("left")))
        await north.wait_until(lambda: waiting(models) == 1)
        left.cancel()
        await asyncio.gather(left, return_exceptions=True)
        await leaving.aclose()
        await north.wait_until(lambda: waiting(models) == 0)
        third = asyncio.create_task(client.post(CHAT, json=chat("third")))
        await north.wait_until(lambda: waiting(models) == 1)
        gate.release(1)
        assert (await first).status_code == (await third).status_code == 200
    assert [call.json["messages"][0]["content"] for call in north.calls] == ["first", "third"]


async def test_a_busy_provider_is_a_reason_to_fall_back(models: RoutedModels) -> None:
    await models.limit("north", max_concurrent_requests=1, max_queued_requests=0)
    models.upstreams["south"].always(Answer("from the south"))
    name = await models.route("north", "south", fallback_on=["rate_limit"])
    north = models.upstreams["north"]
    north.next(Hang())
    async with models.platform.client() as client, models.platform.client() as holding:
        held = asyncio.create_task(holding.post(CHAT, json=chat(model=name)))
        await north.wait_until(lambda: north.live == 1)
        answer = await client.post(CHAT, json=chat(model=name))
        assert (answer.status_code, answer.headers["X-Jan-Model"]) == (200, model_at("south"))
        held.cancel()
        await asyncio.gather(held, return_exceptions=True)
    assert len(north.calls) == 1


async def test_administrators_set_the_limits(models: RoutedModels) -> None:
    path = f"{PROVIDERS}/{models.providers['north']}"
    limits = {"max_concurrent_requests": 3, "max_queued_requests": 5, "queue_timeout_seconds": 2.5}
    await models.limit("north", **limits)
    shown = (await models.admin.get(path)).json()
    assert {name: shown[name] for name in limits} == limits
    await models.limit("north", max_concurrent_requests=None)
    shown = (await models.admin.get(path)).json()
    assert {name: shown[name] for name in limits} == {**limits, "max_concurrent_requests": None}
    for name, value in (
        ("max_concurrent_requests", 0),
        ("max_queued_requests", -1),
        ("queue_timeout_seconds", 0),
        ("queue_timeout_seconds", "long"),
    ):
        refused = await models.admin.patch(path, json={name: value})
        assert (refused.status_code, refused.json()["error"]["param"]) == (400, name)
    body = {"name": "Limited", "vendor": "acme", "base_url": models.upstreams["north"].url, **limits}
    made: httpx.Response = await models.admin.post(PROVIDERS, json=body)
    assert {name: made.json()[name] for name in limits} == limits
    await models.admin.delete(f"{PROVIDERS}/{made.json()['id']}")
