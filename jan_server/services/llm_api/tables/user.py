"""The local row of everybody who ever used the LLM API with a credential."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import DateTime, UniqueConstraint, func
from sqlmodel import Field

from jan_server.services.llm_api.tables import StampedTable, now


class User(StampedTable, table=True):
    """One identity (issuer and subject) as the LLM API knows it; conversations and keys hang on it."""

    __tablename__ = "users"
    __table_args__ = (UniqueConstraint("issuer", "subject"),)

    id: int | None = Field(default=None, primary_key=True)
    auth_provider: str = Field(default="keycloak", max_length=50)
    issuer: str = Field(max_length=255)
    subject: str = Field(max_length=255)
    username: str = Field(default="", max_length=150)
    email: str = Field(default="", max_length=320)
    name: str = Field(default="", max_length=255)
    picture: str = Field(default="", max_length=512)
    guest: bool = Field(default=False)
    last_seen_at: datetime = Field(
        default_factory=now,
        sa_type=DateTime(timezone=True),
        sa_column_kwargs={"server_default": func.now(), "nullable": False},
    )
    deleted_at: datetime | None = Field(
        default=None,
        sa_type=DateTime(timezone=True),
    )
