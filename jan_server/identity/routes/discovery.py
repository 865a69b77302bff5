"""What a realm says about itself: discovery, signing keys, and Keycloak's short description.

Source: OpenID Connect Discovery 1.0; RFC 7517 (JSON Web Keys).
"""

from __future__ import annotations

import base64
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from jan_server.http.json_body import OrjsonResponse
from jan_server.identity import cors
from jan_server.identity.grant_types import GRANTS
from jan_server.identity.keys import public_der
from jan_server.identity.realm import Realm
from jan_server.identity.resources import realm_of

router = APIRouter(prefix="/realms/{realm}", tags=["discovery"])

UNCACHED = "no-cache, must-revalidate, no-transform, no-store"

_AUTHENTICATION = ["client_secret_basic", "client_secret_post"]


@router.get("")
async def describe_realm(request: Request) -> Response:
    """The realm's name and its public key."""
    realm = await realm_of(request)
    protocol = f"{realm.issuer}/protocol/openid-connect"
    body = {
        "realm": realm.name,
        "public_key": base64.b64encode(public_der(realm.keys.active.public)).decode(),
        "token-service": protocol,
        "account-service": f"{realm.issuer}/account",
        "tokens-not-before": realm.not_before,
    }
    return cors.allow(request, OrjsonResponse(body, headers={"cache-control": "no-cache"}))


@router.get("/.well-known/openid-configuration")
async def discover(request: Request) -> Response:
    """The realm's endpoints and what they understand."""
    realm = await realm_of(request)
    body = discovery(realm, str(request.base_url).rstrip("/"))
    return cors.allow(request, OrjsonResponse(body, headers={"cache-control": UNCACHED}))


@router.get("/protocol/openid-connect/certs")
async def list_keys(request: Request) -> Response:
    """The public keys (JSON Web Key Set) that the realm's tokens may be signed with."""
    realm = await realm_of(request)
    return cors.allow(request, OrjsonResponse(realm.keys.jwks, headers={"cache-control": "no-cache"}))


@router.options("/.well-known/openid-configuration")
@router.options("/protocol/openid-connect/certs")
async def preflight(request: Request) -> Response:
    """The answer to a browser's preflight."""
    return cors.preflight(request, "GET")


def discovery(realm: Realm, base: str) -> dict[str, Any]:
    """The discovery document.

    Args:
        realm: The realm.
        base: The address that the caller used: what services call is named with it, since they may
            not reach the public address that browsers use.
    """
    public = f"{realm.issuer}/protocol/openid-connect"
    internal = f"{base}/realms/{realm.name}/protocol/openid-connect"
    return {
        "issuer": realm.issuer,
        "authorization_endpoint": f"{public}/auth",
        "token_endpoint": f"{internal}/token",
        "introspection_endpoint": f"{internal}/token/introspect",
        "userinfo_endpoint": f"{internal}/userinfo",
        "end_session_endpoint": f"{public}/logout",
        "jwks_uri": f"{internal}/certs",
        "revocation_endpoint": f"{internal}/revoke",
        "grant_types_supported": list(GRANTS),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query", "fragment", "form_post"],
        "subject_types_supported": ["public"],
        "prompt_values_supported": ["none", "login"],
        "acr_values_supported": ["1"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "token_endpoint_auth_methods_supported": _AUTHENTICATION,
        "introspection_endpoint_auth_methods_supported": _AUTHENTICATION,
        "revocation_endpoint_auth_methods_supported": _AUTHENTICATION,
        "code_challenge_methods_supported": ["plain", "S256"],
        "scopes_supported": ["openid", *realm.scopes],
        "claims_supported": [
            "iss",
            "sub",
            "aud",
            "exp",
            "iat",
            "auth_time",
            "name",
            "given_name",
            "family_name",
            "preferred_username",
            "email",
            "acr",
            "azp",
            "nonce",
        ],
        "claim_types_supported": ["normal"],
        "claims_parameter_supported": False,
        "request_parameter_supported": False,
        "request_uri_parameter_supported": False,
        "require_pushed_authorization_requests": False,
        "authorization_response_iss_parameter_supported": True,
    }
