"""Feature flags: what a group may carry, and what a model of the catalogue may ask for."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import JSON, Column, Index, Text, text
from sqlmodel import Field

from jan_server.services.llm_api.tables import StampedTable

KEY_LENGTH = 50


class FeatureFlag(StampedTable, table=True):
    """One flag; keys are told apart ignoring case, as tokens' flags are."""

    __tablename__ = "feature_flags"
    __table_args__ = (Index("uq_feature_flags_lower_key", text("lower(key)"), unique=True),)

    id: UUID = Field(default_factory=uuid4, primary_key=True)
    key: str = Field(max_length=KEY_LENGTH, unique=True)
    name: str = Field(max_length=255)
    description: str = Field(default="", sa_type=Text)
    category: str = Field(default="", max_length=50)
    details: dict[str, Any] = Field(default_factory=dict, sa_column=Column("metadata", JSON, nullable=False))
