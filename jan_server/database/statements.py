"""Plain statements on tables, in the transaction of a session.

SQLModel's own `session.exec` maps objects; where rows become records, or are changed in place,
there is nothing to map.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import CursorResult, Executable
from sqlmodel.ext.asyncio.session import AsyncSession


async def execute(
    session: AsyncSession,
    statement: Executable,
    parameters: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
) -> CursorResult[*tuple[Any, ...]]:
    """Run one statement on the session's connection; several parameter sets run it as often."""
    connection = await session.connection()
    return await connection.execute(statement, parameters)
