"""The connection to PostgreSQL: one pooled async engine a service, and a few connections beside it."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson
from sqlalchemy import Engine, event, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlmodel.ext.asyncio.session import AsyncSession

from jan_server.database.direct import DirectConnections
from jan_server.database.liveness import has_ended

DRIVER = "postgresql+psycopg"

ASK_AFTER_SECONDS = 30.0
"""A connection that nobody used for so long is asked before it is used again."""


def sqlalchemy_url(url: str) -> URL:
    """A libpq URL in SQLAlchemy's form, for psycopg 3.

    Raises:
        ValueError: The URL is not one of PostgreSQL's.
    """
    parsed = make_url(url)
    if parsed.get_backend_name() not in ("postgresql", "postgres"):
        raise ValueError(f"DATABASE_URL must start with postgresql://, not {parsed.drivername}://")
    return parsed.set(drivername=DRIVER)


class Database:
    """An async engine and its sessions.

    Connections are looked at before they are used, so a restart of PostgreSQL costs no request
    more than those that were under way.

    Args:
        url: A libpq URL.
        pool_size: Connections kept open.
        overflow: Further connections under load.
        direct_size: The most connections for `direct`.
        application_name: How the connections show up in `pg_stat_activity`.

    Attributes:
        url: As it was given.
        engine: The pool of the sessions.
        direct: For statements on hot paths, which a session would make ten times as dear.
    """

    def __init__(
        self,
        url: str,
        *,
        pool_size: int = 5,
        overflow: int = 10,
        direct_size: int = 8,
        application_name: str = "jan",
        recycle_seconds: int = 1800,
    ) -> None:
        self.url = url
        self.engine: AsyncEngine = create_async_engine(
            sqlalchemy_url(url),
            pool_size=pool_size,
            max_overflow=overflow,
            pool_recycle=recycle_seconds,
            json_serializer=_dumps,
            json_deserializer=orjson.loads,
            connect_args={"application_name": application_name},
        )
        _try_before_use(self.engine.sync_engine)
        self.direct = DirectConnections(url, size=direct_size, application_name=application_name)

    @asynccontextmanager
    async def session(self) -> AsyncIterator[AsyncSession]:
        """A session in one transaction: committed at the end, rolled back on an exception."""
        async with AsyncSession(self.engine, expire_on_commit=False) as session:
            try:
                yield session
                await session.commit()
            except BaseException:
                await session.rollback()
                raise

    async def ping(self) -> None:
        """Ask the server for a row; the driver's exception says what is wrong."""
        async with self.engine.connect() as connection:
            await connection.execute(text("select 1"))

    async def dispose(self) -> None:
        """Close every connection."""
        await self.direct.close()
        await self.engine.dispose()


def _try_before_use(engine: Engine) -> None:
    """Replace connections whose server went away, without a round trip for those in frequent use."""

    @event.listens_for(engine, "checkin")
    def note(_: Any, record: Any) -> None:
        record.info["used_at"] = time.monotonic()

    @event.listens_for(engine, "checkout")
    def look(connection: Any, record: Any, _: Any) -> None:
        # A connection without this note was opened a moment ago.
        used_at = record.info.pop("used_at", None)
        if used_at is None:
            return
        if has_ended(connection.driver_connection):
            raise DisconnectionError("the server ended the connection")
        if time.monotonic() - used_at > ASK_AFTER_SECONDS and not _answers(engine, connection):
            raise DisconnectionError("the server does not answer")


def _answers(engine: Engine, connection: Any) -> bool:
    try:
        return engine.dialect.do_ping(connection)
    except engine.dialect.loaded_dbapi.Error as failure:
        if engine.dialect.is_disconnect(failure, connection, None):
            return False
        raise


def _dumps(value: Any) -> str:
    return orjson.dumps(value).decode()
