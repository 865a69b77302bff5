"""The route with which administrators read the audit log."""

from __future__ import annotations

from datetime import UTC, datetime

from fastapi import APIRouter, Depends, Response
from starlette.requests import Request

from jan_server.http.errors import invalid_request
from jan_server.http.json_body import OrjsonResponse
from jan_server.http.pagination import page_request
from jan_server.services.llm_api.audit import AuditFilter, list_entries
from jan_server.services.llm_api.resources import Open
from jan_server.services.llm_api.routes.caller import require_admin
from jan_server.services.llm_api.routes.listing import (
    choice_filter,
    page_parameters,
    query_parameter,
    text_filter,
)
from jan_server.services.llm_api.schemas.audit import AuditList, audit_list
from jan_server.services.llm_api.schemas.error import errors

router = APIRouter(
    prefix="/v1/admin/audit-logs",
    tags=["audit log"],
    dependencies=[Depends(require_admin)],
    responses=errors(400, 401, 403, 429),
)

ENTRIES_A_PAGE = 500
_TEXTS = ("admin_user_id", "admin_email", "action", "resource_type", "resource_id", "request_id")
_MOMENT = {"type": "string", "format": "date-time"}


@router.get(
    "",
    summary="Read the audit log",
    response_model=AuditList,
    openapi_extra=page_parameters(
        *(query_parameter(name, "") for name in _TEXTS),
        query_parameter("failed", "Only what failed, or only what succeeded.", {"type": "boolean"}),
        query_parameter("since", "Nothing earlier than this.", _MOMENT),
        query_parameter("until", "Nothing at this moment or later.", _MOMENT),
        maximum=ENTRIES_A_PAGE,
    ),
)
async def list_audit_logs(request: Request, opened: Open) -> Response:
    """What administrators wrote, the newest first unless `order` says otherwise."""
    page = page_request(request.query_params, maximum=ENTRIES_A_PAGE)
    wanted = AuditFilter(
        equal={name: text for name in _TEXTS if (text := text_filter(request, name)) is not None},
        failed=choice_filter(request, "failed"),
        since=_moment(request, "since"),
        until=_moment(request, "until"),
    )
    async with opened.database.session() as session:
        return OrjsonResponse(audit_list(await list_entries(session, page, wanted)))


def _moment(request: Request, name: str) -> datetime | None:
    text = request.query_params.get(name, "")
    if not text:
        return None
    try:
        # A plus sign in a query that was not escaped arrives as a blank.
        moment = datetime.fromisoformat(text.replace(" ", "+"))
    except ValueError:
        raise invalid_request(f"{name} must be a time such as 2026-01-31T12:00:00Z", param=name) from None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
