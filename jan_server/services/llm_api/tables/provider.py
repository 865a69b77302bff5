"""The providers of models: where answers come from, with their keys encrypted."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, Column, DateTime, Text
from sqlmodel import Field

from jan_server.http.ids import public_id
from jan_server.services.llm_api.tables import StampedTable


class Provider(StampedTable, table=True):
    """One provider; deleting it sets `deleted_at`, the row stays.

    `source` says who looks after the row: `engine` (the engine of this installation) and
    `settings` are rewritten at every start, `file` and `api` belong to people.
    """

    __tablename__ = "providers"

    id: int | None = Field(default=None, primary_key=True)
    public_id: str = Field(default_factory=lambda: public_id("prov"), max_length=64, unique=True)
    display_name: str = Field(max_length=255)
    kind: str = Field(max_length=64, index=True)
    category: str = Field(default="llm", max_length=20)
    source: str = Field(default="api", max_length=20)
    base_url: str = Field(default="", max_length=512)
    endpoints: list[dict[str, Any]] = Field(default_factory=list, sa_column=Column(JSON, nullable=False))
    encrypted_api_key: str = Field(default="", sa_type=Text)
    api_key_hint: str = Field(default="", max_length=8)
    is_moderated: bool = Field(default=False)
    active: bool = Field(default=True)
    default_provider_image_generate: bool = Field(default=False)
    default_provider_image_edit: bool = Field(default=False)
    details: dict[str, str] = Field(default_factory=dict, sa_column=Column("metadata", JSON, nullable=False))
    offered_models: list[str] = Field(default_factory=list, sa_column=Column(JSON, nullable=False))
    max_concurrent_requests: int | None = Field(default=None)
    max_queued_requests: int = Field(default=100)
    queue_timeout_seconds: float = Field(default=30.0)
    last_synced_at: datetime | None = Field(default=None, sa_type=DateTime(timezone=True))
    deleted_at: datetime | None = Field(default=None, sa_type=DateTime(timezone=True))
