"""The audit log: what administrators did, and what came of it."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import JSON, Column, DateTime, Index, Text, func
from sqlmodel import Field

from jan_server.services.llm_api.tables import LlmApiTable, now


class AuditLog(LlmApiTable, table=True):
    """One write of an administrator; rows are added and never changed.

    Attributes:
        admin_user_id: The administrator's id at the identity server.
        payload: The request's body, secrets masked, and what its path names besides the resource.
    """

    __tablename__ = "audit_logs"
    __table_args__ = (
        Index(None, "created_at", "id"),
        Index(None, "admin_user_id", "created_at"),
        Index(None, "resource_type", "resource_id", "created_at"),
    )

    id: UUID = Field(default_factory=uuid4, primary_key=True)
    admin_user_id: str = Field(max_length=255)
    admin_email: str = Field(default="", max_length=320)
    action: str = Field(max_length=100)
    resource_type: str = Field(max_length=100)
    resource_id: str = Field(default="", max_length=255)
    payload: Any = Field(default=None, sa_column=Column(JSON(none_as_null=True)))
    ip_address: str = Field(default="", max_length=64)
    user_agent: str = Field(default="", max_length=512)
    status_code: int
    error_message: str = Field(default="", sa_type=Text)
    request_id: str = Field(default="", max_length=128)
    created_at: datetime = Field(
        default_factory=now,
        sa_column=Column(DateTime(timezone=True), nullable=False, server_default=func.now()),
    )
