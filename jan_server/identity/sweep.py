"""The sweep: rows that have run out are removed now and then."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta

from sqlalchemy import delete
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import col

from jan_server.database.engine import Database
from jan_server.identity.tables import (
    AuthorizationCodeRow,
    LoginFailureRow,
    RevokedTokenRow,
    UserSessionRow,
    now,
)

logger = logging.getLogger("jan.identity.sweep")

PERIOD_SECONDS = 300.0
FAILURES_KEPT = timedelta(hours=24)


async def sweep(database: Database) -> int:
    """Remove what has run out; says how many rows went."""
    moment = now()
    expired = (
        delete(AuthorizationCodeRow).where(col(AuthorizationCodeRow.expires_at) < moment),
        delete(UserSessionRow).where(col(UserSessionRow.expires_at) < moment),
        delete(RevokedTokenRow).where(col(RevokedTokenRow.expires_at) < moment),
        delete(LoginFailureRow).where(col(LoginFailureRow.last_failure_at) < moment - FAILURES_KEPT),
    )
    gone = 0
    for statement in expired:
        async with database.session() as session:
            gone += (await session.exec(statement)).rowcount
    return gone


async def keep_sweeping(database: Database, period_seconds: float = PERIOD_SECONDS) -> None:
    """Sweep for ever; a database that is away for a while does not end it."""
    while True:
        await asyncio.sleep(period_seconds)
        try:
            gone = await sweep(database)
        except (SQLAlchemyError, OSError) as failure:
            logger.warning("expired rows could not be removed: %s", failure)
        else:
            logger.debug("%d expired rows were removed", gone)
