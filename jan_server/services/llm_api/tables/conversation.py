"""Conversations: whose they are, what they are called and which branch is active."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, Column, DateTime, ForeignKey, Identity, Index, Integer, Table, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field

from jan_server.services.llm_api.tables import SCHEMA, LlmApiTable, StampedTable

_ALIVE = text("deleted_at IS NULL")


class ConversationRow(StampedTable, table=True):
    """One conversation; deleting it sets `deleted_at`, its items stay.

    The three partial indexes are the three ways in which a user lists conversations, each in
    the list's own order, so that any page is one short index scan; the other two are for the
    removal of a user or a project.

    Attributes:
        metadata_: The client's map of texts (the column is `metadata`).
        project_public_id: The project's public id, kept even when the project is deleted.
    """

    __tablename__ = "conversations"
    __table_args__ = (
        Index("ix_conversations_of_user", "user_id", "updated_at", "id", postgresql_where=_ALIVE),
        Index(
            "ix_conversations_of_project",
            "user_id",
            "project_public_id",
            "updated_at",
            "id",
            postgresql_where=text("deleted_at IS NULL AND project_public_id IS NOT NULL"),
        ),
        Index(
            "ix_conversations_of_referrer",
            "user_id",
            "referrer",
            "updated_at",
            "id",
            postgresql_where=text("deleted_at IS NULL AND referrer IS NOT NULL"),
        ),
        Index(None, "user_id"),
        Index(None, "project_id", postgresql_where=text("project_id IS NOT NULL")),
    )

    id: int | None = Field(
        default=None, sa_column=Column(BigInteger, Identity(always=True), primary_key=True)
    )
    public_id: str = Field(max_length=50, unique=True)
    user_id: int = Field(
        sa_column=Column(Integer, ForeignKey(f"{SCHEMA}.users.id", ondelete="CASCADE"), nullable=False)
    )
    title: str | None = Field(default=None, max_length=256)
    metadata_: dict[str, str] = Field(
        default_factory=dict,
        sa_column=Column("metadata", JSONB, nullable=False, server_default=text("'{}'::jsonb")),
    )
    referrer: str | None = Field(default=None, max_length=100)
    active_branch: str = Field(default="MAIN", max_length=50)
    project_id: int | None = Field(
        default=None,
        sa_column=Column(BigInteger, ForeignKey(f"{SCHEMA}.projects.id", ondelete="SET NULL")),
    )
    project_public_id: str | None = Field(default=None, max_length=50)
    deleted_at: datetime | None = Field(default=None, sa_type=DateTime(timezone=True))


CONVERSATIONS: Table = LlmApiTable.metadata.tables[f"{SCHEMA}.conversations"]
"""The table itself, for statements that need no mapped objects."""
