"""Lifespans: opened and closed in one task, and a failed start keeps its reason."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from fastapi import FastAPI

from jan_server.launch.lifespan import Lifespan, StartError


async def test_resources_are_opened_and_closed_in_one_task() -> None:
    tasks: list[asyncio.Task[None] | None] = []

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, int]]:
        tasks.append(asyncio.current_task())
        yield {"answer": 42}
        tasks.append(asyncio.current_task())

    running = Lifespan(FastAPI(lifespan=lifespan))
    await running.start()
    assert running.state == {"answer": 42}
    await running.stop()
    await running.stop()
    assert len(tasks) == 2
    assert tasks[0] is tasks[1]


async def test_a_failed_start_tells_why() -> None:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        raise ValueError("kong.yml line 3: no such plugin")
        yield

    running = Lifespan(FastAPI(lifespan=lifespan))
    with pytest.raises(StartError, match=r"ValueError: kong.yml line 3: no such plugin") as caught:
        await running.start()
    assert isinstance(caught.value.__cause__, ValueError)
    await running.stop()


async def test_an_app_that_ends_before_it_has_started_has_failed() -> None:
    async def app(scope, receive, send) -> None:
        await receive()

    with pytest.raises(StartError, match="it did not start"):
        await Lifespan(app).start()


async def test_a_failing_stop_is_survived() -> None:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        raise RuntimeError("could not flush")

    running = Lifespan(FastAPI(lifespan=lifespan))
    await running.start()
    await running.stop()
