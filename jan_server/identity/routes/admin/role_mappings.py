"""The admin API's memberships: which roles and groups a user has, and which roles a group brings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import APIRouter
from sqlalchemy import delete
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col
from starlette.requests import Request
from starlette.responses import Response

from jan_server.http.json_body import OrjsonResponse
from jan_server.identity.errors import not_found
from jan_server.identity.groups import (
    GroupTree,
    groups_of_user,
    join_group,
    leave_group,
    read_groups,
    roles_of_group,
)
from jan_server.identity.roles import Role, give_roles, roles_of_user, take_roles
from jan_server.identity.routes.admin.access import (
    MANAGE_USERS,
    VIEW_GROUPS,
    VIEW_USERS,
    Call,
    admin_call,
    read_list,
)
from jan_server.identity.tables import GroupRoleRow, GroupRow
from jan_server.identity.user_search import page_of
from jan_server.identity.users import get_user

router = APIRouter(prefix="/admin/realms/{realm}", tags=["admin: memberships"])

_REALM_ROLES = "/users/{user_id}/role-mappings/realm"
_CLIENT_ROLES = "/users/{user_id}/role-mappings/clients/{client}"
_GROUP_ROLES = "/groups/{group_id}/role-mappings/realm"


@router.get(_REALM_ROLES)
@router.get(_CLIENT_ROLES)
async def list_roles(request: Request) -> Response:
    """The roles that were given to a user directly."""
    async with admin_call(request, VIEW_USERS) as call:
        held = await _held(call, request)
    return OrjsonResponse([role.representation() for role in held])


@router.get(_REALM_ROLES + "/composite")
@router.get(_CLIENT_ROLES + "/composite")
async def list_effective_roles(request: Request) -> Response:
    """The roles that a user has in the end: given, and brought by other roles."""
    async with admin_call(request, VIEW_USERS) as call:
        user = await get_user(call.session, call.realm, request.path_params["user_id"])
        every = call.realm.roles.expand(await roles_of_user(call.session, user.id))
        owner = _owner(call, request)
    return OrjsonResponse([role.representation() for role in every if role.client == owner])


@router.get(_REALM_ROLES + "/available")
@router.get(_CLIENT_ROLES + "/available")
async def list_further_roles(request: Request) -> Response:
    """The roles that a user was not given."""
    async with admin_call(request, VIEW_USERS) as call:
        held = {role.id for role in await _held(call, request)}
        owner = _owner(call, request)
    further = [
        role for role in call.realm.roles.by_id.values() if role.client == owner and role.id not in held
    ]
    return OrjsonResponse([role.representation() for role in further])


@router.post(_REALM_ROLES, status_code=204)
@router.post(_CLIENT_ROLES, status_code=204)
async def give(request: Request) -> Response:
    """Give a user roles; those that it has do not matter."""
    async with admin_call(request, MANAGE_USERS) as call:
        roles = _roles(call, request, await read_list(request))
        user = await get_user(call.session, call.realm, request.path_params["user_id"])
        await give_roles(call.session, user.id, roles)
    return Response(status_code=204)


@router.delete(_REALM_ROLES, status_code=204)
@router.delete(_CLIENT_ROLES, status_code=204)
async def take(request: Request) -> Response:
    """Take roles from a user; those that it lacks do not matter."""
    async with admin_call(request, MANAGE_USERS) as call:
        user = await get_user(call.session, call.realm, request.path_params["user_id"])
        body = await read_list(request) if await request.body() else None
        roles = _roles(call, request, body) if body is not None else await _held(call, request)
        for role in roles:
            call.require_role(role)
        await take_roles(call.session, user.id, roles)
    return Response(status_code=204)


@router.get("/users/{user_id}/groups")
async def list_groups(request: Request) -> Response:
    """The groups that a user is in, by path."""
    query = dict(request.query_params)
    first, maximum = page_of(query, None)
    full = query.get("briefRepresentation", "").lower() == "false"
    search = query.get("search", "").lower()
    async with admin_call(request, VIEW_USERS) as call:
        user = await get_user(call.session, call.realm, request.path_params["user_id"])
        joined = await groups_of_user(call.session, user.id)
        tree = await read_groups(call.session, call.realm)
    rows = sorted(
        (tree.by_id[group] for group in joined if search in tree.by_id[group].name.lower()), key=tree.path
    )
    end = None if maximum is None else first + maximum
    return OrjsonResponse([tree.representation(row, full=full, counted=False) for row in rows[first:end]])


@router.get("/users/{user_id}/groups/count")
async def count_groups(request: Request) -> Response:
    """How many groups a user is in."""
    async with admin_call(request, VIEW_USERS) as call:
        user = await get_user(call.session, call.realm, request.path_params["user_id"])
        return OrjsonResponse({"count": len(await groups_of_user(call.session, user.id))})


@router.put("/users/{user_id}/groups/{group_id}", status_code=204)
async def join(request: Request) -> Response:
    """Put a user into a group."""
    async with admin_call(request, MANAGE_USERS) as call:
        user_id, tree, group = await _member_and_group(call, request)
        await call.require_group(tree, group)
        await join_group(call.session, user_id, group.id)
    return Response(status_code=204)


@router.delete("/users/{user_id}/groups/{group_id}", status_code=204)
async def leave(request: Request) -> Response:
    """Take a user out of a group."""
    async with admin_call(request, MANAGE_USERS) as call:
        user_id, _, group = await _member_and_group(call, request)
        await leave_group(call.session, user_id, group.id)
    return Response(status_code=204)


@router.get(_GROUP_ROLES)
async def list_roles_of_group(request: Request) -> Response:
    """The roles that every member of a group has."""
    async with admin_call(request, VIEW_GROUPS) as call:
        tree = await read_groups(call.session, call.realm)
        group = tree.get(request.path_params["group_id"])
        roles = await roles_of_group(call.session, call.realm, tree, group)
    return OrjsonResponse([role.representation() for role in roles if role.client is None])


@router.post(_GROUP_ROLES, status_code=204)
async def give_to_group(request: Request) -> Response:
    """Give roles to every member of a group."""
    async with admin_call(request, MANAGE_USERS) as call:
        group = (await read_groups(call.session, call.realm)).get(request.path_params["group_id"])
        roles = _roles(call, request, await read_list(request))
        if roles:
            links = [{"group_id": group.id, "role_id": role.id} for role in roles]
            await call.session.exec(insert(GroupRoleRow).values(links).on_conflict_do_nothing())
    return Response(status_code=204)


@router.delete(_GROUP_ROLES, status_code=204)
async def take_from_group(request: Request) -> Response:
    """Take roles from the members of a group."""
    async with admin_call(request, MANAGE_USERS) as call:
        group = (await read_groups(call.session, call.realm)).get(request.path_params["group_id"])
        roles = _roles(call, request, await read_list(request))
        await call.session.exec(
            delete(GroupRoleRow).where(
                col(GroupRoleRow.group_id) == group.id,
                col(GroupRoleRow.role_id).in_([role.id for role in roles]),
            )
        )
    return Response(status_code=204)


async def _held(call: Call, request: Request) -> Sequence[Role]:
    user = await get_user(call.session, call.realm, request.path_params["user_id"])
    owner = _owner(call, request)
    roles = [call.realm.roles.by_id.get(role) for role in await roles_of_user(call.session, user.id)]
    return [role for role in roles if role is not None and role.client == owner]


def _owner(call: Call, request: Request) -> str | None:
    """The client whose roles the path means, by its id; None for the realm's."""
    client = request.path_params.get("client")
    if client is not None and client not in call.realm.clients_by_id:
        raise not_found("Client not found")
    return client


def _roles(call: Call, request: Request, named: Sequence[Mapping[str, Any]]) -> Sequence[Role]:
    """The roles that a body tells by id and name; the caller may hand on only what it has itself."""
    owner = _owner(call, request)
    found = []
    for one in named:
        role = call.realm.roles.by_id.get(str(one.get("id", "")))
        if role is None or role.client != owner or role.name != one.get("name"):
            raise not_found("Role not found")
        call.require_role(role)
        found.append(role)
    return found


async def _member_and_group(call: Call, request: Request) -> tuple[str, GroupTree, GroupRow]:
    user = await get_user(call.session, call.realm, request.path_params["user_id"])
    tree = await read_groups(call.session, call.realm)
    group = tree.by_id.get(request.path_params["group_id"])
    if group is None:
        raise not_found("Group not found")
    return user.id, tree, group
