"""The connection to PostgreSQL: one pooled async engine a service."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson
from sqlalchemy import text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlmodel.ext.asyncio.session import AsyncSession

DRIVER = "postgresql+psycopg"


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

    Connections are tried before they are used, so a restart of PostgreSQL costs no request
    more than those that were under way.

    Args:
        url: A libpq URL.
        pool_size: Connections kept open.
        overflow: Further connections under load.
        application_name: How the connections show up in `pg_stat_activity`.
    """

    def __init__(
        self,
        url: str,
        *,
        pool_size: int = 5,
        overflow: int = 10,
        application_name: str = "jan",
        recycle_seconds: int = 1800,
    ) -> None:
        self.url = url
        self.engine: AsyncEngine = create_async_engine(
            sqlalchemy_url(url),
            pool_size=pool_size,
            max_overflow=overflow,
            pool_pre_ping=True,
            pool_recycle=recycle_seconds,
            json_serializer=_dumps,
            json_deserializer=orjson.loads,
            connect_args={"application_name": application_name},
        )

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
        await self.engine.dispose()


def _dumps(value: Any) -> str:
    return orjson.dumps(value).decode()
