"""The userinfo endpoint: who the bearer of an access token is.

Source: OpenID Connect Core 1.0, section 5.3; RFC 6750.
"""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from jan_server.http.json_body import OrjsonResponse
from jan_server.identity import cors
from jan_server.identity.access_tokens import verify_access_token
from jan_server.identity.client_authentication import bearer_of, bearer_refusal, read_form
from jan_server.identity.errors import IdentityError
from jan_server.identity.resources import realm_of, resources_of
from jan_server.identity.scopes import OPENID, grant_scope
from jan_server.identity.subject import load_subject
from jan_server.identity.tokens import Grant, userinfo_claims

router = APIRouter(prefix="/realms/{realm}/protocol/openid-connect/userinfo", tags=["tokens"])


@router.get("")
@router.post("")
async def tell_user(request: Request) -> Response:
    """The claims about the user of an access token that has the scope `openid`."""
    realm = await realm_of(request)
    token = bearer_of(request)
    if not token and request.method == "POST":
        token = (await read_form(request)).get("access_token", "")
    if not token:
        raise bearer_refusal(realm.name)
    async with resources_of(request).database.session() as session:
        verified = await verify_access_token(session, realm, token)
        client = realm.clients.get(str(verified.claims["azp"])) if verified else None
        if verified is None or client is None:
            raise bearer_refusal(realm.name, "invalid_token", "Token verification failed")
        names = str(verified.claims.get("scope", ""))
        if OPENID not in names.split():
            raise bearer_refusal(realm.name, "insufficient_scope", "Missing openid scope", status=403)
        try:
            scope = grant_scope(client, realm.scopes, names)
        except IdentityError:  # the client has lost a scope since
            scope = grant_scope(client, realm.scopes, OPENID)
        subject = await load_subject(session, realm, verified.user)
    body = userinfo_claims(Grant(realm, client, subject, scope, verified.session))
    response = OrjsonResponse(body, headers={"cache-control": "no-cache"})
    return cors.allow(request, response, client.web_origins)


@router.options("")
async def preflight(request: Request) -> Response:
    """The answer to a browser's preflight."""
    return cors.preflight(request, "GET", "HEAD", "OPTIONS")
