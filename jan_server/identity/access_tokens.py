"""Access tokens that come back to the issuer: whether they are still good.

Elsewhere a signature and a date are enough; here a session that ended, a user that was
disabled and a token that was revoked count at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlmodel.ext.asyncio.session import AsyncSession

from jan_server.identity.realm import Realm
from jan_server.identity.sessions import live_session
from jan_server.identity.tables import RevokedTokenRow, UserRow, UserSessionRow


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
    if int(claims["iat"]) < realm.not_before:
        return None
    user = await session.get(UserRow, str(claims.get("sub")))
    if user is None or user.realm_id != realm.id or not user.enabled or int(claims["iat"]) < user.not_before:
        return None
    online = None
    if "sid" in claims:
        online = await live_session(session, realm, str(claims["sid"]))
        if online is None or online.user_id != user.id:
            return None
    if await session.get(RevokedTokenRow, str(claims.get("jti"))) is not None:
        return None
    return AccessToken(claims, user, online)
