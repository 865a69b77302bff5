"""Conversations as stored chats read and write them: several chats with one statement, when several come.

Source of the rules: contract/llm-api.md, section 7.8.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import orjson

from jan_server.database.batches import Batches
from jan_server.database.engine import Database
from jan_server.services.llm_api import exchange_statements
from jan_server.services.llm_api.conversations import Conversation
from jan_server.services.llm_api.item_content import Block, blocks_text
from jan_server.services.llm_api.items import NewItem, stored_item

NEWEST_ITEMS = 1000
"""How far back an exchange looks; more would not fit any model's context."""


class StoredItem(NamedTuple):
    """What a chat has to know of a stored item; see `items.Item` for the whole of it.

    Attributes:
        content: The content blocks.
        details: The further members.
    """

    type: str
    role: str | None
    call_id: str | None
    content: list[Block]
    details: dict[str, Any]

    @property
    def text(self) -> str:
        """The text of all its blocks, joined by line breaks."""
        return blocks_text(self.content)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A conversation that is to be read, and of which branch; None for the active one."""

    conv_id: str
    user_id: int
    branch: str | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """A conversation that was read.

    Attributes:
        has_branch: Whether it has the branch that was asked for.
        instruction: The instruction of its project; None without one.
        items: The newest items of the branch, the oldest first.
    """

    conversation: Conversation
    has_branch: bool
    instruction: str | None
    items: list[StoredItem]


@dataclass(frozen=True, slots=True)
class Beginning:
    """A conversation that is to be made, with its first items."""

    conv_id: str
    user_id: int
    title: str | None
    referrer: str | None
    items: Sequence[NewItem] = field(default_factory=tuple)


@dataclass(frozen=True, slots=True)
class Continuation:
    """Items that are to be appended, and the title that the conversation gets; None leaves it."""

    conversation: Conversation
    branch: str | None
    title: str | None
    items: Sequence[NewItem]


class ExchangeStore:
    """Reads and writes the conversations of chats."""

    def __init__(self, database: Database) -> None:
        self._direct = database.direct
        self._reads = Batches(self._read)
        self._beginnings = Batches(self._begin)
        self._continuations = Batches(self._append, key=lambda call: call.conversation.id)

    async def read(self, wanted: Wanted) -> Found | None:
        """What is stored of a conversation; None when its owner has no such conversation."""
        return await self._reads.call(wanted)

    async def begin(self, beginning: Beginning) -> None:
        """Make a conversation; it is committed when this returns."""
        await self._beginnings.call(beginning)

    async def append(self, continuation: Continuation) -> bool:
        """Append to a conversation; says whether it and its branch were still there."""
        if await self._continuations.call(continuation):
            return True
        # Somebody else was changing it, or it is gone. A branch that was renamed while this
        # waits for its turn is found at the second look.
        for _ in range(2):
            rows = await self._write(exchange_statements.APPEND_IN_TURN, [continuation])
            if rows:
                return True
        return False

    async def _read(self, calls: Sequence[Wanted]) -> list[Found | None]:
        given = [
            {"place": place, "conv_id": call.conv_id, "user_id": call.user_id, "branch": call.branch}
            for place, call in enumerate(calls)
        ]
        found: list[Found | None] = [None] * len(calls)
        parameters = {"given": _json(given), "newest": NEWEST_ITEMS}
        for row in await self._direct.fetch_rows(exchange_statements.READ, parameters):
            place, has_branch, instruction, items, *columns = row
            stored = [StoredItem._make(item) for item in items or ()]
            found[place] = Found(Conversation(*columns), has_branch, instruction or None, stored)
        return found

    async def _begin(self, calls: Sequence[Beginning]) -> list[None]:
        given = [
            {
                "conv_id": call.conv_id,
                "user_id": call.user_id,
                "title": call.title,
                "referrer": call.referrer,
                "count": len(call.items),
            }
            for call in calls
        ]
        items = [row for call in calls for row in _rows(call.conv_id, call.items)]
        parameters = {"given": _json(given), "items": _json(items)}
        await self._direct.fetch_rows(exchange_statements.BEGIN, parameters)
        return [None] * len(calls)

    async def _append(self, calls: Sequence[Continuation]) -> list[bool]:
        written = {row[0] for row in await self._write(exchange_statements.APPEND, calls)}
        return [call.conversation.public_id in written for call in calls]

    async def _write(self, statement: str, calls: Sequence[Continuation]) -> list[tuple[Any, ...]]:
        given = [
            {
                "conv_id": call.conversation.public_id,
                "conversation": call.conversation.id,
                "branch": call.branch,
                "title": call.title,
                "count": len(call.items),
            }
            for call in calls
        ]
        items = [row for call in calls for row in _rows(call.conversation.public_id, call.items)]
        return await self._direct.fetch_rows(statement, {"given": _json(given), "items": _json(items)})


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()


def _rows(conv_id: str, items: Sequence[NewItem]) -> list[dict[str, Any]]:
    """Items as the statements take them, numbered from 1."""
    return [_row(conv_id, item, number) for number, item in enumerate(items, start=1)]


def _row(conv_id: str, item: NewItem, number: int) -> dict[str, Any]:
    stored = stored_item(item, "", number)
    return {
        "conv_id": conv_id,
        "public_id": stored.public_id,
        "sequence_number": stored.sequence_number,
        "type": stored.type,
        "role": stored.role,
        "status": stored.status,
        "call_id": stored.call_id,
        # JSON within JSON: it goes through as it is.
        "content_json": stored.content_json and orjson.Fragment(stored.content_json),
        "details_json": stored.details_json and orjson.Fragment(stored.details_json),
        "created_at": stored.created_at,
        "completed_at": stored.completed_at,
        "incomplete_at": stored.incomplete_at,
    }
