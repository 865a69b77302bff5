"""The admin API's users: made, found, shown, changed, removed, and their passwords."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from jan_server.http.json_body import OrjsonResponse
from jan_server.identity.credentials import credentials_of, delete_credential, hash_for, set_password
from jan_server.identity.errors import bad_request, not_found
from jan_server.identity.groups import groups_named, read_groups
from jan_server.identity.resources import resources_of
from jan_server.identity.roles import roles_of_user
from jan_server.identity.routes.admin.access import (
    MANAGE_USERS,
    VIEW_USERS,
    Call,
    admin_call,
    location_of,
    read_object,
    read_user,
)
from jan_server.identity.sessions import end_sessions_of, sessions_of_user
from jan_server.identity.tables import UserRow
from jan_server.identity.user_search import count_users, find_users
from jan_server.identity.users import (
    UPDATE_PASSWORD,
    create_user,
    delete_user,
    get_user,
    gives_power,
    is_email,
    representation,
    update_user,
)

router = APIRouter(prefix="/admin/realms/{realm}/users", tags=["admin: users"])

_MANAGED = ("manageGroupMembership", "resetPassword", "mapRoles", "manage")
"""What `manage-users` lets a caller do with a user, in Keycloak's words."""


@router.get("")
async def list_users(request: Request) -> Response:
    """The users that match the query, by name."""
    query = dict(request.query_params)
    async with admin_call(request, VIEW_USERS) as call:
        rows = await find_users(call.session, call.realm, query)
    brief = query.get("briefRepresentation", "").lower() == "true"
    access = {"manage": call.has(MANAGE_USERS)}
    return OrjsonResponse([representation(row, brief=brief, access=access) for row in rows])


@router.get("/count")
async def count(request: Request) -> Response:
    """How many users match the query."""
    async with admin_call(request, VIEW_USERS) as call:
        return OrjsonResponse(await count_users(call.session, call.realm, dict(request.query_params)))


@router.post("", status_code=201)
async def make_user(request: Request) -> Response:
    """Make a user; the header `Location` ends in its id."""
    async with admin_call(request, MANAGE_USERS) as call:
        body = await read_user(request)
        credential = _credential(body)
        hashed = None
        if credential is not None:
            await call.release()
            hashed = await _hash(request, call, credential, body.get("username"), body.get("email"))
        tree = await read_groups(call.session, call.realm)
        groups = groups_named(tree, body.get("groups"))
        for group in groups:
            await call.require_group(tree, group)
        row = await create_user(call.session, call.realm, body, groups=groups)
        if credential is not None and hashed is not None:
            temporary = bool(credential.get("temporary")) or UPDATE_PASSWORD in row.required_actions
            await set_password(call.session, row, hashed, temporary=temporary)
    return Response(status_code=201, headers={"location": location_of(request, row.id)})


@router.get("/{user_id}")
async def show_user(request: Request) -> Response:
    """One user."""
    async with admin_call(request, VIEW_USERS) as call:
        row = await _user(call, request)
    return OrjsonResponse(representation(row, access=_access(call)))


@router.put("/{user_id}", status_code=204)
async def change_user(request: Request) -> Response:
    """Change a user: members that are left out stay as they are."""
    async with admin_call(request, MANAGE_USERS) as call:
        body = await read_user(request)
        row = await _user(call, request)
        if gives_power(row, body):
            await call.require_power_over(row)
        credential = _credential(body)
        hashed = None
        if credential is not None:
            await call.release()
            hashed = await _hash(request, call, credential, row.username, body.get("email", row.email))
        # Nothing is changed before the password is known to be good; meanwhile the user may have been.
        row = await _user(call, request, lock=True)
        if gives_power(row, body):
            await call.require_power_over(row)
        await update_user(call.session, call.realm, row, body)
        if credential is not None and hashed is not None:
            await set_password(call.session, row, hashed, temporary=bool(credential.get("temporary")))
    return Response(status_code=204)


@router.delete("/{user_id}", status_code=204)
async def remove_user(request: Request) -> Response:
    """Remove a user with its sessions."""
    async with admin_call(request, MANAGE_USERS) as call:
        row = await _user(call, request, lock=True)
        await call.require_power_over(row)
        await delete_user(call.session, row)
    return Response(status_code=204)


