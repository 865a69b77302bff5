"""Statements of a test beside a service that runs on the same loop."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import psycopg


async def run_sql(url: str, statement: str, parameters: Sequence[Any] = ()) -> int:
    """Run one statement in a transaction of its own and say how many rows it touched.

    It runs in a thread: a statement may wait for a row that a task of this very loop has locked.
    """

    def run() -> int:
        with psycopg.connect(url) as connection:
            return connection.execute(statement, parameters).rowcount

    return await asyncio.to_thread(run)
