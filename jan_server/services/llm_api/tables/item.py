"""The items of a conversation: messages, tool calls and their results."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, Column, DateTime, ForeignKey, Identity, Index, Table, Text, func, text
from sqlmodel import Field

from jan_server.services.llm_api.tables import SCHEMA, LlmApiTable, now
from jan_server.services.llm_api.tables.raw_json import RawJson


class ItemRow(LlmApiTable, table=True):
    """One item of one branch.

    A public id is unique within its conversation, because clients may choose it: nobody must
    learn from a collision which ids others use.

    Attributes:
        content: The content blocks as JSON text (contract/llm-api.md, section 12.7).
        details: The members that only some types of item have (section 12.6), as JSON text.
        call_id: As long as the provider makes it; its index is over a hash for that reason.
    """

    __tablename__ = "conversation_items"
    __table_args__ = (
        Index("uq_conversation_items_sequence", "branch_id", "sequence_number", unique=True),
        Index(
            "uq_conversation_items_public_id",
            "conversation_id",
            "public_id",
            unique=True,
        ),
        Index(
            "ix_conversation_items_call",
            "conversation_id",
            text("md5(call_id)"),
            postgresql_where=text("call_id IS NOT NULL"),
        ),
    )

    id: int | None = Field(
        default=None, sa_column=Column(BigInteger, Identity(always=True), primary_key=True)
    )
    public_id: str = Field(max_length=50)
    conversation_id: int = Field(
        sa_column=Column(
            BigInteger, ForeignKey(f"{SCHEMA}.conversations.id", ondelete="CASCADE"), nullable=False
        )
    )
    branch_id: int = Field(
        sa_column=Column(
            BigInteger, ForeignKey(f"{SCHEMA}.conversation_branches.id", ondelete="CASCADE"), nullable=False
        )
    )
    sequence_number: int
    type: str = Field(max_length=50)
    role: str | None = Field(default=None, max_length=20)
    status: str | None = Field(default=None, max_length=64)
    call_id: str | None = Field(default=None, sa_type=Text)
    content: str | None = Field(default=None, sa_column=Column(RawJson))
    details: str | None = Field(default=None, sa_column=Column(RawJson))
    created_at: datetime = Field(
        default_factory=now,
        sa_column=Column(DateTime(timezone=True), nullable=False, server_default=func.now()),
    )
    completed_at: datetime | None = Field(default=None, sa_type=DateTime(timezone=True))
    incomplete_at: datetime | None = Field(default=None, sa_type=DateTime(timezone=True))


ITEMS: Table = LlmApiTable.metadata.tables[f"{SCHEMA}.conversation_items"]
"""The table itself, for statements that need no mapped objects."""
