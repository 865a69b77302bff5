"""The routes of sessions: guests, tokens, upgrade, and who the caller is.

Source: contract/llm-api.md, section 6, and contract/identity.md, sections 5 to 7.
"""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Response
from starlette.requests import Request

from jan_server.authentication.guard import bearer
from jan_server.http.errors import ApiError, forbidden, invalid_request, unauthorized, upstream_failed
from jan_server.http.json_body import read_json_object
from jan_server.http.typed_body import body_of, documented
from jan_server.services.llm_api.client_address import limit_key
from jan_server.services.llm_api.email_proofs import Outcome, send_proof
from jan_server.services.llm_api.guests import make_guest
from jan_server.services.llm_api.identity_server import IdentityRefused, IdentityUnavailable, TokenSet
from jan_server.services.llm_api.metrics import AUTH_REQUESTS
from jan_server.services.llm_api.resources import Open, Resources
from jan_server.services.llm_api.routes.caller import CallerPrincipal
from jan_server.services.llm_api.routes.failures import from_unavailable
from jan_server.services.llm_api.schemas.auth import (
    GuestLogin,
    LoggedOut,
    Me,
    RefreshToken,
    Revoked,
    Tokens,
    TokenToRevoke,
    Upgraded,
    UpgradeRequest,
    Validated,
)
from jan_server.services.llm_api.schemas.error import errors
from jan_server.services.llm_api.tables import now
from jan_server.services.llm_api.upgrades import Upgrade, is_address, upgrade_guest

COOKIE = "refresh_token"
PROOF_PATH = "/auth/verify-email"


async def no_store(response: Response) -> None:
    """Tokens and keys are for the caller alone: no cache may keep such an answer."""
    response.headers["Cache-Control"] = "no-store"


router = APIRouter(prefix="/auth", tags=["auth"], dependencies=[Depends(no_store)])


@router.post(
    "/guest-login", status_code=201, summary="Make a guest and log it in", responses=errors(429, 502)
)
async def guest_login(request: Request, opened: Open) -> GuestLogin:
    """Make an account without a name; its tokens are all that lets it in. No body is read."""
    wait = opened.guest_quota.take(limit_key(request))
    if wait > 0:
        AUTH_REQUESTS.labels("guest", "limited").inc()
        raise ApiError(
            429,
            "too many guests from this address; log in with an account, or try again later",
            code="guest_quota_exceeded",
            headers={"Retry-After": str(math.ceil(wait))},
        )
    keycloak = opened.settings.infrastructure.auth.keycloak
    try:
        guest = await make_guest(
            opened.database,
            opened.identity,
            opened.accounts,
            issuer=keycloak.issuer,
            role=keycloak.guest_role,
        )
    except IdentityRefused as refusal:
        AUTH_REQUESTS.labels("guest", "failed").inc()
        raise upstream_failed(f"failed to provision guest: {refusal}") from refusal
    AUTH_REQUESTS.labels("guest", "ok").inc()
    return GuestLogin(
        user_id=guest.subject,
        username=guest.username,
        principal_id=guest.subject,
        access_token=guest.tokens.access_token,
        refresh_token=guest.tokens.refresh_token,
        token_type=guest.tokens.token_type,
        expires_in=guest.tokens.expires_in,
    )


@router.post(
    "/refresh-token",
    summary="New tokens for a refresh token",
    openapi_extra=documented(RefreshToken, required=False),
    responses=errors(401),
)
async def refresh_token(request: Request, opened: Open) -> Tokens:
    """The token is looked for in the body and, when that is unreadable, in cookie and `Authorization`."""
    try:
        token = text_member(await read_json_object(request))
    except ApiError:
        token = request.cookies.get(COOKIE, "") or credential(request)
    if not token:
        raise invalid_request("refresh_token required", param=COOKIE)
    try:
        tokens = await opened.identity.refresh(token)
    except IdentityRefused as refusal:
        AUTH_REQUESTS.labels("refresh", "refused").inc()
        raise unauthorized(f"failed to refresh token: {refusal}", code="refresh_refused") from refusal
    AUTH_REQUESTS.labels("refresh", "ok").inc()
    return with_expiry(tokens)


@router.get("/logout", summary="The same for a browser's link", operation_id="logout_by_link")
@router.post("/logout", summary="End the session of a refresh token")
async def logout(request: Request, response: Response, opened: Open) -> LoggedOut:
    """The token is looked for in the cookie, in the body, then in `Authorization`; the cookie is dropped.

    The caller is logged out as well when it has no token, or one that has ended before. When
    the identity server cannot be reached, the session goes on, and the answer says so: 503.
    """
    response.delete_cookie(COOKIE, path="/", secure=True, httponly=True, samesite="none")
    token = request.cookies.get(COOKIE, "")
    if not token:
        try:
            token = text_member(await read_json_object(request))
        except ApiError:
            token = ""
    token = token or bearer(request.headers.get("authorization", ""))
    if token:
        try:
            await opened.identity.logout(token)
        except IdentityRefused:
            AUTH_REQUESTS.labels("logout", "refused").inc()
        except IdentityUnavailable as failure:
            error = from_unavailable(failure)
            error.headers["Set-Cookie"] = response.headers["set-cookie"]
            raise error from failure
    return LoggedOut()


