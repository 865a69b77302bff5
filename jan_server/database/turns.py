"""Turns: those who change the same thing, in whichever process, wait for one another."""

from __future__ import annotations

from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from jan_server.database.statements import execute

_WAIT = text("select pg_advisory_xact_lock(hashtextextended(:key, 0))")


async def take_turn(session: AsyncSession, key: str) -> None:
    """Wait until nobody else holds the turn of `key`; it is held until the transaction ends."""
    await execute(session, _WAIT, {"key": key})
