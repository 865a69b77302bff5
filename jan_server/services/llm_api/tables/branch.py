"""The branches of a conversation: each is one line of items, numbered from 1."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, Column, DateTime, ForeignKey, Identity, Index, Table, Text
from sqlmodel import Field

from jan_server.services.llm_api.tables import SCHEMA, LlmApiTable, StampedTable


class BranchRow(StampedTable, table=True):
    """One branch; `MAIN` exists from the conversation's first moment.

    A deleted branch frees its name, and its items are out of reach with it.

    Attributes:
        item_count: How many items the branch has, and thus the number of its newest one.
            Writers raise it under the row's lock, which is what keeps numbers free of races.
    """

    __tablename__ = "conversation_branches"
    __table_args__ = (
        Index(
            "uq_conversation_branches_name",
            "conversation_id",
            "name",
            "deleted_at",
            unique=True,
            postgresql_nulls_not_distinct=True,
        ),
    )

    id: int | None = Field(
        default=None, sa_column=Column(BigInteger, Identity(always=True), primary_key=True)
    )
    conversation_id: int = Field(
        sa_column=Column(
            BigInteger, ForeignKey(f"{SCHEMA}.conversations.id", ondelete="CASCADE"), nullable=False
        )
    )
    name: str = Field(max_length=50)
    description: str | None = Field(default=None, sa_type=Text)
    parent_branch: str | None = Field(default=None, max_length=50)
    forked_at: datetime | None = Field(default=None, sa_type=DateTime(timezone=True))
    forked_from_item_id: str | None = Field(default=None, max_length=50)
    item_count: int = 0
    deleted_at: datetime | None = Field(default=None, sa_type=DateTime(timezone=True))


BRANCHES: Table = LlmApiTable.metadata.tables[f"{SCHEMA}.conversation_branches"]
"""The table itself, for statements that need no mapped objects."""
