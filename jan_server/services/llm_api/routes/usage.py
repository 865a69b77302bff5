"""The routes of usage: the caller's own, a project's, and the platform's.

Source: contract/llm-api.md, section 21.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import date, timedelta
from typing import Any
from uuid import UUID

from fastapi import APIRouter
from sqlmodel.ext.asyncio.session import AsyncSession
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from jan_server.database.engine import Database
from jan_server.http.errors import invalid_request
from jan_server.http.json_body import OrjsonResponse
from jan_server.services.llm_api.projects import find_project
from jan_server.services.llm_api.resources import Open
from jan_server.services.llm_api.routes.caller import CallerAdmin, CallerUser
from jan_server.services.llm_api.routes.listing import query_parameter, text_filter
from jan_server.services.llm_api.schemas.error import errors
from jan_server.services.llm_api.schemas.usage import (
    CSV_TYPE,
    DailyUsage,
    UsageNames,
    UsageReport,
    csv_line,
    group_columns,
    group_members,
    period_members,
    usage_members,
)
from jan_server.services.llm_api.tables import now
from jan_server.services.llm_api.usage import (
    GROUPINGS,
    TOP_USERS,
    UsageFilter,
    UsageGroup,
    each_group,
    grouped_usage,
    hold_still,
    key_names,
    total_usage,
    user_names,
)

router = APIRouter(prefix="/v1", tags=["usage"], responses=errors(400, 401))

USUAL_DAYS = 30
MOST_DAYS = 731
_MOST_NUMBER = 2**31 - 1
_EARLIEST = date(1970, 1, 1)
_CSV_CHUNK = 500

_PERIOD = (
    query_parameter(
        "start_date",
        "The first day (UTC); 29 days before the last by default.",
        {"type": "string", "format": "date"},
    ),
    query_parameter(
        "end_date", "The last day (UTC); today by default.", {"type": "string", "format": "date"}
    ),
    query_parameter(
        "format",
        "`csv` for CSV, as `Accept: text/csv` does.",
        {"type": "string", "enum": ["json", "csv"], "default": "json"},
    ),
)
_GROUP_BY = query_parameter(
    "group_by",
    f"A comma list of {', '.join(GROUPINGS)}: adds `data`, and chooses the columns of CSV.",
)
_FILTERS = tuple(query_parameter(name, "") for name in ("model", "provider", "project_id", "key_id"))
_CSV: dict[int | str, dict[str, Any]] = {200: {"content": {CSV_TYPE: {"schema": {"type": "string"}}}}}


@router.get(
    "/usage/me",
    summary="The caller's usage",
    response_model=UsageReport,
    openapi_extra={"parameters": [*_PERIOD, _GROUP_BY, *_FILTERS]},
    responses=_CSV,
)
async def own(request: Request, opened: Open, caller: CallerUser) -> Response:
    """Tokens, calls and costs, by model, provider, key and project."""
    wanted = replace(_wanted(request), user_id=caller.id)
    by = _group_by(request, ("key", "project", "model", "provider", "day"))
    if _wants_csv(request):
        return _csv(opened.database, wanted, by or ("day", "key", "project", "model", "provider"))
    async with opened.database.session() as session:
        await hold_still(session)
        report = await _report(session, wanted, by, further={"by_key": "key", "by_project": "project"})
    return OrjsonResponse(report)


@router.get(
    "/usage/me/daily",
    summary="The caller's usage, day by day",
    response_model=DailyUsage,
    openapi_extra={"parameters": [*_PERIOD, *_FILTERS]},
    responses=_CSV,
)
async def own_daily(request: Request, opened: Open, caller: CallerUser) -> Response:
    """The oldest day first; days without usage are left out."""
    wanted = replace(_wanted(request), user_id=caller.id)
    if _wants_csv(request):
        return _csv(opened.database, wanted, ("day",))
    async with opened.database.session() as session:
        days = await grouped_usage(session, wanted, ["day"], largest_first=False)
    data = [group_members(day, UsageNames()) for day in days]
    return OrjsonResponse({"period": period_members(wanted), "data": data})


@router.get(
    "/usage/projects/{project_id}",
    summary="The usage of a project",
    response_model=UsageReport,
    openapi_extra={"parameters": [*_PERIOD, _GROUP_BY, *(p for p in _FILTERS if p["name"] != "project_id")]},
    responses={**_CSV, **errors(404)},
)
async def of_project(request: Request, opened: Open, caller: CallerUser, project_id: str) -> Response:
    """What was used in the conversations of one of the caller's projects, and with the keys bound to it."""
    by = _group_by(request, ("key", "model", "provider", "day"))
    async with opened.database.session() as session:
        await hold_still(session)
        project = await find_project(session, caller.id, project_id)
        wanted = replace(_wanted(request), project_id=project.public_id)
        if not _wants_csv(request):
            return OrjsonResponse(await _report(session, wanted, by, further={"by_key": "key"}))
    return _csv(opened.database, wanted, by or ("day", "key", "model", "provider"))


