"""Access tokens that come back to the issuer: whether they are still good.

Elsewhere a signature and a date are enough; here a session that ended, a user that was
disabled and a token that was revoked count at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import exists, literal
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from jan_server.identity.realm import Realm
from jan_server.identity.tables import RevokedTokenRow, UserRow, UserSessionRow, now


@dataclass(frozen=True, slots=True)
class AccessToken:
    """A good access token.

    Attributes:
        claims: What it says.
        user: Whom it speaks of.
        session: Its session, or None for a client that acts for itself.
    """

    claims: Mapping[str, Any]
    user: UserRow
    session: UserSessionRow | None


async def verify_access_token(session: AsyncSession, realm: Realm, token: str) -> AccessToken | None:
    """The token, if this realm signed it and nothing has ended it since."""
    claims = realm.keys.verify(token)
    if claims is None or claims.get("typ") != "Bearer" or claims.get("iss") != realm.issuer:
        return None
    issued_at, session_id = int(claims["iat"]), str(claims.get("sid", ""))
    if issued_at < realm.not_before:
        return None
    found = await session.exec(
        select(UserRow, UserSessionRow)
        .join(
            UserSessionRow,
            (col(UserSessionRow.id) == literal(session_id))
            & (col(UserSessionRow.user_id) == col(UserRow.id))
            & (col(UserSessionRow.expires_at) > now()),
            isouter=True,
        )
        .where(
            col(UserRow.id) == str(claims.get("sub")),
            col(UserRow.realm_id) == realm.id,
            col(UserRow.enabled),
            col(UserRow.not_before) <= issued_at,
            ~exists().where(col(RevokedTokenRow.token_id) == str(claims.get("jti"))),
        )
    )
    row = found.one_or_none()
    if row is None or (session_id and row[1] is None):
        return None
    return AccessToken(claims, row[0], row[1])
