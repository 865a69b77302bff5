"""API keys of users: made, listed, revoked.

A key's secret is shown once, when it is made; the database holds its SHA-256 only. A secret
has 192 random bits, so a plain hash cannot be searched backwards. Whether a presented key is
good is decided by `key_check`. Source: contract/llm-api.md, section 6.11, and
contract/identity.md, section 8.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

from sqlalchemy import ColumnElement, and_, false, func, or_
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from jan_server.services.llm_api.refusals import Conflict, Invalid, Missing
from jan_server.services.llm_api.tables import now
from jan_server.services.llm_api.tables.api_key import ApiKey
from jan_server.services.llm_api.tables.user import User

SECRET_BYTES = 24
SUFFIX_LENGTH = 4

KeyStatus = Literal["active", "expired", "revoked"]


@dataclass(frozen=True, slots=True)
class KeyRules:
    """What holds for every key.

    Attributes:
        prefix: What a secret begins with, before the underscore.
        default_life: Life of a key whose maker asked for none.
        longest_life: Longer requests are cut to this.
        per_user: Active keys that one user may hold.
    """

    prefix: str
    default_life: timedelta
    longest_life: timedelta
    per_user: int

    def life(self, asked: timedelta | None) -> timedelta:
        """The life a key gets when `asked` was asked for; nothing or less means the default."""
        wanted = asked if asked is not None and asked > timedelta() else self.default_life
        return min(wanted, self.longest_life)


def hash_secret(secret: str) -> str:
    """What the database knows of a secret: its SHA-256 in hexadecimal."""
    return hashlib.sha256(secret.encode()).hexdigest()


def status(key: ApiKey, moment: datetime) -> KeyStatus:
    """Whether a key is good at `moment`; revocation is named before expiry."""
    if key.revoked_at is not None:
        return "revoked"
    return "active" if key.expires_at is None or key.expires_at > moment else "expired"


def is_active(moment: datetime) -> ColumnElement[bool]:
    """The same for a query: neither revoked nor expired."""
    expiry = col(ApiKey.expires_at)
    return and_(col(ApiKey.revoked_at).is_(None), or_(expiry.is_(None), expiry > moment))


async def create_key(
    session: AsyncSession, user_id: int, *, name: str, life: timedelta | None, rules: KeyRules
) -> tuple[ApiKey, str]:
    """Make a key.

    The user's row is locked meanwhile, so that requests at the same time cannot together
    exceed the limit.

    Args:
        session: The transaction to work in.
        user_id: The owner.
        name: What the owner calls it, 1 to 128 characters.
        life: Wanted life; None for the default.
        rules: What holds for every key.

    Returns:
        The stored row, and the secret, which nobody can show again.

    Raises:
        Invalid: The user already holds as many active keys as one user may.
    """
    moment = now()
    await _make_room(session, user_id, rules, moment)
    secret = f"{rules.prefix}_{secrets.token_hex(SECRET_BYTES)}"
    key = ApiKey(
        user_id=user_id,
        name=name,
        prefix=rules.prefix,
        suffix=secret[-SUFFIX_LENGTH:],
        hash=hash_secret(secret),
        expires_at=moment + rules.life(life),
        created_at=moment,
    )
    session.add(key)
    await session.flush()
    return key, secret


async def _make_room(session: AsyncSession, user_id: int, rules: KeyRules, moment: datetime) -> None:
    """Lock the user's keys, and see whether one more may be active."""
    await session.exec(select(User.id).where(col(User.id) == user_id).with_for_update())
    active = await session.exec(
        select(func.count()).select_from(ApiKey).where(col(ApiKey.user_id) == user_id, is_active(moment))
    )
    if active.one() >= rules.per_user:
        raise Invalid(
            f"api key limit reached: a user may hold {rules.per_user} active keys; revoke one first",
            code="api_key_limit_reached",
        )


