"""Work that a service does by itself, again and again, until it stops."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

logger = logging.getLogger("jan.llm-api.background")


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
