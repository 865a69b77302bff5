"""The admin API's clients: their settings, secrets, scopes and service accounts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from fastapi import APIRouter
from sqlalchemy import delete
from sqlmodel import col
from starlette.requests import Request
from starlette.responses import Response

from jan_server.http.json_body import OrjsonResponse
from jan_server.identity import json_members
from jan_server.identity.builtin import REALM_MANAGEMENT
from jan_server.identity.client_settings import read_client_settings, read_scope_settings
from jan_server.identity.clients import Client, new_secret
from jan_server.identity.errors import IdentityError, bad_request, conflict, not_found
from jan_server.identity.routes.admin.access import (
    MANAGE_CLIENTS,
    VIEW_CLIENTS,
    Call,
    admin_call,
    location_of,
    read_object,
)
from jan_server.identity.service_accounts import keep_service_account, service_account
from jan_server.identity.tables import ClientRow, ClientScopeRow, new_id
from jan_server.identity.user_search import page_of
from jan_server.identity.users import representation

router = APIRouter(prefix="/admin/realms/{realm}", tags=["admin: clients"])


@router.get("/clients")
async def list_clients(request: Request) -> Response:
    """The clients by name; `clientId` looks for one, with `search=true` for a part of the name."""
    query = dict(request.query_params)
    first, maximum = page_of(query, None)
    async with admin_call(request, VIEW_CLIENTS) as call:
        found = list(call.realm.clients.values())
    if name := query.get("clientId"):
        part = query.get("search", "").lower() == "true"
        found = [
            one for one in found if (name.lower() in one.client_id.lower() if part else name == one.client_id)
        ]
    end = None if maximum is None else first + maximum
    return OrjsonResponse([_shown(call, client) for client in found[first:end]])


@router.post("/clients", status_code=201)
async def make_client(request: Request) -> Response:
    """Make a client; a confidential one gets a secret if the body brings none."""
    async with admin_call(request, MANAGE_CLIENTS) as call:
        body = await read_object(request)
        client = _from_body(call, Client(new_id(), new_id(), "", {}), body)
        if client.client_id in call.realm.clients:
            raise conflict(f"Client {client.client_id} already exists")
        call.session.add(
            ClientRow(
                id=client.id,
                realm_id=call.realm.id,
                client_id=client.client_id,
                secret=client.secret,
                settings=dict(client.settings),
            )
        )
        await call.session.flush()
        await keep_service_account(call.session, call.realm, client)
        await call.touch()
    return Response(status_code=201, headers={"location": location_of(request, client.id)})


@router.get("/clients/{client}")
async def show_client(request: Request) -> Response:
    """One client."""
    async with admin_call(request, VIEW_CLIENTS) as call:
        return OrjsonResponse(_shown(call, _client(call, request)))


@router.put("/clients/{client}", status_code=204)
async def change_client(request: Request) -> Response:
    """Change a client: members that are left out stay as they are."""
    async with admin_call(request, MANAGE_CLIENTS) as call:
        body = await read_object(request)
        before = _client(call, request)
        client = _from_body(call, before, body)
        if client.client_id != before.client_id:
            _refuse_for_rights(before)
        if client.client_id != before.client_id and client.client_id in call.realm.clients:
            raise conflict(f"Client {client.client_id} already exists")
        await _store(call, client)
        await keep_service_account(call.session, call.realm, client)
    return Response(status_code=204)


@router.delete("/clients/{client}", status_code=204)
async def remove_client(request: Request) -> Response:
    """Remove a client with its roles, its service account and its part of every session."""
    async with admin_call(request, MANAGE_CLIENTS) as call:
        client = _client(call, request)
        _refuse_for_rights(client)
        await call.session.exec(delete(ClientRow).where(col(ClientRow.id) == client.id))
        await call.touch()
    return Response(status_code=204)


@router.get("/clients/{client}/client-secret")
async def show_secret(request: Request) -> Response:
    """The secret of a client."""
    async with admin_call(request, MANAGE_CLIENTS) as call:
        return OrjsonResponse({"type": "secret", "value": _client(call, request).secret})


@router.post("/clients/{client}/client-secret")
async def renew_secret(request: Request) -> Response:
    """Give a client another secret; the old one is refused from now on."""
    async with admin_call(request, MANAGE_CLIENTS) as call:
        client = replace(_client(call, request), secret=new_secret())
        await _store(call, client)
    return OrjsonResponse({"type": "secret", "value": client.secret})


@router.get("/clients/{client}/service-account-user")
async def show_service_account(request: Request) -> Response:
    """The user in whose name a client acts for itself."""
    async with admin_call(request, VIEW_CLIENTS) as call:
        client = _client(call, request)
        if not client.service_account:
            words = f"Service account not enabled for the client '{client.client_id}'"
            raise IdentityError(400, {"error": words})
        user = await service_account(call.session, client)
    if user is None:
        raise not_found("User not found")
    return OrjsonResponse(representation(user))


@router.get("/clients/{client}/default-client-scopes")
@router.get("/clients/{client}/optional-client-scopes")
async def list_scopes_of_client(request: Request) -> Response:
    """The scopes that a client always has, or may ask for."""
    async with admin_call(request, VIEW_CLIENTS) as call:
        names = _client(call, request).settings.get(_scope_list(request)) or []
    scopes = [call.realm.scopes[name] for name in names if name in call.realm.scopes]
    return OrjsonResponse([{"id": scope.id, "name": scope.name} for scope in scopes])


@router.put("/clients/{client}/default-client-scopes/{scope}", status_code=204)
@router.put("/clients/{client}/optional-client-scopes/{scope}", status_code=204)
@router.delete("/clients/{client}/default-client-scopes/{scope}", status_code=204)
@router.delete("/clients/{client}/optional-client-scopes/{scope}", status_code=204)
async def change_scopes_of_client(request: Request) -> Response:
    """Give a client a scope, or take it away."""
    async with admin_call(request, MANAGE_CLIENTS) as call:
        client = _client(call, request)
        scope = call.realm.scopes_by_id.get(request.path_params["scope"])
        if scope is None:
            raise not_found("Client scope not found")
        kind = _scope_list(request)
        names = [name for name in client.settings.get(kind) or () if name != scope.name]
        if request.method == "PUT":
            names.append(scope.name)
        await _store(call, replace(client, settings={**client.settings, kind: names}))
    return Response(status_code=204)


@router.get("/client-scopes")
async def list_scopes(request: Request) -> Response:
    """The client scopes of the realm."""
    async with admin_call(request, VIEW_CLIENTS) as call:
        return OrjsonResponse([scope.representation() for scope in call.realm.scopes.values()])


@router.post("/client-scopes", status_code=201)
async def make_scope(request: Request) -> Response:
    """Make a client scope."""
    async with admin_call(request, MANAGE_CLIENTS) as call:
        body = await read_object(request)
        name = _text(body, "name", json_members.MAX_NAME).strip()
        if not name or " " in name:
            raise IdentityError(400, {"errorMessage": f'Unexpected name "{name}" for ClientScope'})
        if name in call.realm.scopes:
            raise conflict(f"Client Scope {name} already exists")
        row = ClientScopeRow(
            realm_id=call.realm.id, name=name, settings={"protocolMappers": [], **read_scope_settings(body)}
        )
        call.session.add(row)
        await call.touch()
    return Response(status_code=201, headers={"location": location_of(request, row.id)})


@router.get("/client-scopes/{scope}")
async def show_scope(request: Request) -> Response:
    """One client scope."""
    async with admin_call(request, VIEW_CLIENTS) as call:
        scope = call.realm.scopes_by_id.get(request.path_params["scope"])
    if scope is None:
        raise not_found("Could not find client scope")
    return OrjsonResponse(scope.representation())


@router.put("/client-scopes/{scope}", status_code=204)
@router.delete("/client-scopes/{scope}", status_code=204)
async def change_scope(request: Request) -> Response:
    """Change a client scope's mappers and attributes, or remove it."""
    async with admin_call(request, MANAGE_CLIENTS) as call:
        row = await call.session.get(ClientScopeRow, request.path_params["scope"])
        if row is None or row.realm_id != call.realm.id:
            raise not_found("Could not find client scope")
        if request.method == "DELETE":
            await call.session.delete(row)
        else:
            row.settings = {**row.settings, **read_scope_settings(await read_object(request))}
            call.session.add(row)
        await call.touch()
    return Response(status_code=204)


