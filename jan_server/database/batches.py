"""Calls that come while others are under way, made together: group commit, and group reading.

Under load one statement does the work of many callers; a lone caller waits for nobody.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Hashable, Sequence
from typing import Generic, TypeVar

from jan_server.database.outages import is_outage

logger = logging.getLogger("jan.database.batches")

Call = TypeVar("Call")
Result = TypeVar("Result")


class Batches(Generic[Call, Result]):
    """Runs calls, several at a time where several are waiting.

    When the statement of a batch is refused, its calls are made one by one, so that none fails
    for another's sake. When the server is away all of them fail: what was under way may have
    been committed, and must not be done twice.

    Args:
        run: Makes some calls together; returns their results in their order.
        most: How many calls one batch has at the most.
        at_once: How many batches are under way at the same time, so that a slow one does not
            hold up all others.
        key: Calls with the same key are never in one batch.
    """

    def __init__(
        self,
        run: Callable[[Sequence[Call]], Awaitable[Sequence[Result]]],
        *,
        most: int = 32,
        at_once: int = 2,
        key: Callable[[Call], Hashable] = id,
    ) -> None:
        self._run = run
        self._most = most
        self._at_once = at_once
        self._key = key
        self._waiting: list[tuple[Call, asyncio.Future[Result]]] = []
        self._working = 0
        self._runners: set[asyncio.Task[None]] = set()

    async def call(self, call: Call) -> Result:
        """Make one call, alone or with others; raises what it fails with."""
        answer: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((call, answer))
        if self._working < self._at_once:
            self._working += 1
            runner = asyncio.create_task(self._work(), name="run batches of statements")
            self._runners.add(runner)
            runner.add_done_callback(self._runners.discard)
        return await answer

    async def _work(self) -> None:
        try:
            while batch := self._next():
                await self._make(batch)
        finally:
            # Counted down at once, not when the loop gets to know that the task is done: a call that
            # comes in between would wait for a runner that has gone.
            self._working -= 1

    async def _make(self, batch: Sequence[tuple[Call, asyncio.Future[Result]]]) -> None:
        answers = [answer for _, answer in batch]
        try:
            results = await self._run([call for call, _ in batch])
        except Exception as failure:
            if len(batch) == 1 or is_outage(failure):
                _fail(answers, failure)
            else:
                logger.info("a batch of %d calls was refused: %s", len(batch), failure)
                await self._run_alone(batch)
            return
        for answer, result in zip(answers, results, strict=True):
            if not answer.done():
                answer.set_result(result)

    def _next(self) -> list[tuple[Call, asyncio.Future[Result]]]:
        batch: list[tuple[Call, asyncio.Future[Result]]] = []
        later: list[tuple[Call, asyncio.Future[Result]]] = []
        keys: set[Hashable] = set()
        for call, answer in self._waiting:
            # A caller who left before its turn wants nothing any more.
            if answer.done():
                continue
            key = self._key(call)
            if len(batch) < self._most and key not in keys:
                keys.add(key)
                batch.append((call, answer))
            else:
                later.append((call, answer))
        self._waiting = later
        return batch

    async def _run_alone(self, batch: Sequence[tuple[Call, asyncio.Future[Result]]]) -> None:
        for call, answer in batch:
            try:
                [result] = await self._run([call])
            except Exception as failure:
                _fail([answer], failure)
            else:
                if not answer.done():
                    answer.set_result(result)


def _fail(answers: Sequence[asyncio.Future[Result]], failure: Exception) -> None:
    for answer in answers:
        if not answer.done():
            answer.set_exception(failure)
