"""Notices of PostgreSQL: how a process hears that what it keeps in memory has changed.

A trigger notifies every listening process of each change, whoever made it (`LISTEN`, `NOTIFY`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager

import psycopg

logger = logging.getLogger("jan.llm-api.notices")

FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0


@asynccontextmanager
async def hearing(
    name: str,
    url: str,
    channel: str,
    *,
    begin: Callable[[], Awaitable[object]],
    changed: Callable[[Collection[str]], Awaitable[object]],
) -> AsyncIterator[None]:
    """Call `changed` after each notice, while the context lasts; a lost connection is made anew.

    Args:
        name: What changes, for the log and for `pg_stat_activity`.
        url: The database.
        channel: Where the notices come.
        begin: Called whenever a connection listens: what changed before was not heard.
        changed: Called with the notices' texts; those that come right behind one another come together.
    """

    async def listen() -> None:
        pause = FIRST_PAUSE_SECONDS
        while True:
            try:
                async with await psycopg.AsyncConnection.connect(
                    url, autocommit=True, application_name=f"jan llm-api: {name}"
                ) as connection:
                    await connection.execute(f"listen {channel}")
                    await begin()
                    pause = FIRST_PAUSE_SECONDS
                    while True:
                        await changed(await _next_notices(connection))
            except Exception as failure:
                logger.warning("cannot hear of changed %s, trying again in %g s: %s", name, pause, failure)
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)

    task = asyncio.create_task(listen(), name=f"listen for changes of {name}")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _next_notices(connection: psycopg.AsyncConnection[object]) -> set[str]:
    texts = {notice.payload async for notice in connection.notifies(stop_after=1)}
    texts.update([notice.payload async for notice in connection.notifies(timeout=0)])
    return texts
