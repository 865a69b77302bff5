"""The routes of log-in through the browser.

Source: contract/llm-api.md, sections 6.4 and 6.5.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response
from fastapi.responses import RedirectResponse
from starlette.requests import Request

from jan_server.http.errors import invalid_request
from jan_server.services.llm_api.identity_server import IdentityRefused, IdentityUnavailable
from jan_server.services.llm_api.login import (
    LIFETIME,
    begin_login,
    browser_cookie,
    is_allowed_redirect,
    take_login,
    with_error,
    with_tokens,
)
from jan_server.services.llm_api.metrics import AUTH_REQUESTS
from jan_server.services.llm_api.resources import Open
from jan_server.services.llm_api.routes.auth import no_store
from jan_server.services.llm_api.routes.public_origin import public_origin
from jan_server.services.llm_api.schemas.auth import LoginStarted

router = APIRouter(prefix="/auth", tags=["auth"], dependencies=[Depends(no_store)])


LONGEST_ERROR = 64
LONGEST_DESCRIPTION = 512

# The address that carries tokens must not travel on to other sites, nor stay in a cache.
PRIVATE = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}


@router.get("/login", summary="Begin a log-in through the browser")
async def login(
    request: Request,
    response: Response,
    opened: Open,
    redirect_url: Annotated[str, Query(max_length=2048)] = "",
) -> LoginStarted:
    """Where to send the browser; `redirect_url` is where it ends up, with tokens in its fragment.

    A cookie marks the browser; whether the callback insists on it is a setting, because pages
    that fetch this without credentials do not keep it. 503 while the identity server is away:
    the browser would find nobody there.
    """
    llm_api = opened.settings.services.llm_api
    allowed = (*llm_api.login_redirects, *opened.settings.identity.redirect_uris)
    if redirect_url and not is_allowed_redirect(redirect_url, allowed):
        raise invalid_request(
            "redirect_url is not a registered address; the operator adds one with JAN_LOGIN_REDIRECTS",
            param="redirect_url",
            code="redirect_not_allowed",
        )
    await opened.identity.check_available()
    async with opened.database.session() as session:
        started = await begin_login(session, opened.identity, redirect_url or llm_api.login_home)
    name, value = browser_cookie(started.state)
    response.set_cookie(
        name,
        value,
        max_age=int(LIFETIME.total_seconds()),
        path="/",
        httponly=True,
        samesite="lax",
        secure=public_origin(request).startswith("https:"),
    )
    return LoginStarted(authorization_url=started.authorization_url, state=started.state)


@router.get(
    "/callback",
    status_code=302,
    summary="The identity server sends the browser back here",
    response_class=Response,
    responses={302: {"description": "Where the browser goes, with tokens or an error in the address."}},
)
async def callback(
    request: Request,
    opened: Open,
    code: str = "",
    state: str = "",
    error: str = "",
    error_description: str = "",
) -> RedirectResponse:
    """Exchange the code for tokens and send the browser on; every failure leads to the home page."""
    home = opened.settings.services.llm_api.login_home

    cookie, expected = browser_cookie(state)
    marked = request.cookies.get(cookie) == expected

    def leave(address: str) -> RedirectResponse:
        answer = RedirectResponse(address, status_code=302, headers=PRIVATE)
        if marked:
            answer.delete_cookie(cookie, path="/", httponly=True, samesite="lax")
        return answer

    def failed(target: str, reason: str, description: str) -> RedirectResponse:
        AUTH_REQUESTS.labels("login", reason if reason in _REASONS else "refused").inc()
        return leave(with_error(target, reason, description))

    if error:
        if state:
            async with opened.database.session() as session:
                await take_login(session, state)
        told = error_description[:LONGEST_DESCRIPTION] or "the log-in was refused"
        return failed(home, error[:LONGEST_ERROR], told)
    if not code or not state:
        return failed(home, "invalid_request", "code and state are required")
    if opened.settings.services.llm_api.login_cookie_required and not marked:
        return failed(home, "invalid_state", "this log-in was not begun in this browser; begin it again")
    async with opened.database.session() as session:
        pending = await take_login(session, state)
    if pending is None:
        return failed(home, "invalid_state", "this log-in is unknown, used, or older than ten minutes")
    try:
        tokens = await opened.identity.exchange_code(code, pending.verifier)
    except IdentityRefused as refusal:
        return failed(pending.redirect_url, "token_exchange_failed", str(refusal))
    except IdentityUnavailable:
        return failed(home, "server_error", "the identity server cannot be reached; try again shortly")
    AUTH_REQUESTS.labels("login", "ok").inc()
    return leave(with_tokens(pending.redirect_url, tokens, state))


_REASONS = frozenset({"invalid_request", "invalid_state", "token_exchange_failed", "server_error"})
