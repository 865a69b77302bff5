"""Work that a service does by itself, again and again, until it stops."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from sqlalchemy.exc import OperationalError

logger = logging.getLogger("jan.server.background")


@asynccontextmanager
async def repeating(
    name: str, seconds: float, action: Callable[[], Awaitable[object]]
) -> AsyncIterator[None]:
    """Run `action` every `seconds` while the context lasts; a failure is logged and not the end.

    Args:
        name: What the action does, for the log.
        seconds: Pause before each run.
        action: What is done.
    """

    async def repeat() -> None:
        while True:
            await asyncio.sleep(seconds)
            try:
                await action()
            except Exception as failure:
                logger.warning("%s failed, and is tried again: %s", name, failure)

    task = asyncio.create_task(repeat(), name=name)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@asynccontextmanager
async def once_reachable(
    name: str, seconds: float, action: Callable[[], Awaitable[object]]
) -> AsyncIterator[None]:
    """Run `action` now, or as soon as PostgreSQL can be reached; the context does not wait for that.

    Args:
        name: What the action does, for the log.
        seconds: Pause between two tries.
        action: What is done, once.
    """

    async def is_done() -> bool:
        try:
            await action()
        except OperationalError as failure:
            logger.warning("%s has to wait for PostgreSQL: %s", name, failure.orig)
            return False
        return True

    async def do_late() -> None:
        done = False
        while not done:
            await asyncio.sleep(seconds)
            try:
                done = await is_done()
            except Exception as failure:
                logger.warning("%s failed, and is tried again: %s", name, failure)

    task = None if await is_done() else asyncio.create_task(do_late(), name=name)
    try:
        yield
    finally:
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
