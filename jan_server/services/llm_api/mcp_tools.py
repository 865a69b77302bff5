"""MCP tools: what administrators say about the tools that the MCP service offers.

The MCP service reads them by `tool_key`: their descriptions, whether they are switched on, and the
regular expressions by which search results are dropped. Tools come with the program; none can be
added or removed here.
Source: contract/llm-api.md, section 20, and contract/mcp-tools.md, section 7.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import ColumnElement, Executable, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlmodel.ext.asyncio.session import AsyncSession

from jan_server.database.statements import execute
from jan_server.services.llm_api.refusals import Invalid, Missing
from jan_server.services.llm_api.tables import can_be_compared
from jan_server.services.llm_api.tables.mcp_tool import MCP_TOOLS


@dataclass(frozen=True, slots=True)
class McpTool:
    """What is said about a tool.

    Attributes:
        id: The key of its row.
        public_id: What the routes of administrators take.
        tool_key: The name under which the MCP service offers it.
        is_active: Whether it is offered.
        disallowed_keywords: Regular expressions; a search result that one of them matches is dropped.
    """

    id: UUID
    public_id: str
    tool_key: str
    name: str
    description: str
    category: str
    is_active: bool
    metadata: dict[str, Any]
    disallowed_keywords: list[str]
    created_at: datetime
    updated_at: datetime


_COLUMNS = tuple(MCP_TOOLS.c[member.name] for member in fields(McpTool))

_SEEDS: tuple[tuple[str, str, str, str, list[str]], ...] = (
    (
        "google_search",
        "Google Search",
        "search",
        "Searches the web and returns titles, addresses and excerpts of what was found.",
        ["(?i)menlo"],
    ),
    ("scrape", "Scrape", "scrape", "Reads a web page and returns its text.", []),
    (
        "file_search_index",
        "File Search Index",
        "file_search",
        "Keeps a text, so that it can be found by its meaning later.",
        [],
    ),
    (
        "file_search_query",
        "File Search Query",
        "file_search",
        "Finds the kept texts that are nearest in meaning to a question.",
        [],
    ),
    ("generate_image", "Generate Image", "image_generation", "Makes a picture from a description.", []),
    ("edit_image", "Edit Image", "image_edit", "Changes a picture as a description says.", []),
)
"""The tools that come with the program: key, name, category, description, disallowed keywords."""


async def seed_tools(session: AsyncSession) -> None:
    """Write the tools that come with the program where they are missing; others stay as they are."""
    rows = [
        {
            "id": uuid4(),
            "public_id": f"mcp_{key}_001",
            "tool_key": key,
            "name": name,
            "description": description,
            "category": category,
            "is_active": True,
            "metadata": {},
            "disallowed_keywords": keywords,
            "created_by": "",
            "updated_by": "",
        }
        for key, name, category, description, keywords in _SEEDS
    ]
    await execute(session, insert(MCP_TOOLS).values(rows).on_conflict_do_nothing())


async def find_active_tool(session: AsyncSession, tool_key: str) -> McpTool:
    """The tool with this key; `Missing` when it is unknown or switched off."""
    if not can_be_compared(tool_key):
        raise _missing()
    of_key = (MCP_TOOLS.c.tool_key == tool_key) & MCP_TOOLS.c.is_active
    return await _first(session, select(*_COLUMNS).where(of_key))


async def find_tool(session: AsyncSession, tool_id: str) -> McpTool:
    """The tool with this public id, switched on or off; `Missing` when there is none."""
    if not can_be_compared(tool_id):
        raise _missing()
    return await _first(session, select(*_COLUMNS).where(MCP_TOOLS.c.public_id == tool_id))


async def list_tools(
    session: AsyncSession,
    *,
    limit: int | None = None,
    offset: int = 0,
    category: str | None = None,
    is_active: bool | None = None,
    search: str | None = None,
) -> tuple[list[McpTool], int]:
    """A page of the tools by name, and the number of all that fit.

    Args:
        session: The open transaction.
        limit: How many at most; None for all.
        offset: How many to skip.
        category: Only this category.
        is_active: Only those that are switched on, or only the others.
        search: Part of the name, the key or the description, in any case.
    """
    stored = MCP_TOOLS.c
    conditions: list[ColumnElement[bool]] = []
    if category is not None:
        conditions.append(stored.category == category)
    if is_active is not None:
        conditions.append(stored.is_active.is_(is_active))
    if search:
        conditions.append(
            or_(
                *(
                    column.icontains(search, autoescape=True)
                    for column in (stored.name, stored.tool_key, stored.description)
                )
            )
        )
    counted = select(func.count()).select_from(MCP_TOOLS).where(*conditions)
    total: int = (await execute(session, counted)).scalar_one()
    rows = select(*_COLUMNS).where(*conditions).order_by(stored.name, stored.id).limit(limit).offset(offset)
    return [McpTool(*row) for row in await execute(session, rows)], total


async def update_tool(
    session: AsyncSession, tool: McpTool, changes: Mapping[str, Any], *, author: str
) -> McpTool:
    """Change members by name and keep the rest.

    Raises:
        Invalid: One of `disallowed_keywords` is no regular expression; `param` names it.
        Missing: The tool was removed in the meantime.
    """
    check_keywords(changes.get("disallowed_keywords") or ())
    if not changes:
        return tool
    statement = (
        update(MCP_TOOLS)
        .where(MCP_TOOLS.c.id == tool.id)
        .values(**changes, updated_by=author[:255], updated_at=func.clock_timestamp())
        .returning(*_COLUMNS)
    )
    return await _first(session, statement)


def check_keywords(keywords: Sequence[str]) -> None:
    """Refuse what the MCP service could not use; `Invalid` names the first bad expression."""
    for index, keyword in enumerate(keywords):
        param = f"disallowed_keywords[{index}]"
        if not keyword:
            raise Invalid(f"{param} must not be empty: it would match everything", param=param)
        try:
            re.compile(keyword)
        except (re.error, OverflowError, RecursionError) as failure:
            raise Invalid(f"{param} is no regular expression: {failure}", param=param) from failure


async def _first(session: AsyncSession, statement: Executable) -> McpTool:
    row = (await execute(session, statement)).one_or_none()
    if row is None:
        raise _missing()
    return McpTool(*row)


def _missing() -> Missing:
    return Missing("MCP tool not found")
