"""Sessions: a log-in of a user, the clients in it, and the one refresh token that each client holds.

A refresh token is good once. Using it again means that two parties hold it, so the whole
session ends (RFC 9700, section 4.14.2; Keycloak's `revokeRefreshToken`).
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, exists, update
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from jan_server.identity.clients import Client
from jan_server.identity.errors import not_found
from jan_server.identity.realm import Realm
from jan_server.identity.tables import ClientSessionRow, RealmRow, UserRow, UserSessionRow, now

_FOREVER = timedelta(days=36_500)


def fingerprint(secret: str) -> str:
    """What is stored of a code or a cookie: its SHA-256 in hex."""
    return hashlib.sha256(secret.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """How long a session lives.

    Attributes:
        idle: After its last refresh.
        total: After its start.
    """

    idle: timedelta
    total: timedelta

    def end(self, started_at: datetime, refreshed_at: datetime) -> datetime:
        """When the session ends."""
        return min(refreshed_at + self.idle, started_at + self.total)


def session_lifetimes(realm: Realm, *, remember_me: bool, offline: bool) -> Lifetimes:
    """The lifetimes that a realm gives its sessions."""
    if offline:
        limited = realm.flag("offlineSessionMaxLifespanEnabled")
        total = timedelta(seconds=realm.seconds("offlineSessionMaxLifespan")) if limited else _FOREVER
        return Lifetimes(timedelta(seconds=realm.seconds("offlineSessionIdleTimeout")), total)
    idle, longest = realm.seconds("ssoSessionIdleTimeout"), realm.seconds("ssoSessionMaxLifespan")
    if remember_me:
        idle = max(idle, realm.seconds("ssoSessionIdleTimeoutRememberMe"))
        longest = max(longest, realm.seconds("ssoSessionMaxLifespanRememberMe"))
    return Lifetimes(timedelta(seconds=idle), timedelta(seconds=longest))


def refresh_token_end(realm: Realm, client: Client, session: UserSessionRow, issued_at: datetime) -> datetime:
    """When a refresh token runs out: with its session, or sooner where the client says so."""
    end = session.expires_at
    if session.offline:
        return end
    idle = client.seconds("client.session.idle.timeout") or realm.seconds("clientSessionIdleTimeout")
    longest = client.seconds("client.session.max.lifespan") or realm.seconds("clientSessionMaxLifespan")
    if idle:
        end = min(end, issued_at + timedelta(seconds=idle))
    if longest:
        end = min(end, session.started_at + timedelta(seconds=longest))
    return end


async def start_session(
    session: AsyncSession,
    realm: Realm,
    user_id: str,
    *,
    address: str,
    remember_me: bool = False,
    offline: bool = False,
    cookie: str | None = None,
) -> UserSessionRow:
    """Begin a log-in.

    Args:
        session: The transaction.
        realm: The realm.
        user_id: Who logged in.
        address: From where.
        remember_me: Whether the browser's cookie outlives the browser.
        offline: Whether it is one of refresh tokens that outlive the log-in.
        cookie: The browser's cookie, where there is a browser.
    """
    moment = now()
    row = UserSessionRow(
        id=secrets.token_urlsafe(18),
        realm_id=realm.id,
        user_id=user_id,
        cookie_hash=fingerprint(cookie) if cookie else None,
        remember_me=remember_me,
        offline=offline,
        address=address[:64],
        started_at=moment,
        refreshed_at=moment,
        expires_at=session_lifetimes(realm, remember_me=remember_me, offline=offline).end(moment, moment),
    )
    session.add(row)
    await session.flush()
    return row


async def live_session(
    session: AsyncSession, realm: Realm, session_id: str, *, lock: bool = False
) -> UserSessionRow | None:
    """A session that has not ended.

    Args:
        session: The transaction.
        realm: The realm.
        session_id: The session's id.
        lock: Whether it is held until the transaction ends, so that refreshes take turns.
    """
    row = await session.get(UserSessionRow, session_id, with_for_update=lock)
    return row if row is not None and row.realm_id == realm.id and row.expires_at > now() else None


async def session_of_cookie(session: AsyncSession, realm: Realm, cookie: str) -> UserSessionRow | None:
    """The session that a browser's cookie stands for, if it has not ended and its user is enabled."""
    query = (
        select(UserSessionRow)
        .join(UserRow, col(UserRow.id) == col(UserSessionRow.user_id))
        .where(
            col(UserSessionRow.cookie_hash) == fingerprint(cookie),
            col(UserSessionRow.realm_id) == realm.id,
            col(UserSessionRow.expires_at) > now(),
            col(UserRow.enabled),
        )
    )
    return (await session.exec(query)).one_or_none()


