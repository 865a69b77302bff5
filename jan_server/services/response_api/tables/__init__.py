"""The tables of the Response API, in the PostgreSQL schema `response_api`."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import MetaData
from sqlmodel import SQLModel

SCHEMA = "response_api"

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


class ResponseApiTable(SQLModel):
    """What every table of the schema inherits: its schema and the names of its constraints."""

    metadata = MetaData(schema=SCHEMA, naming_convention=NAMING)
