"""Responses, and the conversations, items, events and tool calls that belong to them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field

from jan_server.services.response_api.tables import SCHEMA, ResponseApiTable


def _row_id() -> Any:
    return Field(default=None, sa_column=Column(BigInteger, Identity(always=True), primary_key=True))


def _document() -> Any:
    return Field(default_factory=dict, sa_column=Column(JSONB, nullable=False))


def _moment() -> Any:
    return Field(
        sa_type=DateTime(timezone=True),
        sa_column_kwargs={"server_default": func.now(), "nullable": False},
    )


def _later() -> Any:
    return Field(default=None, sa_type=DateTime(timezone=True))


def _of_response(**key: Any) -> Any:
    reference = ForeignKey(f"{SCHEMA}.responses.id", ondelete="CASCADE")
    return Field(sa_column=Column(BigInteger, reference, nullable=False, **key))


class Conversation(ResponseApiTable, table=True):
    """What responses that follow one another belong to; its id is `conv_` and a UUID."""

    __tablename__ = "conversations"

    id: int | None = _row_id()
    public_id: str = Field(max_length=64, unique=True)
    user_id: str = Field(max_length=255)
    conversation_metadata: dict[str, Any] = Field(
        default_factory=dict, sa_column=Column("metadata", JSONB, nullable=False)
    )
    created_at: datetime = _moment()
    updated_at: datetime = _moment()


class Response(ResponseApiTable, table=True):
    """One response.

    Attributes:
        user_id: The subject of its owner.
        principal: Who asked, so that work in the background is done in that name; never a credential.
        request: What was asked for, as a run reads it.
        body: The response as clients see it, less its output, which is among the items.
        attempts: How often a worker began to make it.
        heartbeat_at: When its worker last gave a sign of life.
        cancel_requested_at: When somebody asked to stop it.
    """

    __tablename__ = "responses"
    __table_args__ = (
        Index(None, "user_id", "created_at"),
        Index("ix_responses_conversation_id", "conversation_id", "id"),
        Index(
            "ix_responses_queue",
            "queued_at",
            postgresql_where=text("background and status in ('queued', 'in_progress')"),
        ),
    )

    id: int | None = _row_id()
    public_id: str = Field(max_length=64, unique=True)
    user_id: str = Field(max_length=255)
    principal: dict[str, Any] = _document()
    conversation_id: int | None = Field(
        default=None,
        sa_column=Column(BigInteger, ForeignKey(f"{SCHEMA}.conversations.id", ondelete="SET NULL")),
    )
    previous_response_id: str | None = Field(default=None, max_length=64)
    model: str = Field(max_length=255)
    status: str = Field(max_length=32)
    background: bool = False
    stream: bool = False
    request: dict[str, Any] = _document()
    body: dict[str, Any] = _document()
    attempts: int = Field(default=0, sa_type=Integer)
    created_at: datetime = _moment()
    updated_at: datetime = _moment()
    queued_at: datetime | None = _later()
    started_at: datetime | None = _later()
    heartbeat_at: datetime | None = _later()
    cancel_requested_at: datetime | None = _later()
    completed_at: datetime | None = _later()
    cancelled_at: datetime | None = _later()
    failed_at: datetime | None = _later()


class ResponseItem(ResponseApiTable, table=True):
    """An item that went into a response or came out of it, as clients see it; `kind` is input or output."""

    __tablename__ = "response_items"

    response_id: int = _of_response(primary_key=True)
    kind: str = Field(max_length=8, primary_key=True)
    position: int = Field(sa_type=Integer, primary_key=True)
    public_id: str = Field(max_length=128, index=True)
    item: dict[str, Any] = _document()
    created_at: datetime = _moment()


class ResponseEvent(ResponseApiTable, table=True):
    """An event of a response's stream, kept so that the stream can be taken up again."""

    __tablename__ = "response_events"

    response_id: int = _of_response(primary_key=True)
    sequence_number: int = Field(sa_type=Integer, primary_key=True)
    event: dict[str, Any] = _document()


class ToolExecution(ResponseApiTable, table=True):
    """A call of a tool that was made for a response; `execution_order` counts from 1."""

    __tablename__ = "tool_executions"
    __table_args__ = (UniqueConstraint("response_id", "call_id"),)

    id: int | None = _row_id()
    response_id: int = _of_response()
    call_id: str = Field(max_length=128)
    tool_name: str = Field(max_length=255)
    arguments: dict[str, Any] = _document()
    result: dict[str, Any] | None = Field(default=None, sa_column=Column(JSONB))
    status: str = Field(max_length=16)
    error_message: str = Field(default="", sa_type=Text)
    execution_order: int = Field(sa_type=Integer)
    created_at: datetime = _moment()
    updated_at: datetime = _moment()


CONVERSATIONS: Table = Conversation.__table__  # type: ignore[attr-defined]
RESPONSES: Table = Response.__table__  # type: ignore[attr-defined]
RESPONSE_ITEMS: Table = ResponseItem.__table__  # type: ignore[attr-defined]
RESPONSE_EVENTS: Table = ResponseEvent.__table__  # type: ignore[attr-defined]
TOOL_EXECUTIONS: Table = ToolExecution.__table__  # type: ignore[attr-defined]
