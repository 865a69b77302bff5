"""Calls that wait together are made together, and none of them answers for another."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import psycopg
import pytest

from jan_server.database.batches import Batches


class Scripted:
    """Doubles numbers; refuses what holds a 13; each batch waits until it is let go."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.open = asyncio.Event()
        self.failure: Exception | None = None

    async def run(self, calls: Sequence[int]) -> list[int]:
        self.batches.append(list(calls))
        await self.open.wait()
        if self.failure is not None:
            raise self.failure
        if 13 in calls:
            raise psycopg.errors.ForeignKeyViolation("13")
        return [call * 2 for call in calls]


async def settled() -> None:
    """Let everything that can go on go on."""
    for _ in range(5):
        await asyncio.sleep(0)


async def started(batches: Batches[int, int], *calls: int) -> list[asyncio.Task[int]]:
    tasks = []
    for call in calls:
        tasks.append(asyncio.create_task(batches.call(call)))
        await settled()
    return tasks


async def test_what_comes_while_another_is_under_way_goes_together() -> None:
    scripted = Scripted()
    tasks = await started(Batches(scripted.run, most=3, at_once=1), 1, 2, 3, 4, 5)
    scripted.open.set()
    assert await asyncio.gather(*tasks) == [2, 4, 6, 8, 10]
    assert scripted.batches == [[1], [2, 3, 4], [5]]


async def test_a_caller_who_comes_back_at_once_is_served() -> None:
    scripted = Scripted()
    scripted.open.set()
    batches = Batches(scripted.run, at_once=1)
    async with asyncio.timeout(10):
        assert [await batches.call(number) for number in range(5)] == [0, 2, 4, 6, 8]


async def test_a_slow_batch_does_not_hold_up_all_others() -> None:
    scripted = Scripted()
    tasks = await started(Batches(scripted.run, at_once=2), 1, 2, 3)
    assert scripted.batches == [[1], [2]]
    scripted.open.set()
    assert await asyncio.gather(*tasks) == [2, 4, 6]


async def test_a_refused_call_fails_alone() -> None:
    scripted = Scripted()
    tasks = await started(Batches(scripted.run, at_once=1), 1, 12, 13, 14)
    scripted.open.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [results[0], results[1], results[3]] == [2, 24, 28]
    assert isinstance(results[2], psycopg.errors.ForeignKeyViolation)
    assert scripted.batches == [[1], [12, 13, 14], [12], [13], [14]]


async def test_nothing_is_done_twice_when_the_server_goes_away() -> None:
    scripted = Scripted()
    tasks = await started(Batches(scripted.run, at_once=1), 1, 2, 3)
    scripted.failure = psycopg.OperationalError("the connection is lost")
    scripted.open.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(result) for result in results] == [psycopg.OperationalError] * 3
    assert scripted.batches == [[1], [2, 3]]


async def test_calls_with_one_key_go_one_after_the_other() -> None:
    scripted = Scripted()
    batches = Batches(scripted.run, at_once=1, key=lambda call: call % 2)
    tasks = await started(batches, 0, 2, 4, 3)
    scripted.open.set()
    assert await asyncio.gather(*tasks) == [0, 4, 8, 6]
    assert scripted.batches == [[0], [2, 3], [4]]


async def test_a_caller_who_left_is_forgotten() -> None:
    scripted = Scripted()
    tasks = await started(Batches(scripted.run, at_once=1), 1, 2, 3)
    tasks[1].cancel()
    await settled()
    scripted.open.set()
    assert [await tasks[0], await tasks[2]] == [2, 6]
    assert scripted.batches == [[1], [3]]
    with pytest.raises(asyncio.CancelledError):
        await tasks[1]
