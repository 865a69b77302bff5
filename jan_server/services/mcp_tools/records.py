"""What was called: rows that are written together, off the way of the calls."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import orjson
from sqlalchemy import delete, func, insert

from jan_server.database.engine import Database
from jan_server.services.mcp_tools.tables.tool_call import TOOL_CALLS

WRITE_SECONDS = 1.0
LONGEST_TEXT = 2000
MOST_WAITING = 10_000

logger = logging.getLogger("jan.mcp-tools.records")


@dataclass(frozen=True, slots=True)
class CallRecord:
    """One call; see `tables.tool_call`."""

    user_id: str
    tool_name: str
    provider: str
    arguments: Mapping[str, Any]
    status: str
    error: str
    result_size: int
    duration_ms: float
    tool_call_id: str
    conversation_id: str
    request_id: str


class CallRecords:
    """Collects calls and writes them.

    Args:
        database: Where they are kept.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: list[dict[str, Any]] = []
        self._writing = asyncio.Lock()

    def add(self, record: CallRecord) -> None:
        """Keep a call; while PostgreSQL is away for long, the oldest are given up."""
        row = asdict(record)
        row["arguments"] = shortened(row["arguments"])
        for name, value in row.items():
            if isinstance(value, str):
                longest = LONGEST_TEXT if name == "error" else 255
                row[name] = value.replace("\0", "")[:longest]
        row["provider"] = row["provider"][:64]
        self._waiting.append(row)
        if len(self._waiting) > MOST_WAITING:
            del self._waiting[0]

    async def write(self) -> None:
        """Write what waits."""
        async with self._writing:
            rows, self._waiting = self._waiting, []
            if not rows:
                return
            try:
                async with self._database.session() as session:
                    await session.execute(insert(TOOL_CALLS), rows)
            except BaseException:
                self._waiting = rows + self._waiting
                raise

    async def remove_older(self, days: int) -> int:
        """Remove the calls that are older than so many days; 0 keeps all."""
        if not days:
            return 0
        old = TOOL_CALLS.c.created_at < func.now() - func.make_interval(0, 0, 0, days)
        async with self._database.session() as session:
            return (await session.execute(delete(TOOL_CALLS).where(old))).rowcount or 0  # type: ignore[attr-defined]


def shortened(value: Any) -> Any:
    """Arguments as they are kept: long texts are cut, and what is too large altogether is left out."""
    short = _short(value)
    return short if len(orjson.dumps(short)) <= 4 * LONGEST_TEXT else {"_": "too large to be kept"}


def _short(value: Any) -> Any:
    if isinstance(value, str):
        text = value.replace("\0", "")
        return text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT]}…"
    if isinstance(value, Mapping):
        return {str(name): _short(each) for name, each in value.items()}
    return [_short(each) for each in value] if isinstance(value, list | tuple) else value