@router.put("/{user_id}/reset-password", status_code=204)
async def reset_password(request: Request) -> Response:
    """Give a user another password; the sessions of the old one end."""
    async with admin_call(request, MANAGE_USERS) as call:
        body = await read_object(request)
        row = await _user(call, request)
        await call.require_power_over(row)
        await call.release()
        hashed = await _hash(request, call, body, row.username, row.email)
        row = await _user(call, request, lock=True)
        await call.require_power_over(row)
        await set_password(call.session, row, hashed, temporary=bool(body.get("temporary")))
    return Response(status_code=204)


@router.get("/{user_id}/credentials")
async def list_credentials(request: Request) -> Response:
    """How a user's password was hashed; never the hash."""
    async with admin_call(request, VIEW_USERS) as call:
        row = await _user(call, request)
        return OrjsonResponse(await credentials_of(call.session, row.id))


@router.delete("/{user_id}/credentials/{credential_id}", status_code=204)
async def remove_credential(request: Request) -> Response:
    """Take a user's password away."""
    async with admin_call(request, MANAGE_USERS) as call:
        row = await _user(call, request, lock=True)
        await call.require_power_over(row)
        if not await delete_credential(call.session, row.id, request.path_params["credential_id"]):
            raise not_found("Credential not found")
    return Response(status_code=204)


@router.get("/{user_id}/sessions")
async def list_sessions(request: Request) -> Response:
    """A user's live sessions, the newest first."""
    async with admin_call(request, VIEW_USERS) as call:
        return OrjsonResponse(await sessions_of_user(call.session, call.realm, await _user(call, request)))


@router.post("/{user_id}/logout", status_code=204)
async def log_out(request: Request) -> Response:
    """End a user's sessions."""
    async with admin_call(request, MANAGE_USERS) as call:
        row = await _user(call, request)
        await end_sessions_of(call.session, row.id)
    return Response(status_code=204)


@router.get("/{user_id}/federated-identity")
@router.get("/{user_id}/consents")
async def list_nothing(request: Request) -> Response:
    """Accounts elsewhere and consents: this issuer has neither."""
    async with admin_call(request, VIEW_USERS) as call:
        await _user(call, request)
    return OrjsonResponse([])


@router.get("/{user_id}/role-mappings")
async def list_all_roles(request: Request) -> Response:
    """Every role that was given to a user directly, by realm and client."""
    async with admin_call(request, VIEW_USERS) as call:
        row = await _user(call, request)
        held = [call.realm.roles.by_id[role] for role in await roles_of_user(call.session, row.id)]
    body: dict[str, Any] = {}
    if of_realm := [role.representation() for role in held if role.client is None]:
        body["realmMappings"] = of_realm
    for role in held:
        if role.client and (client := call.realm.clients_by_id.get(role.client)):
            entry = body.setdefault("clientMappings", {}).setdefault(
                client.client_id, {"id": client.id, "client": client.client_id, "mappings": []}
            )
            entry["mappings"].append(role.representation())
    return OrjsonResponse(body)


async def _user(call: Call, request: Request, *, lock: bool = False) -> UserRow:
    return await get_user(call.session, call.realm, request.path_params["user_id"], lock=lock)


def _access(call: Call) -> dict[str, bool]:
    managed = dict.fromkeys(_MANAGED, call.has(MANAGE_USERS))
    return {**managed, "view": True, "impersonate": call.has(("impersonation",))}


def _credential(body: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The one credential that a representation brings along."""
    listed = body.get("credentials") or []
    if not isinstance(listed, list) or not all(isinstance(one, dict) for one in listed):
        raise bad_request("credentials must be a list of objects", field="credentials")
    if len(listed) > 1:
        raise bad_request("a user has one password", field="credentials")
    return listed[0] if listed else None


async def _hash(
    request: Request, call: Call, credential: Mapping[str, Any], username: Any, email: Any
) -> str:
    if email and not is_email(str(email).lower()):
        email = ""
    return await hash_for(
        resources_of(request).hasher,
        call.realm,
        credential,
        username=str(username or ""),
        email=str(email or ""),
    )