async def change_expiry(
    session: AsyncSession, key: ApiKey, expires_at: datetime | None, rules: KeyRules
) -> None:
    """Let a key end earlier, later or never; an expired one works again.

    Args:
        session: The transaction to work in.
        key: The key, locked.
        expires_at: Its new end, cut to the longest life from now; None for none.
        rules: What holds for every key.

    Raises:
        Invalid: The moment is over, or the user already holds as many active keys as one user may.
        Conflict: The key was revoked, which is for good.
    """
    moment = now()
    if key.revoked_at is not None:
        raise Conflict("this key was revoked, and stays so; make another one")
    if expires_at is not None and expires_at <= moment:
        raise Invalid(
            "expires_at must be in the future; revoke a key that has to end now", param="expires_at"
        )
    if status(key, moment) != "active":
        await _make_room(session, key.user_id, rules, moment)
    key.expires_at = None if expires_at is None else min(expires_at, moment + rules.longest_life)
    session.add(key)


async def find_key(session: AsyncSession, key_id: UUID, *, user_id: int | None = None) -> ApiKey:
    """One key, locked for a change.

    Args:
        session: The transaction to work in.
        key_id: The key.
        user_id: Its owner; None for whoever that is.

    Raises:
        Missing: There is no such key.
    """
    query = select(ApiKey).where(col(ApiKey.id) == key_id).with_for_update()
    if user_id is not None:
        query = query.where(col(ApiKey.user_id) == user_id)
    key = (await session.exec(query)).one_or_none()
    if key is None:
        raise Missing("api key not found")
    return key


async def all_keys(
    session: AsyncSession, *, user_id: int | None, limit: int, offset: int
) -> tuple[list[tuple[ApiKey, User]], int]:
    """Keys with their owners, the newest first, and how many there are in all.

    Args:
        session: The open transaction.
        user_id: Only this user's; None for everybody's.
        limit: How many at most.
        offset: How many to skip.
    """
    mine = [col(ApiKey.user_id) == user_id] if user_id is not None else []
    total = (await session.exec(select(func.count()).select_from(ApiKey).where(*mine))).one()
    rows = await session.exec(
        select(ApiKey, User)
        .join(User, col(User.id) == col(ApiKey.user_id))
        .where(*mine)
        .order_by(col(ApiKey.created_at).desc(), col(ApiKey.id))
        .limit(limit)
        .offset(offset)
    )
    return [(row[0], row[1]) for row in rows], total


async def find_owner(session: AsyncSession, named: str) -> User:
    """The user with this local number, username or e-mail address.

    Raises:
        Missing: Nobody who ever used the LLM API is called that.
        Invalid: Several are.
    """
    query = select(User).where(col(User.deleted_at).is_(None))
    if named.isascii() and named.isdigit():
        query = query.where(col(User.id) == int(named)) if len(named) < 10 else query.where(false())
    else:
        query = query.where(or_(col(User.username) == named, func.lower(col(User.email)) == named.lower()))
    found = (await session.exec(query.limit(2))).all()
    if not found:
        raise Missing(f"nobody who ever used the LLM API is called {named}", param="owner")
    if len(found) > 1:
        raise Invalid(f"several users are called {named}; give the local number", param="owner")
    return found[0]


async def list_keys(session: AsyncSession, user_id: int) -> Sequence[ApiKey]:
    """All keys of a user, the newest first, revoked and expired ones included."""
    found = await session.exec(
        select(ApiKey)
        .where(col(ApiKey.user_id) == user_id)
        .order_by(col(ApiKey.created_at).desc(), col(ApiKey.id))
    )
    return found.all()


async def revoke_key(session: AsyncSession, user_id: int, key_id: UUID) -> bool:
    """Revoke a key for good; revoking twice changes nothing.

    Returns:
        False when the user has no such key.
    """
    found = await session.exec(
        select(ApiKey).where(col(ApiKey.id) == key_id, col(ApiKey.user_id) == user_id).with_for_update()
    )
    key = found.one_or_none()
    if key is None:
        return False
    if key.revoked_at is None:
        key.revoked_at = now()
        session.add(key)
    return True
