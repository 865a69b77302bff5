"""Routes of models: names that clients send as `model`, and the models behind them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, Column, DateTime, Text
from sqlmodel import Field

from jan_server.http.ids import public_id
from jan_server.services.llm_api.tables import StampedTable

NAME_LENGTH = 255


class ModelRoute(StampedTable, table=True):
    """One route; deleting it sets `deleted_at`, the row stays.

    `targets` holds objects of `model`, `provider_id`, `weight` and `priority`. `source` says who looks
    after the row: `settings` are rewritten at every start, `api` belong to people.
    """

    __tablename__ = "model_routes"

    id: int | None = Field(default=None, primary_key=True)
    public_id: str = Field(default_factory=lambda: public_id("rte"), max_length=64, unique=True)
    name: str = Field(max_length=NAME_LENGTH)
    description: str = Field(default="", sa_type=Text)
    targets: list[dict[str, Any]] = Field(default_factory=list, sa_column=Column(JSON, nullable=False))
    fallback_on: list[str] = Field(default_factory=list, sa_column=Column(JSON, nullable=False))
    active: bool = Field(default=True)
    source: str = Field(default="api", max_length=20)
    deleted_at: datetime | None = Field(default=None, sa_type=DateTime(timezone=True))
