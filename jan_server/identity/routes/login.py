"""The log-in pages: a browser comes with a client's request and leaves with a code."""

from __future__ import annotations

import secrets
from collections.abc import Mapping

from fastapi import APIRouter
from sqlmodel.ext.asyncio.session import AsyncSession
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from jan_server.identity.authorization import (
    AuthorizationRequest,
    PageError,
    RefusedRequest,
    code_answer,
    issue_code,
    read_authorization_request,
    refusal_answer,
)
from jan_server.identity.client_authentication import read_form
from jan_server.identity.credentials import hash_for, password_of, set_password
from jan_server.identity.errors import IdentityError
from jan_server.identity.grants import check_password
from jan_server.identity.login_attempts import USER, forget_failures, origin_of
from jan_server.identity.login_forms import (
    LOGIN,
    NEW_PASSWORD,
    SESSION_COOKIE,
    Replacement,
    Visit,
    expired,
    login_page,
    login_words,
    new_password_page,
    registration_page,
    registration_words,
    sorry,
    visit_of,
)
from jan_server.identity.pages import page
from jan_server.identity.realm import Realm
from jan_server.identity.redirects import with_parameters
from jan_server.identity.sessions import (
    end_sessions_of,
    keep_alive,
    session_of_cookie,
    start_session,
)
from jan_server.identity.tables import UserRow, UserSessionRow, now
from jan_server.identity.users import UPDATE_PASSWORD, create_user

router = APIRouter(prefix="/realms/{realm}/protocol/openid-connect", tags=["log-in"])


@router.get("/auth")
@router.post("/auth")
async def authorize(http: Request) -> Response:
    """The log-in page; a browser that is logged in goes straight back to its client."""
    visit = await visit_of(http)
    request = await _read_request(visit)
    if isinstance(request, Response):
        return request
    async with visit.resources.database.session() as session:
        cookie = http.cookies.get(SESSION_COOKIE)
        online = await session_of_cookie(session, visit.realm, cookie) if cookie else None
        if online is not None and "login" not in request.prompts and _is_recent(request, online):
            user = await session.get(UserRow, online.user_id)
            if user is not None and not user.required_actions:
                await keep_alive(session, visit.realm, online)
                code = await issue_code(session, visit.realm, request, online)
                return _answer(visit.realm, request, code_answer(visit.realm, request, online, code))
    if "none" in request.prompts:
        return _refuse(visit.realm, RefusedRequest(request, "login_required"))
    return visit.shown(login_page(visit, request))


@router.get("/registrations")
async def show_registration(http: Request) -> Response:
    """The page on which a person makes an account."""
    visit = await visit_of(http)
    request = await _read_request(visit)
    if isinstance(request, Response):
        return request
    if not visit.realm.flag("registrationAllowed"):
        return sorry(visit.realm, "Registration is not allowed.")
    return visit.shown(registration_page(visit, request))


@router.post("/login", include_in_schema=False)
async def log_in(http: Request) -> Response:
    """Take the log-in form."""
    visit = await visit_of(http)
    form = await read_form(http)
    request = _request_in(visit, form)
    if request is None:
        return expired(visit.realm)
    username, remembered = form.get("username", ""), form.get("rememberMe") == "on"
    try:
        user, held = await check_password(
            visit.resources,
            visit.realm,
            username,
            form.get("password", ""),
            origin_of(http.scope, visit.resources.trusted_proxies),
        )
    except IdentityError as refusal:
        words = login_words(visit.realm, refusal)
        status = 429 if refusal.status == 429 else 200
        return login_page(
            visit, request, username=username, remembered=remembered, error=words, status=status
        )
    if not user.enabled:
        words = "This account is disabled. Ask your administrator."
        return login_page(visit, request, username=username, remembered=remembered, error=words)
    async with visit.resources.database.session() as session:
        await forget_failures(session, visit.realm, USER, user.id)
    if UPDATE_PASSWORD in user.required_actions:
        replaced = Replacement(user.id, held.chosen_at.isoformat(), remembered)
        return new_password_page(visit, request, replaced)
    return await _finish(visit, request, user, remembered=remembered)


@router.post("/register", include_in_schema=False)
async def register(http: Request) -> Response:
    """Take the registration form: make the account and log it in."""
    visit = await visit_of(http)
    form = await read_form(http)
    request = _request_in(visit, form)
    if request is None or not visit.realm.flag("registrationAllowed"):
        return expired(visit.realm)
    password = form.get("password", "")
    if password != form.get("password-confirm", ""):
        return registration_page(visit, request, form=form, error="The two passwords differ.")
    account = {name: form.get(name, "").strip() for name in ("username", "email", "firstName", "lastName")}
    try:
        hashed = await hash_for(
            visit.resources.hasher,
            visit.realm,
            {"value": password},
            username=account["username"],
            email=account["email"],
        )
        async with visit.resources.database.session() as session:
            user = await create_user(session, visit.realm, {**account, "enabled": True})
            await set_password(session, user, hashed)
    except IdentityError as refusal:
        return registration_page(visit, request, form=form, error=registration_words(refusal))
    return await _finish(visit, request, user, remembered=False)


