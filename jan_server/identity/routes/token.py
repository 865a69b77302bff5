"""The token endpoint, and the two that look into tokens or take them back.

Source: RFC 6749, section 3.2; RFC 7662 (introspection); RFC 7009 (revocation).
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter
from sqlalchemy.dialects.postgresql import insert
from sqlmodel.ext.asyncio.session import AsyncSession
from starlette.requests import Request
from starlette.responses import Response

from jan_server.http.json_body import OrjsonResponse
from jan_server.identity import cors
from jan_server.identity.access_tokens import verify_access_token
from jan_server.identity.client_authentication import authenticate_client, read_form, values_of
from jan_server.identity.errors import NO_STORE, IdentityError, oauth_error
from jan_server.identity.grant_types import GRANTS
from jan_server.identity.grants import TokenRequest
from jan_server.identity.login_attempts import origin_of
from jan_server.identity.realm import Realm
from jan_server.identity.resources import realm_of, resources_of
from jan_server.identity.sessions import client_session, leave_session, live_session
from jan_server.identity.tables import RevokedTokenRow, UserRow
from jan_server.identity.tokens import read_refresh_token

router = APIRouter(prefix="/realms/{realm}/protocol/openid-connect", tags=["tokens"])


@router.post("/token")
async def issue_tokens(request: Request) -> Response:
    """Tokens for a password, a code, a refresh or another token, or a client's own secret."""
    resources = resources_of(request)
    realm = await realm_of(request)
    form = await read_form(request)
    client = realm.clients.get(form.get("client_id", ""))
    try:
        if "grant_type" not in form:
            raise oauth_error("invalid_request", "Missing form parameter: grant_type")
        grant = GRANTS.get(form["grant_type"])
        if grant is None:
            raise oauth_error("unsupported_grant_type", "Unsupported grant_type")
        client = authenticate_client(request, realm, form)
        origin = origin_of(request.scope, resources.trusted_proxies)
        audiences = await values_of(request, "audience")
        body = await grant(TokenRequest(resources, realm, client, form, origin, audiences))
        response: Response = OrjsonResponse(body, headers=NO_STORE)
    except IdentityError as refusal:
        response = OrjsonResponse(refusal.body, refusal.status, refusal.headers)
    return cors.allow(request, response, client.web_origins if client else ())


@router.post("/token/introspect")
async def introspect(request: Request) -> Response:
    """What a token says and whether it is still good; only for confidential clients."""
    resources = resources_of(request)
    realm = await realm_of(request)
    form = await read_form(request)
    try:
        client = authenticate_client(request, realm, form)
    except IdentityError as refusal:
        raise oauth_error("invalid_request", "Authentication failed.", status=401) from refusal
    if client.public:
        raise oauth_error("invalid_request", "Client not allowed.", status=403)
    token = form.get("token")
    if not token:
        raise oauth_error("invalid_request", "Token not provided.")
    async with resources.database.session() as session:
        claims = await _active_claims(session, realm, token)
    return OrjsonResponse(claims or {"active": False}, headers={"cache-control": "no-cache"})


async def _active_claims(session: AsyncSession, realm: Realm, token: str) -> dict[str, Any] | None:
    verified = await verify_access_token(session, realm, token)
    if verified is not None:
        claims, user = dict(verified.claims), verified.user
    else:
        refresh = read_refresh_token(realm, token)
        row = await live_session(session, realm, str(refresh["sid"])) if refresh else None
        found = await session.get(UserRow, row.user_id) if row else None
        if refresh is None or row is None or found is None or not found.enabled:
            return None
        client = realm.clients.get(str(refresh["azp"]))
        held = await client_session(session, row.id, client.id) if client else None
        if held is None or held.refresh_id != refresh["jti"]:
            return None
        claims, user = {name: value for name, value in refresh.items() if name != "browser"}, found
    return {
        **claims,
        "client_id": claims["azp"],
        "username": user.username,
        "token_type": claims["typ"],
        "active": True,
    }


@router.post("/revoke")
async def revoke(request: Request) -> Response:
    """Take a token back: a refresh token with its client's part of the session, an access token by itself."""
    resources = resources_of(request)
    realm = await realm_of(request)
    form = await read_form(request)
    client = authenticate_client(request, realm, form)
    token = form.get("token")
    if not token:
        raise oauth_error("invalid_request", "Token not provided")
    refresh = read_refresh_token(realm, token)
    claims = refresh or realm.keys.verify(token)
    response = Response()
    if claims is None:
        raise _invalid_token()
    if refresh is None and claims.get("typ") != "Bearer":
        raise oauth_error("unsupported_token_type", "Unsupported token type")
    if claims.get("azp") != client.client_id:
        raise oauth_error("invalid_request", "Unmatching clients")
    async with resources.database.session() as session:
        if refresh is not None:
            if await live_session(session, realm, str(refresh["sid"])) is None:
                raise _invalid_token()
            await leave_session(session, str(refresh["sid"]), client.id)
        else:
            expires_at = datetime.fromtimestamp(claims["exp"], UTC)
            await session.exec(
                insert(RevokedTokenRow)
                .values(token_id=claims["jti"], expires_at=expires_at)
                .on_conflict_do_nothing()
            )
    return cors.allow(request, response, client.web_origins)


def _invalid_token() -> IdentityError:
    """There is nothing to take back, which is no failure (RFC 7009, section 2.2): the status is 200."""
    return oauth_error("invalid_token", "Invalid token", status=200)


@router.options("/token")
@router.options("/token/introspect")
@router.options("/revoke")
async def preflight(request: Request) -> Response:
    """The answer to a browser's preflight."""
    return cors.preflight(request, "POST", "OPTIONS")
