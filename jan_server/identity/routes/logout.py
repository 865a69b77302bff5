"""The end of a log-in: a browser that goes away, or a client that gives its refresh token back.

Source: OpenID Connect RP-Initiated Logout 1.0. The confirmation page is left out and the
older parameter `redirect_uri` is accepted (contract/identity.md, section 1).
"""

from __future__ import annotations

from collections.abc import Mapping

import jwt
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from jan_server.identity import cors
from jan_server.identity.client_authentication import authenticate_client, read_form
from jan_server.identity.errors import invalid_grant
from jan_server.identity.login_forms import FORM_COOKIE, SESSION_COOKIE, sorry
from jan_server.identity.pages import message
from jan_server.identity.realm import Realm
from jan_server.identity.redirects import is_registered, with_parameters
from jan_server.identity.resources import realm_of, resources_of
from jan_server.identity.sessions import end_session, session_of_cookie
from jan_server.identity.tokens import OFFLINE, REFRESH

router = APIRouter(prefix="/realms/{realm}/protocol/openid-connect/logout", tags=["log-in"])


@router.get("")
async def leave(request: Request) -> Response:
    """End the browser's session, and send the browser where its client registered."""
    response = await _leave(request, await realm_of(request), request.query_params)
    response.headers["cache-control"] = "no-cache"
    return response


@router.post("")
async def give_back(request: Request) -> Response:
    """End the session of a refresh token; without one, the browser's session."""
    realm = await realm_of(request)
    form = await read_form(request)
    if "refresh_token" not in form:
        return await _leave(request, realm, {**request.query_params, **form})
    client = authenticate_client(request, realm, form)
    claims = realm.keys.unseal(form["refresh_token"], expired=True)
    if claims is None or claims["typ"] not in (REFRESH, OFFLINE):
        raise invalid_grant("Invalid refresh token")
    if claims["azp"] != client.client_id:
        raise invalid_grant("Invalid refresh token. Token client and authorized client don't match")
    async with resources_of(request).database.session() as session:
        await end_session(session, str(claims["sid"]))
    return cors.allow(request, Response(status_code=204), client.web_origins)


@router.options("")
async def preflight(request: Request) -> Response:
    """The answer to a browser's preflight."""
    return cors.preflight(request, "GET", "HEAD", "OPTIONS")


async def _leave(request: Request, realm: Realm, parameters: Mapping[str, str]) -> Response:
    hint = _hinted(realm, parameters.get("id_token_hint", ""))
    if hint is None:
        return sorry(realm, "Invalid parameter: id_token_hint")
    target = parameters.get("post_logout_redirect_uri") or parameters.get("redirect_uri") or ""
    client_id = str(hint.get("azp") or parameters.get("client_id") or "")
    if target and not _may_go_to(
        realm, target, client_id, older="post_logout_redirect_uri" not in parameters
    ):
        return sorry(realm, "Invalid redirect uri")
    async with resources_of(request).database.session() as session:
        cookie = request.cookies.get(SESSION_COOKIE)
        online = await session_of_cookie(session, realm, cookie) if cookie else None
        for session_id in {str(hint.get("sid") or ""), online.id if online else ""} - {""}:
            await end_session(session, session_id)
    if target:
        state = [("state", parameters["state"])] if parameters.get("state") else []
        response: Response = RedirectResponse(with_parameters(target, state), 302)
    else:
        response = message(realm, "You are logged out", "You can close this page.")
    for name in (SESSION_COOKIE, FORM_COOKIE):
        response.set_cookie(name, "", max_age=0, path=None, httponly=True, samesite="lax")
    return response


def _hinted(realm: Realm, token: str) -> Mapping[str, object] | None:
    """The claims of an id token of this realm, run out or not; empty without one, None for a wrong one."""
    if not token:
        return {}
    try:
        kid = jwt.get_unverified_header(token).get("kid")
        key = next(key for key in realm.keys.keys if key.kid == kid)
        claims: dict[str, object] = jwt.decode(
            token, key.public, algorithms=["RS256"], options={"verify_aud": False, "verify_exp": False}
        )
    except (jwt.InvalidTokenError, StopIteration):
        return None
    return claims if claims.get("iss") == realm.issuer and claims.get("typ") == "ID" else None


def _may_go_to(realm: Realm, target: str, client_id: str, *, older: bool) -> bool:
    client = realm.clients.get(client_id)
    if client is not None:
        return is_registered(target, client.post_logout_redirect_uris)
    return older and any(
        is_registered(target, one.post_logout_redirect_uris) for one in realm.clients.values()
    )
