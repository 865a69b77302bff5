"""Shares: public links to a conversation, each with the snapshot that it shows."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, Column, DateTime, ForeignKey, Identity, Index, Integer, Table, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field

from jan_server.services.llm_api.tables import SCHEMA, LlmApiTable, StampedTable
from jan_server.services.llm_api.tables.raw_json import RawJson


class ShareRow(StampedTable, table=True):
    """One share; a revoked one keeps its row, and its slug is never given out again.

    At most one share of a conversation works at any moment; the partial index holds that.

    Attributes:
        item_public_id: The shared item; None where the whole conversation is shared.
        snapshot: What the link shows, as JSON text: it is never parsed again.
        share_options: The maker's switches, `include_images` and `include_context_messages`.
    """

    __tablename__ = "conversation_shares"
    __table_args__ = (
        Index("ix_conversation_shares_of_user", "user_id", "id"),
        Index("ix_conversation_shares_of_conversation", "conversation_id", "id"),
        Index(
            "uq_conversation_shares_working",
            "conversation_id",
            unique=True,
            postgresql_where=text("revoked_at IS NULL"),
        ),
    )

    id: int | None = Field(
        default=None, sa_column=Column(BigInteger, Identity(always=True), primary_key=True)
    )
    public_id: str = Field(max_length=50, unique=True)
    slug: str = Field(max_length=30, unique=True)
    conversation_id: int = Field(
        sa_column=Column(
            BigInteger, ForeignKey(f"{SCHEMA}.conversations.id", ondelete="CASCADE"), nullable=False
        )
    )
    user_id: int = Field(
        sa_column=Column(Integer, ForeignKey(f"{SCHEMA}.users.id", ondelete="CASCADE"), nullable=False)
    )
    item_public_id: str | None = Field(default=None, max_length=50)
    title: str = Field(max_length=256)
    visibility: str = Field(default="unlisted", max_length=20)
    revoked_at: datetime | None = Field(default=None, sa_type=DateTime(timezone=True))
    view_count: int = 0
    last_viewed_at: datetime | None = Field(default=None, sa_type=DateTime(timezone=True))
    snapshot_version: int = 1
    snapshot: str = Field(sa_column=Column(RawJson, nullable=False))
    share_options: dict[str, bool] = Field(default_factory=dict, sa_column=Column(JSONB, nullable=False))


SHARES: Table = LlmApiTable.metadata.tables[f"{SCHEMA}.conversation_shares"]
"""The table itself, for statements that need no mapped objects."""