@router.get(
    "/admin/usage",
    summary="The usage of the platform",
    response_model=UsageReport,
    openapi_extra={
        "parameters": [*_PERIOD, _GROUP_BY, *_FILTERS, query_parameter("user_id", "A local number.")]
    },
    responses={**_CSV, **errors(403, 429)},
)
async def of_platform(request: Request, opened: Open, admin: CallerAdmin) -> Response:
    """Everybody's; the filters narrow it down to one user, key, project, model or provider."""
    wanted = replace(_wanted(request), user_id=_number(request, "user_id"))
    by = _group_by(request, tuple(GROUPINGS))
    if _wants_csv(request):
        return _csv(opened.database, wanted, by or tuple(GROUPINGS))
    async with opened.database.session() as session:
        await hold_still(session)
        report = await _report(session, wanted, by, further={"by_key": "key", "by_project": "project"})
        top = await grouped_usage(session, wanted, ["user"], most=TOP_USERS)
        names = await _names(session, top)
    report["top_users"] = [group_members(group, names) for group in top]
    return OrjsonResponse(report)


async def _report(
    session: AsyncSession, wanted: UsageFilter, by: Sequence[str], *, further: dict[str, str]
) -> dict[str, Any]:
    groupings = {"by_model": ["model", "provider"], "by_provider": ["provider"]}
    groupings |= {member: [name] for member, name in further.items()}
    if by:
        groupings["data"] = list(by)
    found = {
        member: await grouped_usage(session, wanted, names, largest_first=member != "data")
        for member, names in groupings.items()
    }
    names = await _names(session, [group for groups in found.values() for group in groups])
    return {
        "period": period_members(wanted),
        "total_usage": usage_members(await total_usage(session, wanted)),
        **{member: [group_members(group, names) for group in groups] for member, groups in found.items()},
    }


async def _names(session: AsyncSession, groups: Sequence[UsageGroup]) -> UsageNames:
    users = {group.place["user"] for group in groups if group.place.get("user") is not None}
    keys = {group.place["key"] for group in groups if group.place.get("key") is not None}
    return UsageNames(
        users=await user_names(session, list(users)) if users else {},
        keys=await key_names(session, list(keys)) if keys else {},
    )


def _csv(database: Database, wanted: UsageFilter, by: Sequence[str]) -> Response:
    name = f"usage-{wanted.first.isoformat()}-{wanted.last.isoformat()}.csv"
    return StreamingResponse(
        csv_lines(database, wanted, by),
        media_type=CSV_TYPE,
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


async def csv_lines(
    database: Database, wanted: UsageFilter, by: Sequence[str], *, at_once: int = _CSV_CHUNK
) -> AsyncIterator[bytes]:
    """All groups and their names as of one moment, so many lines at a time; the first names the columns."""
    yield csv_line(group_columns(by))
    async with database.session() as session:
        await hold_still(session)
        waiting: list[UsageGroup] = []
        async for group in each_group(session, wanted, by):
            waiting.append(group)
            if len(waiting) >= at_once:
                yield _lines(waiting, await _names(session, waiting))
                waiting = []
        yield _lines(waiting, await _names(session, waiting))


def _lines(groups: Sequence[UsageGroup], names: UsageNames) -> bytes:
    return b"".join(csv_line(list(group_members(group, names).values())) for group in groups)


def _wants_csv(request: Request) -> bool:
    asked = request.query_params.get("format", "").lower()
    if asked not in ("", "json", "csv"):
        raise invalid_request("format must be json or csv", param="format")
    return asked == "csv" or (not asked and request.headers.get("accept", "").startswith(CSV_TYPE))


def _wanted(request: Request) -> UsageFilter:
    """The filter of a query; ApiError 400 names the parameter at fault."""
    last = _day(request, "end_date") or now().date()
    first = _day(request, "start_date") or max(last, _EARLIEST) - timedelta(days=USUAL_DAYS - 1)
    if first > last:
        raise invalid_request("start_date must not be behind end_date", param="start_date")
    if (last - first).days >= MOST_DAYS:
        raise invalid_request(f"at most {MOST_DAYS} days can be asked for at once", param="start_date")
    return UsageFilter(
        first,
        last,
        key_id=_key(request),
        project_id=text_filter(request, "project_id"),
        model=text_filter(request, "model"),
        provider=text_filter(request, "provider"),
    )


def _day(request: Request, name: str) -> date | None:
    text = request.query_params.get(name)
    if not text:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise invalid_request(f"{name} must be a day such as 2026-01-31", param=name) from None


def _key(request: Request) -> UUID | None:
    text = request.query_params.get("key_id")
    if not text:
        return None
    try:
        return UUID(text)
    except ValueError:
        raise invalid_request("key_id must be the id of an API key", param="key_id") from None


def _number(request: Request, name: str) -> int | None:
    text = request.query_params.get(name)
    if not text:
        return None
    if not (text.isascii() and text.isdigit()) or len(text) > 10 or int(text) > _MOST_NUMBER:
        raise invalid_request(f"{name} must be a whole number", param=name)
    return int(text)


def _group_by(request: Request, allowed: Sequence[str]) -> list[str]:
    given = [name.strip() for name in request.query_params.get("group_by", "").split(",") if name.strip()]
    for name in given:
        if name not in allowed:
            raise invalid_request(f"group_by takes {', '.join(allowed)}", param="group_by")
    return list(dict.fromkeys(given))
