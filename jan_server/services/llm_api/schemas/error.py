"""The error envelope as the OpenAPI document shows it."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict


class ErrorDetail(BaseModel):
    """What went wrong, in OpenAI's shape."""

    message: str
    type: str
    code: str | None
    param: str | None


class ErrorBody(BaseModel):
    """The one error envelope of the platform."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "error": {
                    "message": "conversation not found",
                    "type": "not_found_error",
                    "code": "not_found",
                    "param": "conversation",
                },
                "code": "not_found",
                "message": "conversation not found",
                "request_id": "5f1d6f0e-8a0e-4d0c-9a55-3f3f0f6b8f10",
            }
        }
    )

    error: ErrorDetail
    code: str
    message: str
    request_id: str


def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route that may answer with these error statuses."""
    return {status: {"model": ErrorBody} for status in statuses}
