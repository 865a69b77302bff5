"""Projects: named folders of conversations with an instruction of their own."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, Column, DateTime, ForeignKey, Identity, Index, Integer, Table, Text, text
from sqlmodel import Field

from jan_server.services.llm_api.tables import SCHEMA, LlmApiTable, StampedTable


class ProjectRow(StampedTable, table=True):
    """One project; a deleted one frees its name and keeps its row."""

    __tablename__ = "projects"
    __table_args__ = (
        Index(
            "uq_projects_name",
            "user_id",
            "name",
            "deleted_at",
            unique=True,
            postgresql_nulls_not_distinct=True,
        ),
        Index(
            "ix_projects_of_user",
            "user_id",
            "updated_at",
            "id",
            postgresql_where=text("deleted_at IS NULL"),
        ),
    )

    id: int | None = Field(
        default=None, sa_column=Column(BigInteger, Identity(always=True), primary_key=True)
    )
    public_id: str = Field(max_length=50, unique=True)
    user_id: int = Field(
        sa_column=Column(Integer, ForeignKey(f"{SCHEMA}.users.id", ondelete="CASCADE"), nullable=False)
    )
    name: str = Field(max_length=255)
    instruction: str | None = Field(default=None, sa_type=Text)
    favorite: bool = False
    archived_at: datetime | None = Field(default=None, sa_type=DateTime(timezone=True))
    deleted_at: datetime | None = Field(default=None, sa_type=DateTime(timezone=True))


PROJECTS: Table = LlmApiTable.metadata.tables[f"{SCHEMA}.projects"]
"""The table itself, for statements that need no mapped objects."""
