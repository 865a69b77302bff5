"""The error envelope among the answers of a route."""

from __future__ import annotations

from typing import Any

from jan_server.http.error_document import ErrorBody


def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route that may answer with these error statuses.

    Those that follow from what a route has, or from where it is, need not be named
    (`jan_server.http.error_document`, `jan_server.services.llm_api.api_document`).
    """
    return {status: {"model": ErrorBody} for status in statuses}
