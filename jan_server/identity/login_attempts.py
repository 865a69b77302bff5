"""Failed log-ins: after too many, an account waits a while, and an address is turned away.

An account never stays locked: the wait grows with each round of failures up to a limit and
ends by itself (Keycloak's brute-force detection without permanent lock-out). A name that
nobody has is counted like one that somebody has, so the answers tell nobody which is which.
Log-ins that succeed are never limited, and neither are processes of this machine, so guests
are made at any rate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import delete
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession
from starlette.types import Scope

from jan_server.http.client_address import Network, client_address, is_within, limit_key, parse_address
from jan_server.identity.errors import IdentityError, invalid_grant, oauth_error
from jan_server.identity.realm import Realm
from jan_server.identity.tables import LoginFailureRow, now

USER = "user"
NAME = "name"
ADDRESS = "address"


@dataclass(frozen=True, slots=True)
class AddressLimit:
    """How many failures one address may have.

    Attributes:
        attempts: Failures within the window; 0 switches the limit off.
        window: Its length.
    """

    attempts: int
    window: timedelta


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a log-in comes from.

    Attributes:
        address: The client's address; empty when nobody knows it.
        key: What it counts as: itself, and for IPv6 its network of 64 bits.
        local: Whether a process of this machine talks to the issuer itself, without a proxy.
    """

    address: str
    key: str
    local: bool


@dataclass(frozen=True, slots=True)
class Attempt:
    """A log-in that somebody tries.

    Attributes:
        kind: `user` when somebody has the name, else `name`.
        subject: The user's id, or the name that was typed.
        origin: Where it comes from.
    """

    kind: str
    subject: str
    origin: Origin


def attempt(user_id: str | None, login: str, origin: Origin) -> Attempt:
    """The attempt to log in as somebody."""
    if user_id is not None:
        return Attempt(USER, user_id, origin)
    return Attempt(NAME, login.strip().lower()[:255], origin)


def origin_of(scope: Scope, trusted: Sequence[Network]) -> Origin:
    """Where a request comes from.

    Args:
        scope: The connection.
        trusted: Proxies whose word about the client is believed; the gateway of this process
            needs none, because it writes the client's address into the scope.
    """
    peer = parse_address(str((scope.get("client") or ("",))[0]))
    named = any(name in (b"x-real-ip", b"x-forwarded-for") for name, _ in scope["headers"])
    told = named and peer is not None and is_within(peer, trusted)
    address = client_address(scope, trusted)
    return Origin(address, limit_key(address), local=peer is not None and peer.is_loopback and not told)


async def refuse_if_blocked(session: AsyncSession, realm: Realm, tried: Attempt, limit: AddressLimit) -> None:
    """Turn an attempt away before its password is looked at.

    Raises:
        IdentityError: 401 `invalid_grant` while the account waits; 429 for the address.
    """
    rows = await session.exec(
        select(LoginFailureRow).where(
            col(LoginFailureRow.realm_id) == realm.id,
            col(LoginFailureRow.blocked_until) > now(),
            col(LoginFailureRow.kind).in_((tried.kind, ADDRESS)),
            col(LoginFailureRow.subject).in_((tried.subject, tried.origin.key)),
        )
    )
    for row in rows.all():
        if row.kind == ADDRESS and row.subject == tried.origin.key and limit.attempts:
            raise too_many(row)
        if row.kind == tried.kind and row.subject == tried.subject and realm.flag("bruteForceProtected"):
            raise invalid_grant("Account temporarily disabled, after too many failed log-ins", status=401)


def too_many(row: LoginFailureRow) -> IdentityError:
    """The refusal of an address: 429 with the seconds to wait."""
    assert row.blocked_until is not None
    wait = max(int((row.blocked_until - now()).total_seconds()) + 1, 1)
    return oauth_error(
        "temporarily_unavailable",
        f"Too many failed log-ins from this address; try again in {wait} seconds",
        status=429,
        headers={"retry-after": str(wait)},
    )


async def count_failure(session: AsyncSession, realm: Realm, tried: Attempt, limit: AddressLimit) -> None:
    """Remember that an attempt failed, and let the account or the address wait where it is one too many."""
    if realm.flag("bruteForceProtected"):
        row = await _count(
            session,
            realm,
            tried.kind,
            tried.subject,
            tried.origin.address,
            timedelta(seconds=realm.seconds("maxDeltaTimeSeconds")),
        )
        rounds = row.failures // max(int(realm.setting("failureFactor")), 1)
        if rounds:
            wait = min(rounds * realm.seconds("waitIncrementSeconds"), realm.seconds("maxFailureWaitSeconds"))
            row.blocked_until = now() + timedelta(seconds=wait)
            session.add(row)
    origin = tried.origin
    if limit.attempts and origin.key and not origin.local:
        row = await _count(session, realm, ADDRESS, origin.key, origin.address, limit.window)
        if row.failures >= limit.attempts:
            row.blocked_until = now() + limit.window
            session.add(row)


async def forget_failures(session: AsyncSession, realm: Realm, kind: str, subject: str | None = None) -> None:
    """Start counting anew: for one subject, or for all of a kind."""
    query = delete(LoginFailureRow).where(
        col(LoginFailureRow.realm_id) == realm.id, col(LoginFailureRow.kind) == kind
    )
    await session.exec(query.where(col(LoginFailureRow.subject) == subject) if subject else query)


async def failures_of(session: AsyncSession, realm: Realm, user_id: str) -> dict[str, Any]:
    """What the admin API says of a user's failed log-ins."""
    row = await session.get(LoginFailureRow, (realm.id, USER, user_id))
    blocked = row.blocked_until if row else None
    return {
        "failedLoginNotBefore": int(blocked.timestamp()) if blocked else 0,
        "numFailures": row.failures if row else 0,
        "numTemporaryLockouts": 0,
        "disabled": blocked is not None and blocked > now(),
        "lastIPFailure": row.last_address if row else "n/a",
        "lastFailure": int(row.last_failure_at.timestamp() * 1000) if row else 0,
    }


async def _count(
    session: AsyncSession, realm: Realm, kind: str, subject: str, address: str, window: timedelta
) -> LoginFailureRow:
    """One more failure; those before count only while each came within `window` of the one before."""
    moment = now()
    key = {"realm_id": realm.id, "kind": kind, "subject": subject}
    await session.exec(
        insert(LoginFailureRow)
        .values(**key, failures=0, last_failure_at=moment, last_address=address[:64])
        .on_conflict_do_nothing()
    )
    row = (
        await session.exec(
            select(LoginFailureRow)
            .where(*(col(getattr(LoginFailureRow, name)) == value for name, value in key.items()))
            .with_for_update()
        )
    ).one()
    row.failures = row.failures + 1 if moment - row.last_failure_at <= window else 1
    row.last_failure_at = moment
    row.last_address = address[:64]
    session.add(row)
    return row