def _client(call: Call, request: Request) -> Client:
    client = call.realm.clients_by_id.get(request.path_params["client"])
    if client is None:
        raise not_found("Could not find client")
    return client


def _shown(call: Call, client: Client) -> dict[str, Any]:
    found = client.representation()
    if not call.has(MANAGE_CLIENTS):
        found.pop("secret", None)
        found["access"] = {"view": True, "configure": False, "manage": False}
    return found


def _from_body(call: Call, client: Client, body: Mapping[str, Any]) -> Client:
    settings = {**client.settings, **read_client_settings(body)}
    for name, fallback in (("default", "defaultDefault"), ("optional", "defaultOptional")):
        usual = call.realm.settings.get(f"{fallback}ClientScopes") or []
        settings.setdefault(f"{name}ClientScopes", list(usual))
    changed = replace(
        client,
        client_id=_text(body, "clientId", json_members.MAX_NAME) or client.client_id,
        secret=_text(body, "secret", json_members.MAX_TEXT) or client.secret,
        settings=settings,
    )
    if not changed.public and not changed.bearer_only and not changed.secret:
        changed = replace(changed, secret=new_secret())
    return changed


def _text(body: Mapping[str, Any], member: str, longest: int) -> str:
    value = body.get(member)
    return "" if value is None else json_members.text(member, value, longest=longest)


def _refuse_for_rights(client: Client) -> None:
    """Refuse (400) to rename or remove the client whose roles are the rights of this API."""
    if client.client_id == REALM_MANAGEMENT:
        words = f"clientId: the client {REALM_MANAGEMENT} can neither be renamed nor removed"
        raise bad_request(words, field="clientId")


async def _store(call: Call, client: Client) -> None:
    row = await call.session.get(ClientRow, client.id)
    if row is None:
        raise not_found("Could not find client")
    row.client_id, row.secret, row.settings = client.client_id, client.secret, dict(client.settings)
    call.session.add(row)
    await call.session.flush()
    await call.touch()


def _scope_list(request: Request) -> str:
    return "defaultClientScopes" if "/default-client-scopes" in request.url.path else "optionalClientScopes"
