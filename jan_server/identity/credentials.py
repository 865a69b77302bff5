"""Credentials: the password of a user, set, compared and shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import delete, update
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from jan_server.database.engine import Database
from jan_server.identity.errors import IdentityError, bad_request
from jan_server.identity.hashed_credentials import hashed_credential, imported_hash
from jan_server.identity.passwords import PasswordHasher, check_policy
from jan_server.identity.realm import Realm
from jan_server.identity.tables import CredentialRow, UserRow, new_id, now
from jan_server.identity.users import UPDATE_PASSWORD


@dataclass(frozen=True, slots=True)
class Password:
    """The password that a user has.

    Attributes:
        hash: Its hash.
        chosen_at: When it was set, in UTC; hashing it anew does not change that.
    """

    hash: str
    chosen_at: datetime


def password_in(body: Mapping[str, Any]) -> str:
    """The password of a credential's representation.

    Raises:
        IdentityError: 400 when there is none.
    """
    value = body.get("value")
    if value is None:
        raise IdentityError(400, {"error": "No password provided"})
    if not isinstance(value, str) or not value:
        raise IdentityError(400, {"error": "Empty password not allowed"})
    return value


async def hash_for(
    hasher: PasswordHasher, realm: Realm, body: Mapping[str, Any], *, username: str, email: str | None
) -> str:
    """The hash of a credential's representation: of its `value`, or the one that it carries itself.

    Raises:
        IdentityError: 400 for a password that the realm's policy refuses, or a hash of an unknown kind.
    """
    if body.get("type", "password") != "password":
        raise bad_request("only credentials of the type password are kept", field="credentials")
    if "secretData" in body:
        return imported_hash(body)
    password = password_in(body)
    check_policy(str(realm.setting("passwordPolicy") or ""), password, username=username, email=email or "")
    return await hasher.hash(password)


async def set_password(session: AsyncSession, user: UserRow, hashed: str, *, temporary: bool = False) -> None:
    """Give a user a password; a temporary one has to be changed at the next log-in."""
    await session.exec(
        insert(CredentialRow)
        .values(id=new_id(), user_id=user.id, hash=hashed, created_at=now())
        .on_conflict_do_update(index_elements=["user_id"], set_={"hash": hashed, "created_at": now()})
    )
    others = [action for action in user.required_actions if action != UPDATE_PASSWORD]
    user.required_actions = [*others, UPDATE_PASSWORD] if temporary else others
    session.add(user)


async def password_of(session: AsyncSession, user_id: str, *, lock: bool = False) -> Password | None:
    """The password of a user, or None.

    Args:
        session: The transaction.
        user_id: The user.
        lock: Whether nobody may replace it before the transaction ends.
    """
    query = select(CredentialRow).where(col(CredentialRow.user_id) == user_id)
    if lock:
        query = query.with_for_update().execution_options(populate_existing=True)
    row = (await session.exec(query)).one_or_none()
    return Password(row.hash, row.created_at.astimezone(UTC)) if row is not None else None


async def refresh_hash(
    database: Database, hasher: PasswordHasher, user_id: str, password: str, held: Password
) -> None:
    """Hash a password anew, with today's parameters, after it was found right, if it is still the same."""
    hashed = await hasher.hash(password)
    async with database.session() as session:
        await session.exec(
            update(CredentialRow)
            .where(col(CredentialRow.user_id) == user_id, col(CredentialRow.hash) == held.hash)
            .values(hash=hashed)
        )


async def credentials_of(session: AsyncSession, user_id: str) -> list[dict[str, Any]]:
    """A user's credentials as the admin API shows them: how they were hashed, but not the hash."""
    rows = await session.exec(select(CredentialRow).where(col(CredentialRow.user_id) == user_id))
    return [
        {
            "id": row.id,
            "type": "password",
            "createdDate": int(row.created_at.timestamp() * 1000),
            "credentialData": hashed_credential(row.hash)["credentialData"],
        }
        for row in rows.all()
    ]


async def delete_credential(session: AsyncSession, user_id: str, credential_id: str) -> bool:
    """Remove a credential; says whether there was one."""
    gone = await session.exec(
        delete(CredentialRow).where(
            col(CredentialRow.user_id) == user_id, col(CredentialRow.id) == credential_id
        )
    )
    return bool(gone.rowcount)
