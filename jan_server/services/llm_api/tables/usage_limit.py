"""Limits of keys and users, and the counters by which every process knows what is left of them."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import JSON, BigInteger, Column, DateTime, Index, Integer, Numeric, Table, func
from sqlmodel import Field

from jan_server.services.llm_api.tables import SCHEMA, LlmApiTable

_MONEY = Numeric(20, 10)


class UsageLimit(LlmApiTable, table=True):
    """The limits of one key or user; a row without any limits nothing.

    Attributes:
        subject: `key:` and the key's id, or `user:` and the key of the user's row.
        managed: Whether an administrator set them: the owner of a key cannot change them then.
        project_id: The public id of the project for which calls outside of projects count.
        allowed_models: Patterns of model ids; None for all.
        denied_models: Patterns of model ids that are refused, allowed or not; None for none.
        cache: For how long answers may be used again, and whether by others; None for not at all.
        budget_period: `day` or `month`, in UTC.
    """

    __tablename__ = "usage_limits"
    __table_args__ = (Index(None, "updated_at"),)

    subject: str = Field(max_length=64, primary_key=True)
    managed: bool = False
    project_id: str | None = Field(default=None, max_length=50)
    allowed_models: list[str] | None = Field(default=None, sa_column=Column(JSON(none_as_null=True)))
    denied_models: list[str] | None = Field(default=None, sa_column=Column(JSON(none_as_null=True)))
    cache: dict[str, Any] | None = Field(default=None, sa_column=Column(JSON(none_as_null=True)))
    requests_per_minute: int | None = Field(default=None, sa_type=Integer)
    tokens_per_minute: int | None = Field(default=None, sa_type=BigInteger)
    budget_usd: Decimal | None = Field(default=None, sa_type=_MONEY)
    budget_tokens: int | None = Field(default=None, sa_type=BigInteger)
    budget_period: str = Field(default="month", max_length=8)
    updated_at: datetime = Field(
        sa_column=Column(DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp())
    )


class UsageCounter(LlmApiTable, table=True):
    """What a limited key or user used in one minute, day or month."""

    __tablename__ = "usage_counters"
    __table_args__ = (Index(None, "starts_at"),)

    subject: str = Field(max_length=64, primary_key=True)
    period: str = Field(max_length=8, primary_key=True)
    starts_at: datetime = Field(sa_column=Column(DateTime(timezone=True), primary_key=True))
    requests: int = Field(sa_type=BigInteger)
    tokens: int = Field(sa_type=BigInteger)
    cost_usd: Decimal = Field(sa_type=_MONEY)


USAGE_LIMITS: Table = LlmApiTable.metadata.tables[f"{SCHEMA}.usage_limits"]
USAGE_COUNTERS: Table = LlmApiTable.metadata.tables[f"{SCHEMA}.usage_counters"]
"""The tables themselves, for statements that need no mapped objects."""
