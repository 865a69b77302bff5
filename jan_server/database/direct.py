"""Connections of the driver itself, for the few statements that stand on a hot path.

One round trip through them costs a tenth of what SQLAlchemy's session costs, so they are for
statements that run with every chat; all others go through `Database.session`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any, LiteralString

import orjson
import psycopg
from psycopg.pq import TransactionStatus
from psycopg.types.json import set_json_loads

from jan_server.database.liveness import has_ended

CONNECT_SECONDS = 10
WAIT_SECONDS = 30.0
"""How long a statement waits for a connection."""

IDLE_SECONDS = 60.0
"""A connection that nobody used for so long is replaced: its server may have gone without a word."""

# Statements here find rows by their keys. A plan that is kept from when the tables were small must
# not read them whole later, and compiling it would take longer than running it.
_BY_KEY = "set enable_seqscan = off; set enable_hashjoin = off; set enable_mergejoin = off; set jit = off"

Connection = psycopg.AsyncConnection[tuple[Any, ...]]


class DirectConnections:
    """A few connections, each statement on them a transaction of its own.

    An idle connection is looked at before it is used, so a restart of PostgreSQL costs no
    statement more than those that were under way.

    Args:
        url: A libpq URL.
        size: The most connections; they are opened when needed.
        application_name: How the connections show up in `pg_stat_activity`.
    """

    def __init__(self, url: str, *, size: int, application_name: str) -> None:
        self._url = url
        self._application_name = application_name
        # The one used last is used next, so that those that are not needed grow old.
        self._idle: list[tuple[Connection, float]] = []
        self._places = asyncio.Semaphore(size)
        self._closed = False

    async def fetch_rows(
        self, statement: LiteralString, parameters: Mapping[str, Any]
    ) -> list[tuple[Any, ...]]:
        """Run one statement and commit it; returns its rows.

        Args:
            statement: SQL with psycopg's `%(name)s` places; its plan is kept by the server.
            parameters: What stands in the places.

        Raises:
            psycopg.OperationalError: The server is away, or no connection became free. A statement
                that was under way may have been committed.
            psycopg.Error: The server refused the statement.
        """
        if self._places.locked():
            await self._wait()
        else:
            await self._places.acquire()
        try:
            connection = self._take() or await self._connect()
            try:
                cursor = await connection.execute(statement, parameters, prepare=True)
                return await cursor.fetchall()
            finally:
                await self._give_back(connection)
        finally:
            self._places.release()

    async def close(self) -> None:
        """Close every connection; those in use are closed when they come back."""
        self._closed = True
        while self._idle:
            await self._idle.pop()[0].close()

    async def _wait(self) -> None:
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                await self._places.acquire()
        except TimeoutError as late:
            raise psycopg.OperationalError(
                f"no connection became free within {WAIT_SECONDS:.0f} seconds"
            ) from late

    def _take(self) -> Connection | None:
        while self._idle:
            connection, used_at = self._idle.pop()
            if time.monotonic() - used_at < IDLE_SECONDS and not has_ended(connection):
                return connection
            # Nothing is under way on it, so there is nobody to say good-bye to.
            connection.pgconn.finish()
        return None

    async def _connect(self) -> Connection:
        connection = await psycopg.AsyncConnection.connect(
            self._url,
            autocommit=True,
            application_name=self._application_name,
            connect_timeout=CONNECT_SECONDS,
        )
        set_json_loads(orjson.loads, connection)
        await connection.execute(_BY_KEY)
        return connection

    async def _give_back(self, connection: Connection) -> None:
        # One whose statement was broken off has not come to rest.
        at_rest = connection.info.transaction_status == TransactionStatus.IDLE
        if at_rest and not self._closed:
            self._idle.append((connection, time.monotonic()))
        else:
            await connection.close()