async def keep_alive(session: AsyncSession, realm: Realm, row: UserSessionRow) -> None:
    """Count a session's idle time from now."""
    row.refreshed_at = now()
    row.expires_at = session_lifetimes(realm, remember_me=row.remember_me, offline=row.offline).end(
        row.started_at, row.refreshed_at
    )
    session.add(row)


async def client_session(session: AsyncSession, session_id: str, client_id: str) -> ClientSessionRow | None:
    """A client's part of a session, or None when the client is not in it."""
    return await session.get(ClientSessionRow, (session_id, client_id))


async def hold_refresh_token(session: AsyncSession, session_id: str, client_id: str, refresh_id: str) -> None:
    """Make one refresh token the good one of a client; those before it are not any more."""
    statement = insert(ClientSessionRow).values(
        session_id=session_id, client_id=client_id, refresh_id=refresh_id, refresh_uses=0, started_at=now()
    )
    await session.exec(
        statement.on_conflict_do_update(
            index_elements=["session_id", "client_id"], set_={"refresh_id": refresh_id, "refresh_uses": 0}
        )
    )


async def end_session(session: AsyncSession, session_id: str) -> bool:
    """End a session; says whether there was one."""
    ended = await session.exec(delete(UserSessionRow).where(col(UserSessionRow.id) == session_id))
    return bool(ended.rowcount)


async def leave_session(session: AsyncSession, session_id: str, client_id: str) -> None:
    """Take a client out of a session; a session without clients and without a browser ends."""
    await session.exec(
        delete(ClientSessionRow).where(
            col(ClientSessionRow.session_id) == session_id, col(ClientSessionRow.client_id) == client_id
        )
    )
    others = exists().where(col(ClientSessionRow.session_id) == session_id)
    await session.exec(
        delete(UserSessionRow).where(
            col(UserSessionRow.id) == session_id, col(UserSessionRow.cookie_hash).is_(None), ~others
        )
    )


async def end_sessions_of(session: AsyncSession, user_id: str, *, but: str | None = None) -> None:
    """End every session of a user, save the one that `but` names."""
    query = delete(UserSessionRow).where(col(UserSessionRow.user_id) == user_id)
    await session.exec(query.where(col(UserSessionRow.id) != but) if but else query)


async def end_all_sessions(session: AsyncSession, realm: Realm) -> None:
    """End every session of a realm, and refuse every token that was issued so far."""
    await session.exec(delete(UserSessionRow).where(col(UserSessionRow.realm_id) == realm.id))
    await session.exec(
        update(RealmRow).where(col(RealmRow.id) == realm.id).values(not_before=int(now().timestamp()))
    )


async def delete_session(session: AsyncSession, realm: Realm, session_id: str) -> None:
    """End a session of a realm; IdentityError 404 when there is none."""
    if await live_session(session, realm, session_id) is None:
        raise not_found("Sesssion not found")  # so it says in Keycloak
    await end_session(session, session_id)


async def sessions_of_user(session: AsyncSession, realm: Realm, user: UserRow) -> list[dict[str, Any]]:
    """The live sessions of a user as the admin API shows them, the newest first."""
    rows = (
        await session.exec(
            select(UserSessionRow)
            .where(col(UserSessionRow.user_id) == user.id, col(UserSessionRow.expires_at) > now())
            .order_by(col(UserSessionRow.started_at).desc())
        )
    ).all()
    parts = await session.exec(
        select(col(ClientSessionRow.session_id), col(ClientSessionRow.client_id)).where(
            col(ClientSessionRow.session_id).in_([row.id for row in rows])
        )
    )
    clients: dict[str, dict[str, str]] = {}
    for session_id, client_id in parts.all():
        if client := realm.clients_by_id.get(client_id):
            clients.setdefault(session_id, {})[client_id] = client.client_id
    return [
        {
            "id": row.id,
            "username": user.username,
            "userId": user.id,
            "ipAddress": row.address,
            "start": int(row.started_at.timestamp() * 1000),
            "lastAccess": int(row.refreshed_at.timestamp() * 1000),
            "rememberMe": row.remember_me,
            "clients": clients.get(row.id, {}),
            "transientUser": False,
        }
        for row in rows
    ]