@router.post("/validate", summary="Ask the identity server about an access token", responses=errors(401))
async def validate(request: Request, opened: Open) -> Validated:
    """Whether the token of `Authorization` holds right now, and what is known about its owner."""
    header = request.headers.get("authorization", "")
    if not header:
        raise unauthorized("Missing Authorization header", code="missing_credential")
    token = bearer(header)
    if not token:
        raise unauthorized("Invalid Authorization header format", code="invalid_credential")
    try:
        return Validated(user_info=await opened.identity.userinfo(token))
    except IdentityRefused as refusal:
        raise unauthorized(f"Token validation failed: {refusal}", code="invalid_token") from refusal


@router.post(
    "/revoke",
    summary="Revoke a refresh token",
    openapi_extra=documented(TokenToRevoke),
    responses=errors(401, 403, 502),
)
async def revoke(opened: Open, body: Annotated[TokenToRevoke, Depends(body_of(TokenToRevoke))]) -> Revoked:
    """End a refresh token; access tokens that are out run out by themselves."""
    try:
        await opened.identity.revoke(body.refresh_token)
    except IdentityRefused as refusal:
        raise ApiError(refusal.status, f"Token revocation failed: {refusal}") from refusal
    return Revoked()


@router.post(
    "/upgrade",
    summary="Register a guest",
    openapi_extra=documented(UpgradeRequest),
    response_model_exclude_none=True,
    responses=errors(403, 404, 409, 502),
)
async def upgrade(
    opened: Open,
    caller: CallerPrincipal,
    body: Annotated[UpgradeRequest, Depends(body_of(UpgradeRequest))],
) -> Upgraded:
    """Turn the calling guest into a registered user who keeps everything.

    The address counts as unverified until its owner follows the link that is sent there (with mail set up).
    """
    if caller.method != "jwt":
        raise forbidden("an API key cannot upgrade an account; use the guest's own access token")
    if not is_address(body.email):
        raise invalid_request("email: give an e-mail address such as name@example.org", param="email")
    keycloak = opened.settings.infrastructure.auth.keycloak
    proved = await upgrade_guest(
        opened.database,
        opened.accounts,
        subject=caller.subject,
        issuer=keycloak.issuer,
        upgrade=Upgrade(body.email, body.full_name.strip(), body.password),
        guest_role=keycloak.guest_role,
    )
    opened.users.forget(keycloak.issuer, caller.subject)
    AUTH_REQUESTS.labels("upgrade", "ok").inc()
    mail = None if proved else await _send_proof(opened, caller.subject, body.email)
    if body.password is None:
        return Upgraded(email_verification=mail)
    tokens = with_expiry(await opened.identity.password_grant(body.email, body.password))
    return Upgraded(email_verification=mail, **tokens.model_dump())


async def _send_proof(opened: Resources, subject: str, email: str) -> Outcome | None:
    """Send the link that proves an address, where mail is set up."""
    if opened.mailer is None:
        return None
    settings = opened.settings
    return await send_proof(
        opened.database,
        opened.mailer,
        issuer=settings.infrastructure.auth.keycloak.issuer,
        subject=subject,
        email=email,
        # Never the address that the caller used: whoever asks could make the link lead to themselves.
        page=f"{settings.infrastructure.gateway.public_url.rstrip('/')}{PROOF_PATH}",
        lifetime=settings.identity.email_proof_ttl,
    )


@router.get("/me", summary="Whom the service takes the caller for", response_model_exclude_none=True)
async def me(caller: CallerPrincipal) -> Me:
    """The caller as its credential describes it."""
    return Me(
        id=caller.principal_id,
        username=caller.username or None,
        email=caller.email or None,
        subject=caller.subject,
        auth_method=caller.method,
        name=caller.name or caller.username or None,
        roles=list(caller.roles) or None,
        groups=list(caller.groups) or None,
        feature_flags=list(caller.feature_flags) or None,
        guest=caller.guest,
        is_admin=caller.is_admin,
    )


def with_expiry(tokens: TokenSet) -> Tokens:
    """Tokens as they travel, with the moment of their end."""
    return Tokens(
        access_token=tokens.access_token,
        refresh_token=tokens.refresh_token,
        token_type=tokens.token_type,
        expires_in=tokens.expires_in,
        expires_at=(now() + timedelta(seconds=tokens.expires_in)).replace(microsecond=0),
    )


def text_member(body: dict[str, object]) -> str:
    """The refresh token of a body; anything but text counts as missing."""
    value = body.get(COOKIE)
    return value if isinstance(value, str) else ""


def credential(request: Request) -> str:
    """What `Authorization` carries; its scheme may be left out."""
    header = request.headers.get("authorization", "").strip()
    return bearer(header) or ("" if " " in header else header)
