"""Outcomes of tool calls: what whoever ran a tool writes into the call's item.

Source: contract/llm-api.md, section 12.5.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from sqlalchemy import func, update
from sqlmodel.ext.asyncio.session import AsyncSession

from jan_server.database.statements import execute
from jan_server.services.llm_api.conversations import Conversation, touch_conversation
from jan_server.services.llm_api.items import READABLE, Item, json_text
from jan_server.services.llm_api.refusals import Missing
from jan_server.services.llm_api.tables.branch import BRANCHES
from jan_server.services.llm_api.tables.item import ITEMS


async def complete_call(
    session: AsyncSession,
    conversation: Conversation,
    call_id: str,
    *,
    status: str,
    output: str | None = None,
    error: str | None = None,
    name: str | None = None,
    arguments: str | None = None,
    server_label: str | None = None,
) -> Item:
    """Write the outcome of a tool call into its `mcp_call` item.

    Where several branches hold the call, the active one goes first, then the newest item. The
    content becomes one block with the output, or the error where there is no output; members
    that are not given keep their values.

    Raises:
        Missing: The conversation has no `mcp_call` item with this call id, or was deleted in
            the meantime.
    """
    if "\0" in call_id:
        raise _missing()
    await touch_conversation(session, conversation)
    statement = (
        READABLE.add_columns(ITEMS.c.id)
        .where(
            # The index is over the hash, because call ids have any length.
            func.md5(ITEMS.c.call_id) == func.md5(call_id),
            ITEMS.c.call_id == call_id,
            ITEMS.c.type == "mcp_call",
        )
        .order_by((BRANCHES.c.name == conversation.active_branch).desc(), ITEMS.c.id.desc())
        .limit(1)
        .with_for_update(of=ITEMS)
    )
    row = (await execute(session, statement, {"conversation_id": conversation.id})).one_or_none()
    if row is None:
        raise _missing()
    given = {
        "output": output,
        "error": error,
        "name": name,
        "arguments": arguments,
        "server_label": server_label,
    }
    item = Item(*row[:-1])
    details = item.details | {key: value for key, value in given.items() if value is not None}
    block = {"type": "mcp_call", "tool_call_id": call_id, "mcp_call": output or error or ""}
    done = replace(
        item,
        status=status,
        completed_at=datetime.now(UTC),
        content_json=json_text([block]),
        details_json=json_text(details) if details else None,
    )
    await execute(
        session,
        update(ITEMS)
        .where(ITEMS.c.id == row[-1])
        .values(
            status=done.status,
            completed_at=done.completed_at,
            content=done.content_json,
            details=done.details_json,
        ),
    )
    return done


def _missing() -> Missing:
    return Missing("no mcp_call item has this call id", param="call_id")
