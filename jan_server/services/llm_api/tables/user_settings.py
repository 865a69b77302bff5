"""User settings: what a user chose; what was never chosen is not stored."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Column, ForeignKey, Integer, Table, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field

from jan_server.services.llm_api.tables import SCHEMA, LlmApiTable, StampedTable


def _chosen() -> Column[Any]:
    return Column(JSONB, nullable=False, server_default=text("'{}'::jsonb"))


class UserSettingsRow(StampedTable, table=True):
    """The settings of one user, made when they are first read.

    The maps hold the user's own choices only: a default that changes one day reaches everybody
    who never chose.
    """

    __tablename__ = "user_settings"

    id: int | None = Field(default=None, primary_key=True)
    user_id: int = Field(
        sa_column=Column(
            Integer, ForeignKey(f"{SCHEMA}.users.id", ondelete="CASCADE"), nullable=False, unique=True
        )
    )
    memory_config: dict[str, Any] = Field(default_factory=dict, sa_column=_chosen())
    profile_settings: dict[str, Any] = Field(default_factory=dict, sa_column=_chosen())
    advanced_settings: dict[str, Any] = Field(default_factory=dict, sa_column=_chosen())
    preferences: dict[str, Any] = Field(default_factory=dict, sa_column=_chosen())
    enable_trace: bool = False
    enable_tools: bool = True


USER_SETTINGS: Table = LlmApiTable.metadata.tables[f"{SCHEMA}.user_settings"]
"""The table itself, for statements that need no mapped objects."""
