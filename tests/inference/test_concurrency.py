"""Places of a provider: who gets one, who waits, and who is refused."""

from __future__ import annotations

import asyncio

import pytest

from jan_server.inference.concurrency import Place, ProviderPlaces
from jan_server.inference.provider import ConcurrencyLimit, Provider
from jan_server.inference.upstream_errors import UpstreamError


def limited(running: int, queued: int = 10, seconds: float = 5.0) -> Provider:
    return Provider("prov_test", "Test", (), limit=ConcurrencyLimit(running, queued, seconds))


async def started(places: ProviderPlaces, provider: Provider) -> asyncio.Task[Place]:
    """A request that has begun to wait."""
    task = asyncio.create_task(places.enter(provider))
    for _ in range(3):
        await asyncio.sleep(0)
    return task


async def test_the_first_to_wait_is_the_first_to_get_a_place() -> None:
    places, provider = ProviderPlaces(), limited(2)
    held = [await places.enter(provider), await places.enter(provider)]
    waiting = [await started(places, provider) for _ in range(3)]
    held[0].leave()
    held[0].leave()
    first = await waiting[0]
    assert [task.done() for task in waiting] == [True, False, False]
    first.leave()
    held[1].leave()
    assert [isinstance(await task, Place) for task in waiting[1:]] == [True, True]


async def test_a_full_queue_refuses_and_a_long_wait_ends() -> None:
    places = ProviderPlaces()
    await places.enter(limited(1))
    late = await started(places, limited(1, queued=1, seconds=0.01))
    with pytest.raises(UpstreamError) as full:
        await places.enter(limited(1, queued=1))
    with pytest.raises(UpstreamError) as too_late:
        await late
    for refused in (full.value, too_late.value):
        assert (refused.status, refused.code, refused.kind) == (429, "provider_busy", "rate_limit")
        assert refused.headers["Retry-After"]


async def test_who_leaves_while_waiting_makes_room() -> None:
    places, provider = ProviderPlaces(), limited(1, queued=1)
    held = await places.enter(provider)
    leaving = await started(places, provider)
    leaving.cancel()
    await asyncio.gather(leaving, return_exceptions=True)
    next_one = await started(places, provider)
    held.leave()
    (await next_one).leave()
    assert isinstance(await places.enter(provider), Place)


async def test_a_place_that_comes_at_the_moment_of_leaving_is_passed_on() -> None:
    places, provider = ProviderPlaces(), limited(1)
    held = await places.enter(provider)
    leaving, next_one = await started(places, provider), await started(places, provider)
    held.leave()
    leaving.cancel()
    await asyncio.gather(leaving, return_exceptions=True)
    assert leaving.cancelled()
    assert isinstance(await next_one, Place)


async def test_a_raised_limit_lets_in_who_waits() -> None:
    places = ProviderPlaces()
    await places.enter(limited(1))
    waiting = await started(places, limited(1))
    raised = await places.enter(limited(3))
    assert isinstance(await waiting, Place)
    assert isinstance(raised, Place)
