"""The tables of the LLM API, in the PostgreSQL schema `llm_api` (contract/llm-api.md, section 24)."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import DateTime, MetaData, func
from sqlmodel import Field, SQLModel

SCHEMA = "llm_api"

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}


def now() -> datetime:
    """The present moment, in UTC."""
    return datetime.now(UTC)


def can_be_compared(text: str) -> bool:
    """Whether PostgreSQL can look for a text: it knows no NUL character, not even to compare with."""
    return "\0" not in text


class LlmApiTable(SQLModel):
    """What every table of the schema inherits: its schema and the names of its constraints."""

    metadata = MetaData(schema=SCHEMA, naming_convention=NAMING)


class StampedTable(LlmApiTable):
    """A table whose rows know when they were made and last changed."""

    created_at: datetime = Field(
        default_factory=now,
        sa_type=DateTime(timezone=True),
        sa_column_kwargs={"server_default": func.now(), "nullable": False},
    )
    updated_at: datetime = Field(
        default_factory=now,
        sa_type=DateTime(timezone=True),
        sa_column_kwargs={"server_default": func.now(), "onupdate": func.now(), "nullable": False},
    )