@router.post("/update-password", include_in_schema=False)
async def update_password(http: Request) -> Response:
    """Take the form with which a person replaces a temporary password."""
    visit = await visit_of(http)
    form = await read_form(http)
    sealed = visit.unseal(NEW_PASSWORD, form.get("request", ""))
    request = _still_good(visit.realm, sealed["request"]) if sealed else None
    if sealed is None or request is None:
        return expired(visit.realm)
    replaced = Replacement(str(sealed["user"]), str(sealed.get("chosen", "")), bool(sealed["remembered"]))
    password = form.get("password-new", "")
    if password != form.get("password-confirm", ""):
        return new_password_page(visit, request, replaced, error="The two passwords differ.")
    try:
        async with visit.resources.database.session() as session:
            user = await _user_to_change(session, visit.realm, replaced)
        if user is None:
            return expired(visit.realm)
        hashed = await hash_for(
            visit.resources.hasher,
            visit.realm,
            {"value": password},
            username=user.username,
            email=user.email,
        )
        async with visit.resources.database.session() as session:
            # Somebody may have replaced the password while this one was hashed.
            user = await _user_to_change(session, visit.realm, replaced)
            if user is None:
                return expired(visit.realm)
            await set_password(session, user, hashed)
            await end_sessions_of(session, user.id)
    except IdentityError as refusal:
        return new_password_page(visit, request, replaced, error=registration_words(refusal))
    return await _finish(visit, request, user, remembered=replaced.remembered)


async def _user_to_change(session: AsyncSession, realm: Realm, replaced: Replacement) -> UserRow | None:
    """The user whose temporary password a form replaces, held; None when the form has expired."""
    user = await session.get(UserRow, replaced.user_id, with_for_update=True)
    if user is None or user.realm_id != realm.id or not user.enabled:
        return None
    held = await password_of(session, user.id, lock=True)
    if held is None or held.chosen_at.isoformat() != replaced.chosen_at:
        return None
    return user if UPDATE_PASSWORD in user.required_actions else None


async def _read_request(visit: Visit) -> AuthorizationRequest | Response:
    """The client's request, or what the browser gets instead."""
    parameters = dict(visit.http.query_params)
    if visit.http.method == "POST":
        parameters |= await read_form(visit.http)
    try:
        return read_authorization_request(visit.realm, parameters)
    except PageError as refusal:
        return sorry(visit.realm, str(refusal))
    except RefusedRequest as refused:
        return _refuse(visit.realm, refused)


def _request_in(visit: Visit, form: Mapping[str, str]) -> AuthorizationRequest | None:
    """The client's request that a form carried; None when it is not good, or not good any more."""
    sealed = visit.unseal(LOGIN, form.get("request", ""))
    return _still_good(visit.realm, sealed["request"]) if sealed else None


def _still_good(realm: Realm, parameters: Mapping[str, str]) -> AuthorizationRequest | None:
    try:
        return read_authorization_request(realm, parameters)
    except (PageError, RefusedRequest):  # the client has changed since the page was shown
        return None


async def _finish(
    visit: Visit, request: AuthorizationRequest, user: UserRow, *, remembered: bool
) -> Response:
    """Begin a session and send the browser back to its client with a code."""
    if user.required_actions:
        words = "This account is not fully set up. Ask your administrator."
        return sorry(visit.realm, words)
    remembered = remembered and visit.realm.flag("rememberMe")
    cookie = secrets.token_urlsafe(32)
    async with visit.resources.database.session() as session:
        online = await start_session(
            session,
            visit.realm,
            user.id,
            address=origin_of(visit.http.scope, visit.resources.trusted_proxies).address,
            remember_me=remembered,
            cookie=cookie,
        )
        code = await issue_code(session, visit.realm, request, online)
    response = _answer(visit.realm, request, code_answer(visit.realm, request, online, code))
    max_age = int((online.expires_at - now()).total_seconds()) if remembered else None
    visit.set_cookie(response, SESSION_COOKIE, cookie, max_age)
    return response


def _answer(realm: Realm, request: AuthorizationRequest, parameters: list[tuple[str, str]]) -> Response:
    if request.mode == "form_post":
        return page(realm, "form_post.html", action=request.redirect_uri, parameters=parameters)
    location = with_parameters(request.redirect_uri, parameters, fragment=request.mode == "fragment")
    return RedirectResponse(
        location,
        302,
        headers={"cache-control": "no-store, must-revalidate, max-age=0", "referrer-policy": "no-referrer"},
    )


def _refuse(realm: Realm, refused: RefusedRequest) -> Response:
    return _answer(realm, refused.request, refusal_answer(realm, refused))


def _is_recent(request: AuthorizationRequest, online: UserSessionRow) -> bool:
    if not request.max_age:
        return True
    return (now() - online.started_at).total_seconds() <= int(request.max_age)
