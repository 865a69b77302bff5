"""The admin API's groups: trees, attributes, members, and the groups that new users join."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from jan_server.http.json_body import OrjsonResponse
from jan_server.identity.errors import bad_request, not_found
from jan_server.identity.groups import (
    GroupTree,
    count_groups,
    create_group,
    delete_group,
    members,
    move_group,
    read_groups,
    set_default,
    update_group,
)
from jan_server.identity.routes.admin.access import (
    MANAGE_REALM,
    MANAGE_USERS,
    VIEW_GROUPS,
    VIEW_REALM,
    VIEW_USERS,
    admin_call,
    location_of,
    read_group,
)
from jan_server.identity.tables import GroupRow
from jan_server.identity.user_search import page_of
from jan_server.identity.users import representation

router = APIRouter(prefix="/admin/realms/{realm}", tags=["admin: groups"])


@router.get("/groups")
async def list_groups(request: Request) -> Response:
    """The groups at the top, by name; with `search`, the trees that lead to what was found."""
    query = dict(request.query_params)
    first, maximum = page_of(query, None)
    full = query.get("briefRepresentation", "").lower() == "false"
    async with admin_call(request, VIEW_GROUPS) as call:
        tree = await read_groups(call.session, call.realm)
    if search := query.get("search", "").strip():
        found = tree.search(search, exact=query.get("exact", "").lower() == "true", full=full)
    else:
        found = [tree.representation(row, full=full) for row in tree.children(None)]
    return OrjsonResponse(found[first : None if maximum is None else first + maximum])


@router.get("/groups/count")
async def count(request: Request) -> Response:
    """How many groups there are."""
    query = dict(request.query_params)
    top = query.get("top", "").lower() == "true"
    async with admin_call(request, VIEW_GROUPS) as call:
        number = await count_groups(call.session, call.realm, query.get("search", ""), top=top)
    return OrjsonResponse({"count": number})


@router.post("/groups", status_code=201)
async def make_group(request: Request) -> Response:
    """Make a group at the top; a group whose `id` is given moves there."""
    async with admin_call(request, MANAGE_USERS) as call:
        body = await read_group(request)
        tree = await read_groups(call.session, call.realm)
        if (known := _known(tree, body)) is not None:
            await move_group(call.session, tree, known, None)
            return Response(status_code=204)
        row = await create_group(call.session, call.realm, tree, None, body)
    return Response(status_code=201, headers={"location": location_of(request, row.id)})


@router.get("/groups/{group_id}")
async def show_group(request: Request) -> Response:
    """One group."""
    async with admin_call(request, VIEW_GROUPS) as call:
        tree = await read_groups(call.session, call.realm)
    return OrjsonResponse(tree.representation(tree.get(request.path_params["group_id"])))


@router.put("/groups/{group_id}", status_code=204)
async def change_group(request: Request) -> Response:
    """Change a group's name, and its attributes as a whole."""
    async with admin_call(request, MANAGE_USERS) as call:
        body = await read_group(request)
        tree = await read_groups(call.session, call.realm)
        await update_group(call.session, tree, tree.get(request.path_params["group_id"]), body)
    return Response(status_code=204)


@router.delete("/groups/{group_id}", status_code=204)
async def remove_group(request: Request) -> Response:
    """Remove a group and all below it."""
    async with admin_call(request, MANAGE_USERS) as call:
        tree = await read_groups(call.session, call.realm)
        await delete_group(call.session, tree.get(request.path_params["group_id"]))
    return Response(status_code=204)


@router.get("/groups/{group_id}/children")
async def list_children(request: Request) -> Response:
    """The groups right below one."""
    query = dict(request.query_params)
    first, maximum = page_of(query, None)
    async with admin_call(request, VIEW_GROUPS) as call:
        tree = await read_groups(call.session, call.realm)
    rows = tree.children(tree.get(request.path_params["group_id"]).id)
    end = None if maximum is None else first + maximum
    return OrjsonResponse([tree.representation(row) for row in rows[first:end]])


@router.post("/groups/{group_id}/children", status_code=201)
async def make_child(request: Request) -> Response:
    """Make a group below another one; a group whose `id` is given moves there."""
    async with admin_call(request, MANAGE_USERS) as call:
        body = await read_group(request)
        tree = await read_groups(call.session, call.realm)
        parent = tree.get(request.path_params["group_id"])
        if (known := _known(tree, body)) is not None:
            # Its members have the roles of all groups above it from now on.
            await call.require_group(tree, parent)
            await move_group(call.session, tree, known, parent)
            return Response(status_code=204)
        row = await create_group(call.session, call.realm, tree, parent, body)
        shown = (await read_groups(call.session, call.realm)).representation(row)
        del shown["subGroupCount"]  # Keycloak does not say it here
    address = request.url.path.removesuffix(f"/{parent.id}/children")
    location = str(request.url.replace(path=f"{address}/{row.id}", query=""))
    return OrjsonResponse(shown, 201, {"location": location})


@router.get("/groups/{group_id}/members")
async def list_members(request: Request) -> Response:
    """The users in a group, by name."""
    query = dict(request.query_params)
    first, maximum = page_of(query)
    async with admin_call(request, VIEW_USERS) as call:
        tree = await read_groups(call.session, call.realm)
        group = tree.get(request.path_params["group_id"])
        rows = await members(call.session, group, first=first, maximum=maximum)
    brief = query.get("briefRepresentation", "").lower() == "true"
    return OrjsonResponse([representation(row, brief=brief) for row in rows])


@router.get("/group-by-path/{path:path}")
async def find_group(request: Request) -> Response:
    """The group with a path."""
    async with admin_call(request, VIEW_GROUPS) as call:
        tree = await read_groups(call.session, call.realm)
    row = tree.find(request.path_params["path"])
    if row is None:
        raise not_found("Group path does not exist")
    found = tree.representation(row)
    del found["access"]  # Keycloak does not say it here
    return OrjsonResponse(found)


@router.get("/default-groups")
async def list_default_groups(request: Request) -> Response:
    """The groups that new users join."""
    async with admin_call(request, VIEW_REALM) as call:
        tree = await read_groups(call.session, call.realm)
    rows = sorted((row for row in tree.by_id.values() if row.is_default), key=tree.path)
    return OrjsonResponse([tree.representation(row, full=False, counted=False) for row in rows])


@router.put("/default-groups/{group_id}", status_code=204)
@router.delete("/default-groups/{group_id}", status_code=204)
async def change_default_groups(request: Request) -> Response:
    """Say whether new users join a group."""
    async with admin_call(request, MANAGE_REALM) as call:
        tree = await read_groups(call.session, call.realm)
        row = tree.by_id.get(request.path_params["group_id"])
        if row is None:
            raise not_found("Group not found")
        if request.method == "PUT":
            await call.require_group(tree, row)
        await set_default(call.session, row, default=request.method == "PUT")
    return Response(status_code=204)


def _known(tree: GroupTree, body: Mapping[str, Any]) -> GroupRow | None:
    """The group whose `id` a representation gives, or None when it describes a new one."""
    group_id = body.get("id")
    if group_id is None:
        return None
    if not isinstance(group_id, str):
        raise bad_request("id must be the id of a group, a text", field="id")
    return tree.by_id.get(group_id)
