"""The sweep: rows that have run out are removed now and then."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta

from sqlalchemy import delete, select
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import col

from jan_server.database.engine import Database
from jan_server.identity.login_attempts import USER
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
MOST_FAILURES = 100_000
"""Names that nobody has, and addresses, that are remembered; the earliest failures go first."""


async def sweep(database: Database, most_failures: int = MOST_FAILURES) -> int:
    """Remove what has run out, and failed log-ins beyond `most_failures`; says how many rows went."""
    moment = now()
    too_many = (
        select(col(LoginFailureRow.last_failure_at))
        .where(col(LoginFailureRow.kind) != USER)
        .order_by(col(LoginFailureRow.last_failure_at).desc())
        .offset(most_failures)
        .limit(1)
    )
    expired = (
        delete(AuthorizationCodeRow).where(col(AuthorizationCodeRow.expires_at) < moment),
        delete(UserSessionRow).where(col(UserSessionRow.expires_at) < moment),
        delete(RevokedTokenRow).where(col(RevokedTokenRow.expires_at) < moment),
        delete(LoginFailureRow).where(col(LoginFailureRow.last_failure_at) < moment - FAILURES_KEPT),
        delete(LoginFailureRow).where(
            col(LoginFailureRow.kind) != USER,
            col(LoginFailureRow.last_failure_at) <= too_many.scalar_subquery(),
        ),
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
