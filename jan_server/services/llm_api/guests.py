"""Guests: accounts that are made on the spot, without a name, and removed when nobody returns.

Source: contract/identity.md, section 5. A guest is an ordinary user with a random password
that nobody knows; only its tokens let it in, until it is upgraded (see `upgrades`).
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
import uuid
from collections import OrderedDict, deque
from collections.abc import Awaitable
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import delete, text, update
from sqlmodel import col, select

from jan_server.authentication.principal import Principal
from jan_server.database.engine import Database
from jan_server.services.llm_api.accounts import Accounts
from jan_server.services.llm_api.identity_server import IdentityRefused, IdentityServer, TokenSet
from jan_server.services.llm_api.tables import now
from jan_server.services.llm_api.tables.user import User
from jan_server.services.llm_api.users import ensure_user

logger = logging.getLogger("jan.llm-api.guests")

EMAIL_DOMAIN = "temp.jan.ai"
PASSWORD_BYTES = 16
GUEST_ATTRIBUTES = {"guest": ["true"]}
UPGRADED_ATTRIBUTES = {"guest": ["false"]}

# Processes that remove guests take turns: this advisory lock is theirs.
_REMOVAL_LOCK = 0x6A616E67


@dataclass(frozen=True, slots=True)
class Guest:
    """A new guest, already logged in.

    Attributes:
        subject: Its id at the identity server.
        username: The name that was asked for; Keycloak may log it in by its e-mail only.
        tokens: Its first tokens.
    """

    subject: str
    username: str
    tokens: TokenSet


async def make_guest(
    database: Database, server: IdentityServer, accounts: Accounts, *, issuer: str, role: str
) -> Guest:
    """Make a guest and log it in.

    When a step fails, what was made is removed again, at once or, while the identity server
    is away, by `remove_idle_guests`: the local row is written as soon as the account exists.

    Args:
        database: Where the local row goes.
        server: Where the guest logs in.
        accounts: Where its account is made.
        issuer: The realm's issuer, for the local row.
        role: The realm role of guests.

    Raises:
        IdentityRefused: The identity server refused a step.
        IdentityUnavailable: It does not answer.
    """
    username = f"guest-{uuid.uuid4()}"
    email = f"{username}@{EMAIL_DOMAIN}"
    password = secrets.token_hex(PASSWORD_BYTES)
    subject = ""
    try:
        subject = await accounts.create(
            username=username, email=email, password=password, attributes=GUEST_ATTRIBUTES
        )
        principal = Principal(subject=subject, issuer=issuer, username=username, email=email, guest=True)
        await _both(_write_row(database, principal), accounts.add_role(subject, role))
        tokens = await server.password_grant(email, password)
    except BaseException:
        await asyncio.shield(_undo(database, accounts, issuer=issuer, subject=subject, email=email))
        raise
    return Guest(subject, username, tokens)


async def _both(*steps: Awaitable[None]) -> None:
    # Neither step may still be under way when the other one failed and both are undone.
    for result in await asyncio.gather(*steps, return_exceptions=True):
        if isinstance(result, BaseException):
            raise result


async def _write_row(database: Database, principal: Principal) -> None:
    async with database.session() as session:
        await ensure_user(session, principal)


async def _undo(database: Database, accounts: Accounts, *, issuer: str, subject: str, email: str) -> None:
    try:
        if not subject:
            # The answer to the creation may be what got lost, not the account.
            account = await accounts.find_by_email(email)
            subject = account.id if account else ""
        if subject:
            await accounts.delete(subject)
            await _delete_row(database, issuer, subject)
    except Exception as failure:
        logger.warning("a half-made guest waits for its removal: %s", failure, extra={"subject": subject})


async def _delete_row(database: Database, issuer: str, subject: str) -> None:
    async with database.session() as session:
        await session.exec(delete(User).where(col(User.issuer) == issuer, col(User.subject) == subject))


async def remove_idle_guests(database: Database, accounts: Accounts, *, issuer: str, idle: timedelta) -> int:
    """Remove guests who were not seen for `idle` and never upgraded, with all that they own.

    Processes take turns; one that finds another at work does nothing.

    Returns:
        How many were removed.

    Raises:
        IdentityUnavailable: The identity server does not answer; the rest stays for later.
    """
    async with database.engine.connect() as connection:
        connection = await connection.execution_options(isolation_level="AUTOCOMMIT")
        lock = {"lock": _REMOVAL_LOCK}
        if not (await connection.execute(text("select pg_try_advisory_lock(:lock)"), lock)).scalar():
            return 0
        try:
            removed = 0
            kept: list[int] = []
            while (outcome := await _remove_one(database, accounts, issuer, idle, kept)) is not None:
                removed += outcome
            return removed
        finally:
            await connection.execute(text("select pg_advisory_unlock(:lock)"), lock)


async def _remove_one(
    database: Database, accounts: Accounts, issuer: str, idle: timedelta, kept: list[int]
) -> int | None:
    """Look at the guest who was away longest: 1 when removed, 0 when kept, None when none is left."""
    async with database.session() as session:
        # The row is locked, so that a guest who returns right now waits and then starts anew.
        found = await session.exec(
            select(User)
            .where(
                col(User.guest),
                col(User.issuer) == issuer,
                col(User.last_seen_at) < now() - idle,
                col(User.id).not_in(kept),
            )
            .order_by(col(User.last_seen_at))
            .limit(1)
            .with_for_update(skip_locked=True)
        )
        user = found.one_or_none()
        if user is None:
            return None
        try:
            account = await accounts.find(user.subject)
            if account is not None and not account.guest:
                await session.exec(update(User).where(col(User.id) == user.id).values(guest=False))
                return 0
            await accounts.delete(user.subject)
        except IdentityRefused as refusal:
            logger.warning("a guest is kept: %s", refusal, extra={"subject": user.subject})
            kept.append(user.id or 0)
            return 0
        await session.exec(delete(User).where(col(User.id) == user.id))
        return 1


class GuestQuota:
    """How many guests one address may make within an hour; counted in this process.

    Args:
        per_hour: The limit; 0 for none.
    """

    WINDOW_SECONDS = 3600.0
    REMEMBERED = 10_000

    def __init__(self, per_hour: int) -> None:
        self.per_hour = per_hour
        self._made: OrderedDict[str, deque[float]] = OrderedDict()

    def take(self, address: str) -> float:
        """Count one guest of `address`; returns 0, or the seconds until the next one is allowed."""
        if self.per_hour <= 0:
            return 0.0
        moment = time.monotonic()
        made = self._made.setdefault(address, deque(maxlen=self.per_hour))
        self._made.move_to_end(address)
        if len(self._made) > self.REMEMBERED:
            self._made.popitem(last=False)
        if len(made) == self.per_hour and made[0] > moment - self.WINDOW_SECONDS:
            return made[0] + self.WINDOW_SECONDS - moment
        made.append(moment)
        return 0.0
