"""The routes with which administrators define feature flags (contract/llm-api.md, section 17)."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Response

from jan_server.http.json_body import OrjsonResponse
from jan_server.http.typed_body import body_of, documented
from jan_server.services.llm_api import feature_flags as flags
from jan_server.services.llm_api.group_administration import change_carried_flags, without
from jan_server.services.llm_api.refusals import Missing
from jan_server.services.llm_api.resources import Open
from jan_server.services.llm_api.routes.caller import require_admin
from jan_server.services.llm_api.schemas.error import errors
from jan_server.services.llm_api.schemas.feature_flag import FlagChanges, FlagList, NewFlag, flag_members

router = APIRouter(
    prefix="/v1/admin/feature-flags",
    tags=["feature flags"],
    dependencies=[Depends(require_admin)],
    responses=errors(401, 403, 429),
)


@router.get("", summary="List feature flags", response_model=FlagList)
async def list_flags(opened: Open) -> Response:
    """By key."""
    async with opened.database.session() as session:
        found = await flags.list_flags(session)
    return OrjsonResponse({"data": [flag_members(flag) for flag in found]})


@router.post(
    "",
    status_code=201,
    summary="Define a feature flag",
    response_class=Response,
    openapi_extra=documented(NewFlag),
    responses=errors(400, 409),
)
async def create_flag(opened: Open, body: Annotated[NewFlag, Depends(body_of(NewFlag))]) -> Response:
    """Groups can carry it from now on. Nothing is answered but its address, in `Location`."""
    async with opened.database.session() as session:
        flag = await flags.create_flag(
            session,
            key=body.key,
            name=body.name,
            description=body.description or "",
            category=body.category or "",
        )
    return Response(status_code=201, headers={"Location": f"{router.prefix}/{flag.id}"})


@router.patch(
    "/{flag_id}",
    summary="Change a feature flag",
    response_class=Response,
    openapi_extra=documented(FlagChanges),
    responses=errors(400, 404, 409, 502, 503),
)
async def update_flag(
    opened: Open, flag_id: str, body: Annotated[FlagChanges, Depends(body_of(FlagChanges))]
) -> Response:
    """What is left out stays. Groups that carry the flag and models that ask for it follow a new key."""
    changes = body.model_dump(exclude_none=True)
    async with opened.database.session() as session:
        flag = await flags.find_flag(session, flag_id)
        if flag is None:
            raise Missing("feature flag not found", param="flag_id")
        former, key = flag.key, changes.get("key", flag.key)
        await flags.update_flag(session, flag, changes)
        if key != former:
            await change_carried_flags(
                opened.identity, session, former, lambda carried: [*without(carried, former), key]
            )
    return Response(status_code=200)


@router.delete(
    "/{flag_id}",
    status_code=204,
    summary="Remove a feature flag",
    response_class=Response,
    responses=errors(409, 502, 503),
)
async def delete_flag(opened: Open, flag_id: str) -> Response:
    """Groups lose it too; one that models ask for is 409. An unknown one is no error."""
    async with opened.database.session() as session:
        flag = await flags.find_flag(session, flag_id)
        if flag is not None:
            key = flag.key
            await flags.delete_flag(session, flag)
            await change_carried_flags(opened.identity, session, key, lambda carried: without(carried, key))
    return Response(status_code=204)
