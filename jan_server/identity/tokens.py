"""Tokens: access, id and refresh tokens, and the answer of the token endpoint.

Access and id tokens are signed with the realm's RSA key; refresh tokens with a secret of the
realm's own, since nobody else reads them. Source: OpenID Connect Core 1.0, sections 2 and 3;
RFC 6749, section 5.1; Keycloak's names of claims.
"""

from __future__ import annotations

import base64
import hashlib
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlmodel.ext.asyncio.session import AsyncSession

from jan_server.identity.claims import Occasion, mapped_claims
from jan_server.identity.clients import Client
from jan_server.identity.realm import Realm
from jan_server.identity.scopes import GrantedScope
from jan_server.identity.sessions import hold_refresh_token, refresh_token_end
from jan_server.identity.subject import Subject
from jan_server.identity.tables import UserSessionRow, now

REFRESH = "Refresh"
OFFLINE = "Offline"


@dataclass(frozen=True, slots=True)
class Grant:
    """What a client was granted: everything that its tokens depend on.

    Attributes:
        realm: The realm.
        client: The client.
        subject: Whom the tokens speak of.
        scope: Their scopes.
        session: The session, or None for a client that acts for itself.
        nonce: The browser request's nonce, for the id token.
        through_browser: Whether the user logged in on the log-in page.
        refresh_scope: The scopes that the refresh token keeps, where the access token has fewer.
        audiences: The only clients that the access token is for; none leaves it as it is.
    """

    realm: Realm
    client: Client
    subject: Subject
    scope: GrantedScope
    session: UserSessionRow | None
    nonce: str | None = None
    through_browser: bool = False
    refresh_scope: str | None = None
    audiences: Sequence[str] = ()

    @property
    def occasion(self) -> Occasion:
        """What the mappers look at."""
        notes = {"acr": "1"}
        if self.session is not None and self.through_browser:
            notes["AUTH_TIME"] = str(int(self.session.started_at.timestamp()))
        if self.session is None:
            notes["client_id"] = self.client.client_id
        return Occasion(self.realm, self.client, self.subject, self.scope, notes, self.audiences)


async def token_response(session: AsyncSession, grant: Grant, *, refreshable: bool = True) -> dict[str, Any]:
    """Make the tokens of a grant, and remember the refresh token as the client's good one.

    Args:
        session: The transaction.
        grant: The grant.
        refreshable: Whether there is a refresh token.

    Returns:
        The body of the token endpoint's answer.
    """
    issued_at = now()
    expires_at = issued_at + access_token_life(grant.realm, grant.client)
    refresh: str | None = None
    refresh_life = 0
    if grant.session is not None:
        if not grant.session.offline:
            expires_at = min(expires_at, grant.session.expires_at)
        if refreshable:
            refresh_end = refresh_token_end(grant.realm, grant.client, grant.session, issued_at)
            refresh = await _refresh_token(session, grant, issued_at, refresh_end)
            refresh_life = _seconds(refresh_end - issued_at)
    access = grant.realm.keys.sign(access_claims(grant, issued_at, expires_at))
    body: dict[str, Any] = {
        "access_token": access,
        "expires_in": _seconds(expires_at - issued_at),
        "refresh_expires_in": refresh_life,
    }
    if refresh is not None:
        body["refresh_token"] = refresh
    body["token_type"] = "Bearer"  # noqa: S105 - the name of the scheme
    if grant.scope.openid:
        body["id_token"] = grant.realm.keys.sign(id_claims(grant, access, issued_at, expires_at))
    body["not-before-policy"] = grant.realm.not_before
    if grant.session is not None:
        body["session_state"] = grant.session.id
    body["scope"] = grant.scope.shown
    return body


def access_token_life(realm: Realm, client: Client) -> timedelta:
    """How long the access tokens of a client live."""
    return timedelta(seconds=client.seconds("access.token.lifespan") or realm.seconds("accessTokenLifespan"))


def access_claims(grant: Grant, issued_at: datetime, expires_at: datetime) -> dict[str, Any]:
    """The claims of an access token."""
    mapped = mapped_claims(grant.occasion, "access")
    audience = mapped.pop("aud", [])
    if grant.audiences:
        audience = [name for name in audience if name in grant.audiences]
    claims = _common(grant, "Bearer", issued_at, expires_at)
    if audience:
        claims["aud"] = audience[0] if len(audience) == 1 else audience
    return {**claims, "scope": grant.scope.shown, **mapped}


def audience_of(grant: Grant) -> Sequence[str]:
    """Whom the access tokens of a grant are for."""
    audience: list[str] = mapped_claims(grant.occasion, "access").get("aud", [])
    return [name for name in audience if not grant.audiences or name in grant.audiences]


def id_claims(grant: Grant, access_token: str, issued_at: datetime, expires_at: datetime) -> dict[str, Any]:
    """The claims of an id token."""
    mapped = mapped_claims(grant.occasion, "id")
    mapped.pop("aud", None)
    claims = _common(grant, "ID", issued_at, expires_at)
    claims["aud"] = grant.client.client_id
    claims["at_hash"] = _half_hash(access_token)
    if grant.nonce is not None:
        claims["nonce"] = grant.nonce
    return {**claims, **mapped}


def userinfo_claims(grant: Grant) -> dict[str, Any]:
    """What the userinfo endpoint says."""
    return {"sub": grant.subject.user.id, **mapped_claims(grant.occasion, "userinfo")}


async def _refresh_token(
    session: AsyncSession, grant: Grant, issued_at: datetime, expires_at: datetime
) -> str:
    assert grant.session is not None
    token_id = str(uuid.uuid4())
    await hold_refresh_token(session, grant.session.id, grant.client.id, token_id)
    return grant.realm.keys.seal(
        {
            "exp": int(expires_at.timestamp()),
            "iat": int(issued_at.timestamp()),
            "jti": token_id,
            "iss": grant.realm.issuer,
            "aud": grant.realm.issuer,
            "sub": grant.subject.user.id,
            "typ": OFFLINE if grant.session.offline else REFRESH,
            "azp": grant.client.client_id,
            "sid": grant.session.id,
            "scope": grant.refresh_scope or grant.scope.names,
            "browser": grant.through_browser,
            **({"nonce": grant.nonce} if grant.nonce else {}),
        }
    )


def read_refresh_token(realm: Realm, token: str) -> Mapping[str, Any] | None:
    """The claims of a refresh token of this realm that has not run out; None for anything else."""
    claims = realm.keys.unseal(token)
    if claims is None or claims["typ"] not in (REFRESH, OFFLINE) or claims.get("iss") != realm.issuer:
        return None
    return claims


def _common(grant: Grant, typ: str, issued_at: datetime, expires_at: datetime) -> dict[str, Any]:
    claims: dict[str, Any] = {
        "exp": int(expires_at.timestamp()),
        "iat": int(issued_at.timestamp()),
        "jti": str(uuid.uuid4()),
        "iss": grant.realm.issuer,
        "sub": grant.subject.user.id,
        "typ": typ,
        "azp": grant.client.client_id,
    }
    if grant.session is not None:
        claims["sid"] = grant.session.id
    return claims


def _half_hash(token: str) -> str:
    digest = hashlib.sha256(token.encode()).digest()
    return base64.urlsafe_b64encode(digest[:16]).rstrip(b"=").decode()


def _seconds(life: timedelta) -> int:
    return max(int(life.total_seconds() + 0.5), 0)
