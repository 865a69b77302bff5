"""The routes with which administrators keep groups and the feature flags that they carry.

Source: contract/llm-api.md, section 17.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Response
from starlette.requests import Request

from jan_server.http.json_body import OrjsonResponse
from jan_server.http.typed_body import body_of, documented
from jan_server.services.llm_api import group_administration as groups
from jan_server.services.llm_api.resources import Open
from jan_server.services.llm_api.routes.caller import require_admin
from jan_server.services.llm_api.routes.listing import number_filter, query_parameter
from jan_server.services.llm_api.schemas.error import errors
from jan_server.services.llm_api.schemas.feature_flag import CarriedFlags
from jan_server.services.llm_api.schemas.user_administration import (
    GroupChanges,
    GroupInfo,
    GroupList,
    Made,
    NewGroup,
    UserList,
    group_members,
    user_members,
)

router = APIRouter(
    prefix="/v1/admin/groups",
    tags=["groups"],
    dependencies=[Depends(require_admin)],
    responses=errors(400, 401, 403, 404, 429, 502, 503),
)

GROUPS_A_PAGE = 50
MEMBERS_A_PAGE = 100


def _page_parameters(most: int) -> dict[str, object]:
    return {
        "parameters": [
            query_parameter("first", "How many to skip.", {"type": "integer", "minimum": 0, "default": 0}),
            query_parameter("max", "", {"type": "integer", "minimum": 0, "default": most}),
        ]
    }


@router.get(
    "", summary="List groups", response_model=GroupList, openapi_extra=_page_parameters(GROUPS_A_PAGE)
)
async def list_groups(request: Request, opened: Open) -> Response:
    """The groups at the top, by name."""
    found = await groups.list_groups(
        opened.identity,
        first=number_filter(request, "first", 0),
        maximum=number_filter(request, "max", GROUPS_A_PAGE),
    )
    return OrjsonResponse({"data": [group_members(group) for group in found]})


@router.post(
    "",
    status_code=201,
    summary="Make a group",
    response_model=Made,
    openapi_extra=documented(NewGroup),
    responses=errors(409),
)
async def create_group(opened: Open, body: Annotated[NewGroup, Depends(body_of(NewGroup))]) -> Made:
    """Nobody is in it yet."""
    return Made(id=await groups.create_group(opened.identity, body.name))


@router.get("/{group_id}", summary="Read a group", response_model=GroupInfo)
async def read_group(opened: Open, group_id: str) -> Response:
    """One group with its attributes."""
    return OrjsonResponse(group_members(await groups.find_group(opened.identity, group_id)))


@router.patch(
    "/{group_id}",
    summary="Change a group",
    response_class=Response,
    openapi_extra=documented(GroupChanges),
    responses=errors(409),
)
async def update_group(
    opened: Open, group_id: str, body: Annotated[GroupChanges, Depends(body_of(GroupChanges))]
) -> Response:
    """What is left out stays, attributes that are not named included."""
    async with opened.database.session() as session:
        await groups.update_group(
            opened.identity, session, group_id, name=body.name, attributes=body.attributes
        )
    return Response(status_code=200)


@router.delete("/{group_id}", status_code=204, summary="Remove a group", response_class=Response)
async def delete_group(opened: Open, group_id: str) -> Response:
    """Groups below it go too; its members stay, without its feature flags."""
    await groups.delete_group(opened.identity, group_id)
    return Response(status_code=204)


@router.get(
    "/{group_id}/members",
    summary="List a group's members",
    response_model=UserList,
    openapi_extra=_page_parameters(MEMBERS_A_PAGE),
)
async def list_members(request: Request, opened: Open, group_id: str) -> Response:
    """By username; members of groups below it are not among them."""
    found = await groups.list_members(
        opened.identity,
        group_id,
        first=number_filter(request, "first", 0),
        maximum=number_filter(request, "max", MEMBERS_A_PAGE),
    )
    return OrjsonResponse({"data": [user_members(account) for account in found]})


@router.get("/{group_id}/feature-flags", summary="List a group's feature flags", response_model=CarriedFlags)
async def list_group_flags(opened: Open, group_id: str) -> Response:
    """What its members get."""
    group = await groups.find_group(opened.identity, group_id)
    return OrjsonResponse({"flags": group.feature_flags})


@router.patch(
    "/{group_id}/feature-flags",
    summary="Set a group's feature flags",
    response_class=Response,
    openapi_extra=documented(CarriedFlags),
)
async def replace_group_flags(
    opened: Open, group_id: str, body: Annotated[CarriedFlags, Depends(body_of(CarriedFlags))]
) -> Response:
    """The group carries exactly these from now on; its other attributes stay. Unknown flags are 400."""
    async with opened.database.session() as session:
        await groups.replace_flags(opened.identity, session, group_id, body.flags)
    return Response(status_code=200)


@router.post(
    "/{group_id}/feature-flags/{flag_key}", summary="Let a group carry a flag", response_class=Response
)
async def add_group_flag(opened: Open, group_id: str, flag_key: str) -> Response:
    """It is in the next tokens of its members."""
    async with opened.database.session() as session:
        await groups.add_flag(opened.identity, session, group_id, flag_key)
    return Response(status_code=200)


@router.delete(
    "/{group_id}/feature-flags/{flag_key}", summary="Take a flag from a group", response_class=Response
)
async def remove_group_flag(opened: Open, group_id: str, flag_key: str) -> Response:
    """A group that lacks the flag is no error."""
    async with opened.database.session() as session:
        await groups.remove_flag(opened.identity, session, group_id, flag_key)
    return Response(status_code=200)
