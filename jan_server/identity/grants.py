"""Grants: the ways in which a client gets tokens at the token endpoint.

Source: RFC 6749 (password, client credentials, refresh, code), RFC 7636 (PKCE), RFC 8693
(exchange), RFC 9700 (security best practice); errors in Keycloak's words.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import update
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from jan_server.identity import login_attempts
from jan_server.identity.clients import Client
from jan_server.identity.credentials import Password, password_of, refresh_hash
from jan_server.identity.errors import IdentityError, invalid_credentials, invalid_grant, oauth_error
from jan_server.identity.realm import Realm
from jan_server.identity.resources import Resources
from jan_server.identity.scopes import OFFLINE_ACCESS, OPENID, GrantedScope, grant_scope
from jan_server.identity.service_accounts import service_account
from jan_server.identity.sessions import (
    client_session,
    end_session,
    fingerprint,
    keep_alive,
    live_session,
    start_session,
)
from jan_server.identity.subject import Subject, load_subject
from jan_server.identity.tables import AuthorizationCodeRow, UserRow, UserSessionRow, now
from jan_server.identity.tokens import Grant, read_refresh_token, token_response
from jan_server.identity.users import find_by_login

logger = logging.getLogger("jan.identity.grants")

_VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}\Z")


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """A request to the token endpoint whose client is known.

    Attributes:
        resources: The app's resources.
        realm: The realm.
        client: The client.
        form: The parameters.
        origin: Where it comes from.
        audiences: The clients that an exchanged token is wanted for.
    """

    resources: Resources
    realm: Realm
    client: Client
    form: Mapping[str, str]
    origin: login_attempts.Origin
    audiences: Sequence[str] = ()

    def scope(self, requested: str | None = None) -> GrantedScope:
        """The scopes that it gets."""
        asked = self.form.get("scope", "") if requested is None else requested
        return grant_scope(self.client, self.realm.scopes, asked)


async def check_password(
    resources: Resources, realm: Realm, login: str, password: str, origin: login_attempts.Origin
) -> tuple[UserRow, Password]:
    """The user with a name or address and a password, and that password; counts and limits failures.

    Raises:
        IdentityError: 401 `invalid_grant` when either is wrong; 429 for an address with too many
            failures.
    """
    async with resources.database.session() as session:
        user = await find_by_login(session, realm, login) if login.strip() else None
        tried = login_attempts.attempt(user.id if user else None, login, origin)
        await login_attempts.refuse_if_blocked(session, realm, tried, resources.address_limit)
        held = await password_of(session, user.id) if user else None
    # No connection is held while the password is hashed.
    verdict = await resources.hasher.verify(password, held.hash if held else None)
    if user is None or held is None or not verdict.good:
        logger.info("a log-in failed", extra={"user": user.id if user else "", "address": origin.address})
        async with resources.database.session() as session:
            await login_attempts.count_failure(session, realm, tried, resources.address_limit)
        raise invalid_credentials()
    if verdict.stale:
        await refresh_hash(resources.database, resources.hasher, user.id, password, held)
    return user, held


async def password_grant(request: TokenRequest) -> dict[str, Any]:
    """Log a user in by name (or e-mail) and password."""
    if not request.client.password_grant:
        raise oauth_error("unauthorized_client", "Client not allowed for direct access grants")
    if "username" not in request.form:
        raise oauth_error("invalid_request", "Missing parameter: username", status=401)
    scope = request.scope()
    user, _ = await check_password(
        request.resources,
        request.realm,
        request.form["username"],
        request.form.get("password", ""),
        request.origin,
    )
    if not user.enabled:
        raise invalid_grant("Account disabled")
    if user.required_actions:
        raise invalid_grant("Account is not fully set up")
    async with request.resources.database.session() as session:
        await login_attempts.forget_failures(session, request.realm, login_attempts.USER, user.id)
        subject = await load_subject(session, request.realm, user)
        _require_offline_role(subject, scope)
        row = await start_session(
            session, request.realm, user.id, address=request.origin.address, offline=scope.offline
        )
        grant = Grant(request.realm, request.client, subject, scope, row)
        return await token_response(session, grant)


async def client_credentials_grant(request: TokenRequest) -> dict[str, Any]:
    """Let a client act for itself; there is no session and no refresh token (RFC 6749, 4.4.3)."""
    client = request.client
    if client.public:
        raise oauth_error(
            "unauthorized_client", "Public client not allowed to retrieve service account", status=401
        )
    if not client.service_account:
        raise oauth_error("unauthorized_client", "Client not enabled to retrieve service account", status=401)
    scope = request.scope()
    async with request.resources.database.session() as session:
        user = await service_account(session, client)
        if user is None or not user.enabled:
            raise oauth_error("unauthorized_client", "The service account is missing or disabled", status=401)
        subject = await load_subject(session, request.realm, user)
        return await token_response(session, Grant(request.realm, client, subject, scope, None))


async def refresh_grant(request: TokenRequest) -> dict[str, Any]:
    """Renew tokens; where the realm says so, each refresh token is good once only."""
    token = request.form.get("refresh_token")
    if token is None:
        raise oauth_error("invalid_request", "No refresh token")
    claims = read_refresh_token(request.realm, token)
    if claims is None or int(claims["iat"]) < request.realm.not_before:
        raise invalid_grant("Invalid refresh token")
    if claims["azp"] != request.client.client_id:
        raise invalid_grant("Invalid refresh token. Token client and authorized client don't match")
    refusal: IdentityError | None = None
    async with request.resources.database.session() as session:
        row, refusal = await _use_refresh_token(session, request, claims)
        if row is not None:
            user = await _user_of(session, row, claims)
            granted = str(claims["scope"])
            request.scope()  # refuses what nobody could be granted
            scope = request.scope(
                _narrowed(_still_allowed(request.client, granted), request.form.get("scope"))
            )
            subject = await load_subject(session, request.realm, user)
            await keep_alive(session, request.realm, row)
            grant = Grant(
                request.realm,
                request.client,
                subject,
                scope,
                row,
                nonce=claims.get("nonce"),
                through_browser=bool(claims.get("browser")),
                refresh_scope=granted,
            )
            return await token_response(session, grant)
    assert refusal is not None
    raise refusal


async def _use_refresh_token(
    session: AsyncSession, request: TokenRequest, claims: Mapping[str, Any]
) -> tuple[UserSessionRow | None, IdentityError | None]:
    """The session that a refresh token renews, or why it does not.

    A refusal is returned, not raised, because the end of a session has to be committed.
    """
    row = await live_session(session, request.realm, str(claims["sid"]), lock=True)
    if row is None:
        return None, invalid_grant("Session not active")
    held = await client_session(session, row.id, request.client.id)
    if held is None:
        return None, invalid_grant("Session doesn't have required client")
    if request.realm.flag("revokeRefreshToken"):
        current = held.refresh_id == claims["jti"]
        if not current or held.refresh_uses > int(request.realm.setting("refreshTokenMaxReuse")):
            await end_session(session, row.id)
            return None, invalid_grant("Maximum allowed refresh token reuse exceeded")
        held.refresh_uses += 1
        session.add(held)
        await session.flush()
    return row, None


async def _user_of(session: AsyncSession, row: UserSessionRow, claims: Mapping[str, Any]) -> UserRow:
    user = await session.get(UserRow, row.user_id)
    if user is None:
        raise invalid_grant("Invalid refresh token")
    if not user.enabled:
        raise invalid_grant("User disabled")
    if int(claims["iat"]) < user.not_before:
        raise invalid_grant("Stale token")
    return user


def _still_allowed(client: Client, granted: str) -> str:
    """The scopes of a refresh token without those that the client has lost since."""
    allowed = {OPENID, *client.default_scopes, *client.optional_scopes}
    return " ".join(name for name in granted.split() if name in allowed)


def _narrowed(granted: str, requested: str | None) -> str:
    """The scopes of a refresh: of those that were granted, the ones that are asked for.

    Like Keycloak, it passes over further ones, so nobody gets more than before (RFC 6749, section 6).
    """
    if not requested:
        return granted
    wanted = set(requested.split())
    return " ".join(name for name in granted.split() if name in wanted)


async def code_grant(request: TokenRequest) -> dict[str, Any]:
    """Exchange the code that a browser brought; a code that comes twice ends its session."""
    code = request.form.get("code")
    if not code:
        raise oauth_error("invalid_request", "Missing parameter: code")
    async with request.resources.database.session() as session:
        row = await _spend_code(session, code)
    # Whatever is wrong with the request, its code is spent: nobody tries twice.
    if row is None or row.expires_at <= now():
        raise invalid_grant("Code not valid")
    if row.client_id != request.client.id:
        raise invalid_grant("Auth error: Found different client_id in clientSession")
    if row.redirect_uri != request.form.get("redirect_uri"):
        raise invalid_grant("Incorrect redirect_uri")
    _check_verifier(row, request.form.get("code_verifier"))
    async with request.resources.database.session() as session:
        online = await live_session(session, request.realm, row.session_id)
        if online is None:
            raise invalid_grant("Session not active")
        user = await session.get(UserRow, online.user_id)
        if user is None or not user.enabled:
            raise invalid_grant("User disabled")
        scope = request.scope(row.scope)
        subject = await load_subject(session, request.realm, user)
        _require_offline_role(subject, scope)
        if scope.offline:
            online = await start_session(
                session, request.realm, user.id, address=request.origin.address, offline=True
            )
        grant = Grant(
            request.realm, request.client, subject, scope, online, nonce=row.nonce, through_browser=True
        )
        return await token_response(session, grant)


async def _spend_code(session: AsyncSession, code: str) -> AuthorizationCodeRow | None:
    """Mark a code as used, once; a second use ends the session that the first one began."""
    code_hash = fingerprint(code)
    spent = await session.exec(
        update(AuthorizationCodeRow)
        .where(col(AuthorizationCodeRow.code_hash) == code_hash, ~col(AuthorizationCodeRow.used))
        .values(used=True)
    )
    row = await session.get(AuthorizationCodeRow, code_hash)
    if row is None or spent.rowcount:
        return row
    await end_session(session, row.session_id)
    return None


def _check_verifier(row: AuthorizationCodeRow, verifier: str | None) -> None:
    if row.code_challenge is None:
        if verifier is not None:
            raise invalid_grant("PKCE verification failed: Code verifier given without a challenge")
        return
    if not verifier:
        raise invalid_grant("PKCE code verifier not specified")
    if not _VERIFIER.match(verifier):
        raise invalid_grant("PKCE verification failed: Invalid code verifier")
    if row.code_challenge_method == "S256":
        digest = hashlib.sha256(verifier.encode()).digest()
        verifier = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    if not hmac.compare_digest(verifier.encode(), row.code_challenge.encode()):
        raise invalid_grant("PKCE verification failed: Code mismatch")


def _require_offline_role(subject: Subject, scope: GrantedScope) -> None:
    if scope.offline and not any(role.name == OFFLINE_ACCESS for role in subject.roles):
        raise oauth_error("not_allowed", "Offline tokens not allowed for the user or client")
