"""The routes with which administrators keep users, their roles and their groups.

Source: contract/llm-api.md, section 17.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Response
from starlette.requests import Request

from jan_server.http.json_body import OrjsonResponse
from jan_server.http.typed_body import body_of, documented
from jan_server.services.llm_api import user_administration as users
from jan_server.services.llm_api.resources import Open, Resources
from jan_server.services.llm_api.routes.caller import require_admin
from jan_server.services.llm_api.routes.listing import (
    choice_filter,
    number_filter,
    query_parameter,
    text_filter,
)
from jan_server.services.llm_api.schemas.error import errors
from jan_server.services.llm_api.schemas.user_administration import (
    Made,
    NewPassword,
    NewUser,
    UserChanges,
    UserInfo,
    UserList,
    user_members,
)

router = APIRouter(
    prefix="/v1/admin/users",
    tags=["users"],
    dependencies=[Depends(require_admin)],
    responses=errors(400, 401, 403, 404, 429, 502, 503),
)

USERS_A_PAGE = 50
_FLAG = {"type": "boolean"}


@router.get(
    "",
    summary="List users",
    response_model=UserList,
    openapi_extra={
        "parameters": [
            query_parameter("first", "How many to skip.", {"type": "integer", "minimum": 0, "default": 0}),
            query_parameter("max", "", {"type": "integer", "minimum": 0, "default": USERS_A_PAGE}),
            query_parameter("search", "The beginning of a username, an e-mail address or a name."),
            query_parameter("enabled", "Only active users, or only inactive ones.", _FLAG),
            query_parameter("group_id", "Only members of this group."),
            query_parameter("role", "Only users who were given this realm role."),
            query_parameter("exclude_guests", "", {"type": "boolean", "default": False}),
        ]
    },
)
async def list_users(request: Request, opened: Open) -> Response:
    """By username. All filters that are given have to hold."""
    found = await users.list_users(
        opened.identity,
        users.UserFilter(
            search=text_filter(request, "search"),
            enabled=choice_filter(request, "enabled"),
            group_id=text_filter(request, "group_id"),
            role=text_filter(request, "role"),
            exclude_guests=choice_filter(request, "exclude_guests") or False,
        ),
        first=number_filter(request, "first", 0),
        maximum=number_filter(request, "max", USERS_A_PAGE),
    )
    return OrjsonResponse({"data": [user_members(account) for account in found]})


@router.post(
    "",
    status_code=201,
    summary="Make a user",
    response_model=Made,
    openapi_extra=documented(NewUser),
    responses=errors(409),
)
async def create_user(opened: Open, body: Annotated[NewUser, Depends(body_of(NewUser))]) -> Made:
    """The user joins the realm's default groups."""
    made = await users.create_user(
        opened.identity,
        email=body.email,
        username=body.username,
        first_name=body.first_name,
        last_name=body.last_name,
        enabled=body.enabled is not False,
        password=body.password,
    )
    return Made(id=made)


@router.get("/{user_id}", summary="Read a user", response_model=UserInfo, response_model_exclude_unset=True)
async def read_user(opened: Open, user_id: str) -> Response:
    """One user with its roles, groups and feature flags."""
    account, rights = await users.read_user(opened.accounts, user_id)
    return OrjsonResponse(user_members(account, rights))


@router.patch(
    "/{user_id}",
    summary="Change a user",
    response_class=Response,
    openapi_extra=documented(UserChanges),
    responses=errors(409),
)
async def update_user(
    opened: Open, user_id: str, body: Annotated[UserChanges, Depends(body_of(UserChanges))]
) -> Response:
    """What is left out stays. `username` is accepted and has no effect."""
    async with opened.database.session() as session:
        await users.update_user(
            opened.identity,
            session,
            user_id,
            email=body.email,
            first_name=body.first_name,
            last_name=body.last_name,
            enabled=body.enabled,
        )
    return _changed(opened, user_id)


@router.delete("/{user_id}", status_code=204, summary="Remove a user", response_class=Response)
async def delete_user(opened: Open, user_id: str) -> Response:
    """The user's keys are refused at once, and its conversations, projects and shares are gone.

    Access tokens that are out run out by themselves.
    """
    issuer = opened.settings.infrastructure.auth.keycloak.issuer
    async with opened.database.session() as session:
        await users.delete_user(opened.identity, session, issuer=issuer, user_id=user_id)
    opened.users.forget(issuer, user_id)
    opened.key_check.forget(user_id)
    return Response(status_code=204)


@router.put(
    "/{user_id}/password",
    status_code=204,
    summary="Give a user another password",
    response_class=Response,
    openapi_extra=documented(NewPassword),
)
async def set_password(
    opened: Open, user_id: str, body: Annotated[NewPassword, Depends(body_of(NewPassword))]
) -> Response:
    """It is permanent."""
    await users.set_password(opened.accounts, user_id, body.password)
    return Response(status_code=204)


@router.post("/{user_id}/activate", summary="Let a user in again", response_class=Response)
async def activate_user(opened: Open, user_id: str) -> Response:
    """An active user stays active."""
    async with opened.database.session() as session:
        await users.update_user(opened.identity, session, user_id, enabled=True)
    return _changed(opened, user_id)


@router.post("/{user_id}/deactivate", summary="Lock a user out", response_class=Response)
async def deactivate_user(opened: Open, user_id: str) -> Response:
    """Sessions end and keys are refused at once; access tokens that are out run out by themselves."""
    async with opened.database.session() as session:
        await users.update_user(opened.identity, session, user_id, enabled=False)
    return _changed(opened, user_id)


@router.post("/{user_id}/roles/{role}", summary="Give a user a realm role", response_class=Response)
async def add_role(opened: Open, user_id: str, role: str) -> Response:
    """It is in the user's next token."""
    await users.add_role(opened.accounts, user_id, role)
    return _changed(opened, user_id)


@router.delete("/{user_id}/roles/{role}", summary="Take a realm role from a user", response_class=Response)
async def remove_role(opened: Open, user_id: str, role: str) -> Response:
    """A user who lacks the role is no error."""
    await users.remove_role(opened.accounts, user_id, role)
    return _changed(opened, user_id)


@router.post("/{user_id}/groups/{group_id}", summary="Put a user into a group", response_class=Response)
async def join_group(opened: Open, user_id: str, group_id: str) -> Response:
    """The group's feature flags are in the user's next token."""
    await users.join_group(opened.identity, user_id, group_id)
    return _changed(opened, user_id)


@router.delete("/{user_id}/groups/{group_id}", summary="Take a user out of a group", response_class=Response)
async def leave_group(opened: Open, user_id: str, group_id: str) -> Response:
    """A user who is not in the group is no error."""
    await users.leave_group(opened.identity, user_id, group_id)
    return _changed(opened, user_id)


def _changed(opened: Resources, user_id: str) -> Response:
    # Keys carry their owner's rights, which are remembered for a while.
    opened.key_check.forget(user_id)
    return Response(status_code=200)
