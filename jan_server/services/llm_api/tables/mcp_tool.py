"""What administrators say about the tools that the MCP service offers."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import JSON, Column, Table, Text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlmodel import Field

from jan_server.services.llm_api.tables import SCHEMA, LlmApiTable, StampedTable


class McpToolRow(StampedTable, table=True):
    """One tool, by the key under which the MCP service offers it.

    `disallowed_keywords` are regular expressions; a search result that one of them matches is dropped.
    """

    __tablename__ = "admin_mcp_tools"

    id: UUID = Field(default_factory=uuid4, primary_key=True)
    public_id: str = Field(max_length=128, unique=True)
    tool_key: str = Field(max_length=100, unique=True)
    name: str = Field(max_length=255)
    description: str = Field(default="", sa_type=Text)
    category: str = Field(default="search", max_length=100)
    is_active: bool = True
    details: dict[str, Any] = Field(default_factory=dict, sa_column=Column("metadata", JSON, nullable=False))
    disallowed_keywords: list[str] = Field(
        default_factory=list, sa_column=Column(ARRAY(Text), nullable=False)
    )
    created_by: str = Field(default="", max_length=255)
    updated_by: str = Field(default="", max_length=255)


MCP_TOOLS: Table = LlmApiTable.metadata.tables[f"{SCHEMA}.admin_mcp_tools"]
"""The table itself, for statements that need no mapped objects."""
