"""What travels on the route of the audit log."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from jan_server.services.llm_api.audit import AuditPage
from jan_server.services.llm_api.tables.audit_log import AuditLog


class AuditEntry(BaseModel):
    """One write of an administrator."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "id": "3b1f0a52-2a5c-4e0e-8a3f-7d5f0a1c2b11",
                "admin_user_id": "6f1c8a52-6f5e-4b1c-9f7e-1f1a0c1f3c55",
                "admin_email": "admin@example.org",
                "action": "add_role",
                "resource_type": "users",
                "resource_id": "0d8f2c6e-3f0e-4a44-9c2f-2d6f6a3a7a10",
                "payload": {"role": "admin"},
                "ip_address": "127.0.0.1",
                "user_agent": "curl/8.5.0",
                "status_code": 200,
                "error_message": "",
                "request_id": "5f1d6f0e-8a0e-4d0c-9a55-3f3f0f6b8f10",
                "created_at": "2026-01-01T12:00:00Z",
            }
        }
    )

    id: UUID
    admin_user_id: str = Field(description="The administrator's id at the identity server.")
    admin_email: str
    action: str = Field(description="What was called, such as `create_user`.")
    resource_type: str = Field(description="The path below `/v1/admin`, such as `users`.")
    resource_id: str
    payload: Any = Field(
        description="The request's body, secrets masked, and what its path names besides the resource."
    )
    ip_address: str
    user_agent: str
    status_code: int = Field(description="499 when the caller left before the answer.")
    error_message: str
    request_id: str
    created_at: datetime


class AuditList(BaseModel):
    """One page of the audit log."""

    object: Literal["list"]
    data: list[AuditEntry]
    first_id: str
    last_id: str
    has_more: bool
    total: int


def audit_list(page: AuditPage) -> dict[str, Any]:
    """A page of the audit log as it travels."""
    return {
        "object": "list",
        "data": [_members(entry) for entry in page.entries],
        "first_id": str(page.entries[0].id) if page.entries else "",
        "last_id": str(page.entries[-1].id) if page.entries else "",
        "has_more": page.has_more,
        "total": page.total,
    }


def _members(entry: AuditLog) -> dict[str, Any]:
    return {name: getattr(entry, name) for name in AuditEntry.model_fields}
