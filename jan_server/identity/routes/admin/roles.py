"""The admin API's roles: those of the realm and of its clients, by name and by id."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import APIRouter
from sqlmodel import col, select
from starlette.requests import Request
from starlette.responses import Response

from jan_server.http.json_body import OrjsonResponse
from jan_server.identity.errors import IdentityError, bad_request, not_found
from jan_server.identity.groups import read_groups
from jan_server.identity.roles import (
    Role,
    add_composites,
    create_role,
    delete_role,
    remove_composites,
    update_role,
    users_with_role,
)
from jan_server.identity.routes.admin.access import (
    LIST_ROLES,
    MANAGE_CLIENTS,
    MANAGE_ROLES,
    VIEW_CLIENTS,
    VIEW_ROLES,
    VIEW_USERS,
    Call,
    admin_call,
    location_of,
    read_list,
    read_object,
)
from jan_server.identity.tables import GroupRoleRow
from jan_server.identity.user_search import page_of
from jan_server.identity.users import representation

router = APIRouter(prefix="/admin/realms/{realm}", tags=["admin: roles"])

_OF_REALM = "/roles"
_OF_CLIENT = "/clients/{client}/roles"
_BY_ID = "/roles-by-id/{role_id}"


@router.get(_OF_REALM)
@router.get(_OF_CLIENT)
async def list_roles(request: Request) -> Response:
    """The roles of the realm, or of a client, by name."""
    query = dict(request.query_params)
    first, maximum = page_of(query, None)
    brief = query.get("briefRepresentation", "").lower() != "false"
    search = query.get("search", "").lower()
    async with admin_call(request, _rights(request, LIST_ROLES, VIEW_CLIENTS)) as call:
        roles = _siblings(call, request)
    found = [roles[name] for name in sorted(roles) if search in name.lower()]
    end = None if maximum is None else first + maximum
    return OrjsonResponse([role.representation(brief=brief) for role in found[first:end]])


@router.post(_OF_REALM, status_code=201)
@router.post(_OF_CLIENT, status_code=201)
async def make_role(request: Request) -> Response:
    """Make a role."""
    async with admin_call(request, _rights(request, MANAGE_ROLES, MANAGE_CLIENTS)) as call:
        body = await read_object(request)
        _siblings(call, request)
        row = await create_role(
            call.session, call.realm.roles, call.realm.id, request.path_params.get("client"), body
        )
        await call.touch()
    return Response(status_code=201, headers={"location": location_of(request, row.name)})


@router.get(_OF_REALM + "/{name}")
@router.get(_OF_CLIENT + "/{name}")
@router.get(_BY_ID)
async def show_role(request: Request) -> Response:
    """One role."""
    async with admin_call(request, _rights(request, VIEW_ROLES, VIEW_CLIENTS)) as call:
        role = _role(call, request)
    return OrjsonResponse(role.representation(brief=False))


@router.put(_OF_REALM + "/{name}", status_code=204)
@router.put(_OF_CLIENT + "/{name}", status_code=204)
@router.put(_BY_ID, status_code=204)
async def change_role(request: Request) -> Response:
    """Change a role."""
    async with admin_call(request, _rights(request, MANAGE_ROLES, MANAGE_CLIENTS)) as call:
        role = _role(call, request)
        call.require_role(role)
        body = await read_object(request)
        if role.client is None and body.get("name", role.name) != role.name == call.realm.default_role:
            raise bad_request(f"name: {role.name} is the default role of the realm", field="name")
        await update_role(call.session, call.realm.roles, role, body)
        await call.touch()
    return Response(status_code=204)


@router.delete(_OF_REALM + "/{name}", status_code=204)
@router.delete(_OF_CLIENT + "/{name}", status_code=204)
@router.delete(_BY_ID, status_code=204)
async def remove_role(request: Request) -> Response:
    """Remove a role from everybody who has it."""
    async with admin_call(request, _rights(request, MANAGE_ROLES, MANAGE_CLIENTS)) as call:
        role = _role(call, request)
        if role.client is None and role.name == call.realm.default_role:
            raise IdentityError(
                400, {"error": f"{role.name} is default role of the realm and cannot be removed."}
            )
        call.require_role(role)
        await delete_role(call.session, role)
        await call.touch()
    return Response(status_code=204)


@router.get(_OF_REALM + "/{name}/users")
@router.get(_OF_CLIENT + "/{name}/users")
async def list_users(request: Request) -> Response:
    """The users that were given a role directly."""
    first, maximum = page_of(dict(request.query_params))
    async with admin_call(request, VIEW_USERS) as call:
        role = _role(call, request)
        rows = await users_with_role(call.session, role, first=first, maximum=maximum)
    return OrjsonResponse([representation(row) for row in rows])


@router.get(_OF_REALM + "/{name}/groups")
@router.get(_OF_CLIENT + "/{name}/groups")
async def list_groups(request: Request) -> Response:
    """The groups that bring a role."""
    async with admin_call(request, VIEW_USERS) as call:
        role = _role(call, request)
        rows = await call.session.exec(
            select(GroupRoleRow.group_id).where(col(GroupRoleRow.role_id) == role.id)
        )
        ids = rows.all()
        tree = await read_groups(call.session, call.realm)
    return OrjsonResponse([tree.representation(tree.by_id[one], full=False, counted=False) for one in ids])


@router.get(_OF_REALM + "/{name}/composites")
@router.get(_OF_REALM + "/{name}/composites/realm")
@router.get(_OF_CLIENT + "/{name}/composites")
@router.get(_BY_ID + "/composites")
@router.get(_BY_ID + "/composites/realm")
async def list_composites(request: Request) -> Response:
    """The roles that a role brings with it."""
    async with admin_call(request, _rights(request, VIEW_ROLES, VIEW_CLIENTS)) as call:
        children: Sequence[Role] = call.realm.roles.children(_role(call, request).id)
    if request.url.path.endswith("/realm"):
        children = [role for role in children if role.client is None]
    return OrjsonResponse([role.representation() for role in children])


@router.post(_OF_REALM + "/{name}/composites", status_code=204)
@router.post(_OF_CLIENT + "/{name}/composites", status_code=204)
@router.post(_BY_ID + "/composites", status_code=204)
async def add_to_composite(request: Request) -> Response:
    """Let a role bring further roles with it."""
    async with admin_call(request, _rights(request, MANAGE_ROLES, MANAGE_CLIENTS)) as call:
        role = _role(call, request)
        await add_composites(call.session, role, _named(call, await read_list(request)))
        await call.touch()
    return Response(status_code=204)


@router.delete(_OF_REALM + "/{name}/composites", status_code=204)
@router.delete(_OF_CLIENT + "/{name}/composites", status_code=204)
@router.delete(_BY_ID + "/composites", status_code=204)
async def take_from_composite(request: Request) -> Response:
    """Let a role bring fewer roles with it."""
    async with admin_call(request, _rights(request, MANAGE_ROLES, MANAGE_CLIENTS)) as call:
        role = _role(call, request)
        await remove_composites(call.session, role, _named(call, await read_list(request)))
        await call.touch()
    return Response(status_code=204)


def _rights(request: Request, of_realm: tuple[str, ...], of_client: tuple[str, ...]) -> tuple[str, ...]:
    return of_client if "client" in request.path_params else of_realm


def _siblings(call: Call, request: Request) -> Mapping[str, Role]:
    client = request.path_params.get("client")
    if client is None:
        return call.realm.roles.of_realm
    if client not in call.realm.clients_by_id:
        raise not_found("Could not find client")
    return call.realm.roles.of_client(client)


def _role(call: Call, request: Request) -> Role:
    if "role_id" in request.path_params:
        role = call.realm.roles.by_id.get(request.path_params["role_id"])
        if role is None:
            raise not_found("Could not find role with id")
        return role
    found = _siblings(call, request).get(request.path_params["name"])
    if found is None:
        raise not_found("Could not find role")
    return found


def _named(call: Call, named: Sequence[Mapping[str, Any]]) -> Sequence[Role]:
    found = []
    for one in named:
        role = call.realm.roles.by_id.get(str(one.get("id", "")))
        if role is None:
            raise not_found("Could not find composite role")
        call.require_role(role)
        found.append(role)
    return found
