"""The admin API's realms: their settings and keys, and what the server is."""

from __future__ import annotations

import base64
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from jan_server import __version__
from jan_server.http.json_body import OrjsonResponse
from jan_server.identity import json_members
from jan_server.identity.builtin import MANAGEMENT_ROLES
from jan_server.identity.client_authentication import bearer_of
from jan_server.identity.errors import IdentityError, unauthorized
from jan_server.identity.keys import public_der
from jan_server.identity.realm import DEFAULTS, MASTER, Realm
from jan_server.identity.realm_settings import read_settings
from jan_server.identity.resources import resources_of
from jan_server.identity.routes.admin.access import (
    MANAGE_REALM,
    VIEW_REALM,
    admin_call,
    issuing_realm,
    read_object,
)
from jan_server.identity.tables import RealmRow

router = APIRouter(prefix="/admin", tags=["admin: realms"])

_ELSEWHERE = ("defaultDefaultClientScopes", "defaultOptionalClientScopes", "requiredActions")
"""Parts of a realm that have addresses of their own."""


@router.get("/realms")
async def list_realms(request: Request) -> Response:
    """The realms that the caller may see: every one from the master realm, else its own."""
    realms = resources_of(request).realms
    names = await realms.names()
    own = issuing_realm(bearer_of(request))
    request.scope["path_params"] = {"realm": own if own in names else MASTER}
    async with admin_call(request, VIEW_REALM) as call:
        if call.realm.name != MASTER:
            names = [call.realm.name]
        return OrjsonResponse([representation(await realms.get(name)) for name in names])


@router.get("/serverinfo")
async def show_server(request: Request) -> Response:
    """What this server is; any administrator may ask."""
    request.scope["path_params"] = {"realm": MASTER}
    async with admin_call(request, MANAGEMENT_ROLES):
        return OrjsonResponse({"systemInfo": {"version": __version__, "serverName": "Jan Server"}})


@router.get("/realms/{realm}")
async def show_realm(request: Request) -> Response:
    """The settings of a realm; callers without the right to see them get its name."""
    async with admin_call(request, MANAGEMENT_ROLES) as call:
        if not call.has(VIEW_REALM):
            return OrjsonResponse({"realm": call.realm.name})
        return OrjsonResponse(representation(call.realm))


@router.put("/realms/{realm}", status_code=204)
async def change_realm(request: Request) -> Response:
    """Change the settings of a realm: members that are left out stay as they are."""
    async with admin_call(request, MANAGE_REALM) as call:
        body = await read_object(request)
        if body.get("realm", call.realm.name) != call.realm.name:
            raise IdentityError(400, {"errorMessage": "a realm cannot be renamed"})
        row = await call.session.get(RealmRow, call.realm.id)
        if row is None:
            raise unauthorized()
        row.settings = {**row.settings, **read_settings(body)}
        if body.get("notBefore") is not None:
            row.not_before = json_members.whole("notBefore", body["notBefore"])
        call.session.add(row)
        await call.touch()
    return Response(status_code=204)


@router.get("/realms/{realm}/keys")
async def list_keys(request: Request) -> Response:
    """The keys of a realm, without their private parts."""
    async with admin_call(request, VIEW_REALM) as call:
        ring = call.realm.keys
    return OrjsonResponse(
        {
            "active": {"RS256": ring.active.kid, "HS512": ring.secret_id},
            "keys": [
                {
                    "providerId": key.provider_id,
                    "providerPriority": key.priority,
                    "kid": key.kid,
                    "status": key.status,
                    "type": "RSA",
                    "algorithm": "RS256",
                    "publicKey": base64.b64encode(public_der(key.public)).decode(),
                    "certificate": base64.b64encode(key.certificate).decode(),
                    "use": "SIG",
                }
                for key in ring.keys
            ],
        }
    )


def representation(realm: Realm) -> dict[str, Any]:
    """A realm as the admin API shows it."""
    settings = {**DEFAULTS, **realm.settings}
    return {
        "id": realm.id,
        "realm": realm.name,
        "notBefore": realm.not_before,
        **{name: value for name, value in settings.items() if name not in _ELSEWHERE and value != ""},
    }
