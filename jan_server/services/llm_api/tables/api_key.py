"""The API keys of users: only the SHA-256 of a key's secret is stored."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import Column, DateTime, ForeignKey, Index, Integer
from sqlmodel import Field

from jan_server.services.llm_api.tables import SCHEMA, StampedTable


class ApiKey(StampedTable, table=True):
    """One key; revoking it sets `revoked_at`, and without `expires_at` it has no end."""

    __tablename__ = "api_keys"
    __table_args__ = (Index(None, "user_id", "created_at"),)

    id: UUID = Field(default_factory=uuid4, primary_key=True)
    user_id: int = Field(
        sa_column=Column(Integer, ForeignKey(f"{SCHEMA}.users.id", ondelete="CASCADE"), nullable=False)
    )
    name: str = Field(max_length=128)
    prefix: str = Field(max_length=32)
    suffix: str = Field(max_length=8)
    hash: str = Field(max_length=64, unique=True)
    expires_at: datetime | None = Field(default=None, sa_type=DateTime(timezone=True))
    revoked_at: datetime | None = Field(default=None, sa_type=DateTime(timezone=True))
    last_used_at: datetime | None = Field(default=None, sa_type=DateTime(timezone=True))
