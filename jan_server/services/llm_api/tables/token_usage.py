"""What calls of models cost: a row for each call, and sums by day that are kept beside them."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    Identity,
    Index,
    Integer,
    Numeric,
    SmallInteger,
    Table,
    func,
    text,
)
from sqlmodel import Field

from jan_server.services.llm_api.tables import SCHEMA, LlmApiTable

_COST = Numeric(20, 10)


class TokenUsage(LlmApiTable, table=True):
    """One call of a model; rows outlive the users, keys and projects that they name.

    Attributes:
        call_id: Given to the call in the process that made it: the same call is never counted twice.
        key_id: The API key of the caller; None for a token.
        project_id: The public id of the project that it counts for.
        estimated: Whether the tokens were counted here, because the provider did not say.
        estimated_cost_usd: None where no price is known.
        first_token_ms: Until the first bytes of a stream; None for a whole answer.
        status: The HTTP status that the call came to; 499 when the caller left.
        purpose: What the server made it for by itself, `title` for example; None for what was asked for.
    """

    __tablename__ = "token_usage"
    __table_args__ = (
        Index(None, "user_id", "created_at"),
        Index(None, "key_id", "created_at"),
        Index(None, "created_at"),
        Index(
            "ix_token_usage_of_conversation",
            "conversation_id",
            "created_at",
            postgresql_where=text("conversation_id IS NOT NULL"),
        ),
    )

    id: int | None = Field(
        default=None, sa_column=Column(BigInteger, Identity(always=True), primary_key=True)
    )
    call_id: UUID = Field(unique=True)
    user_id: int = Field(sa_type=Integer)
    key_id: UUID | None = None
    project_id: str | None = Field(default=None, max_length=50)
    conversation_id: str | None = Field(default=None, max_length=50)
    model: str = Field(max_length=255)
    provider: str = Field(max_length=255)
    prompt_tokens: int = Field(sa_type=BigInteger)
    completion_tokens: int = Field(sa_type=BigInteger)
    total_tokens: int = Field(sa_type=BigInteger)
    estimated: bool
    estimated_cost_usd: Decimal | None = Field(default=None, sa_type=_COST)
    latency_ms: int = Field(sa_type=Integer)
    first_token_ms: int | None = Field(default=None, sa_type=Integer)
    status: int = Field(sa_type=SmallInteger)
    stream: bool
    request_id: str = Field(default="", max_length=128)
    purpose: str | None = Field(default=None, max_length=16)
    created_at: datetime = Field(
        sa_column=Column(DateTime(timezone=True), nullable=False, server_default=func.now())
    )


class TokenUsageDaily(LlmApiTable, table=True):
    """The sums of one day in UTC, for one user, key, project, model and provider."""

    __tablename__ = "token_usage_daily"
    __table_args__ = (
        Index(
            "uq_token_usage_daily",
            "usage_date",
            "user_id",
            "key_id",
            "project_id",
            "model",
            "provider",
            unique=True,
            postgresql_nulls_not_distinct=True,
        ),
        Index(None, "user_id", "usage_date"),
        Index(None, "key_id", "usage_date"),
        Index(None, "project_id", "usage_date"),
    )

    id: int | None = Field(
        default=None, sa_column=Column(BigInteger, Identity(always=True), primary_key=True)
    )
    usage_date: date
    user_id: int = Field(sa_type=Integer)
    key_id: UUID | None = None
    project_id: str | None = Field(default=None, max_length=50)
    model: str = Field(max_length=255)
    provider: str = Field(max_length=255)
    prompt_tokens: int = Field(sa_type=BigInteger)
    completion_tokens: int = Field(sa_type=BigInteger)
    total_tokens: int = Field(sa_type=BigInteger)
    estimated_tokens: int = Field(sa_type=BigInteger)
    request_count: int = Field(sa_type=BigInteger)
    failed_count: int = Field(sa_type=BigInteger)
    estimated_cost_usd: Decimal = Field(sa_type=_COST)


TOKEN_USAGE: Table = LlmApiTable.metadata.tables[f"{SCHEMA}.token_usage"]
TOKEN_USAGE_DAILY: Table = LlmApiTable.metadata.tables[f"{SCHEMA}.token_usage_daily"]
"""The tables themselves, for statements that need no mapped objects."""
