"""Calls of tools: who called what, how long it took and how it ended."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Column, DateTime, Float, Identity, Index, Table, Text, func
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field

from jan_server.services.mcp_tools.tables import McpToolsTable


class ToolCallRow(McpToolsTable, table=True):
    """One call of a tool.

    Attributes:
        user_id: The caller's subject; empty where nobody is known.
        provider: What did the work: a search engine, a sandbox, another server.
        arguments: As they were sent, shortened.
        status: `success` or `error`.
        result_size: Characters of the result.
    """

    __tablename__ = "tool_calls"
    __table_args__ = (Index(None, "user_id", "created_at"), Index(None, "created_at"))

    id: int | None = Field(
        default=None, sa_column=Column(BigInteger, Identity(always=True), primary_key=True)
    )
    user_id: str = Field(default="", max_length=255)
    tool_name: str = Field(max_length=255)
    provider: str = Field(default="", max_length=64)
    arguments: dict[str, Any] = Field(default_factory=dict, sa_column=Column(JSONB, nullable=False))
    status: str = Field(max_length=16)
    error: str = Field(default="", sa_type=Text)
    result_size: int = Field(default=0, sa_type=BigInteger)
    duration_ms: float = Field(default=0, sa_type=Float)
    tool_call_id: str = Field(default="", max_length=255)
    conversation_id: str = Field(default="", max_length=255)
    request_id: str = Field(default="", max_length=255)
    created_at: datetime = Field(
        sa_type=DateTime(timezone=True),
        sa_column_kwargs={"server_default": func.now(), "nullable": False},
    )


TOOL_CALLS: Table = ToolCallRow.__table__  # type: ignore[attr-defined]
"""The same as a table, for statements."""
