"""Credentials: the password of a user, set, compared, and carried to and from Keycloak."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson
from sqlalchemy import delete, update
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from jan_server.database.engine import Database
from jan_server.identity.errors import IdentityError, bad_request
from jan_server.identity.passwords import PasswordHasher, check_policy, pbkdf2_hash
from jan_server.identity.realm import Realm
from jan_server.identity.tables import CredentialRow, UserRow, new_id, now
from jan_server.identity.users import UPDATE_PASSWORD

_PBKDF2 = {"pbkdf2": "sha1", "pbkdf2-sha256": "sha256", "pbkdf2-sha512": "sha512"}

# Far above what Keycloak has ever used (1 300 000 rounds of PBKDF2), and still compared within seconds.
MAX_ROUNDS = 5_000_000
MAX_PASSES = 64
MAX_MEMORY_KIB = 256 * 1024
MAX_LANES = 16
MAX_BYTES = 512
MIN_ARGON2_SALT, MIN_ARGON2_HASH = 8, 4


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
            "credentialData": orjson.dumps(_credential_data(row.hash)).decode(),
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


def imported_hash(body: Mapping[str, Any]) -> str:
    """The hash of a credential that Keycloak exported (`credentialData` and `secretData`).

    Raises:
        IdentityError: 400 when it is malformed or of an unknown kind.
    """
    try:
        data, secret = orjson.loads(body["credentialData"]), orjson.loads(body["secretData"])
        salt, digest = base64.b64decode(secret["salt"]), base64.b64decode(secret["value"])
        algorithm = str(data["algorithm"])
        most = MAX_ROUNDS if algorithm in _PBKDF2 else MAX_PASSES
        iterations = _within("hashIterations", data["hashIterations"], most)
        for name, part in (("salt", salt), ("value", digest)):
            _within(f"the length of {name}", len(part), MAX_BYTES)
        if algorithm in _PBKDF2:
            return pbkdf2_hash(_PBKDF2[algorithm], iterations, salt, digest)
        if algorithm == "argon2":
            more = {name: str(texts[0]) for name, texts in data["additionalParameters"].items()}
            memory = _within("memory", int(more["memory"]), MAX_MEMORY_KIB)
            lanes = _within("parallelism", int(more["parallelism"]), MAX_LANES)
            kind = more.get("type", "id")
            short = len(salt) < MIN_ARGON2_SALT or len(digest) < MIN_ARGON2_HASH
            if short or kind not in ("i", "d", "id") or memory < 8 * lanes:
                raise ValueError
            return (
                f"$argon2{kind}$v=19$m={memory},t={iterations},p={lanes}"
                f"${_unpadded(salt)}${_unpadded(digest)}"
            )
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError) as failure:
        raise bad_request("the hashed credential is malformed", field="credentials") from failure
    raise bad_request(f"passwords hashed by {algorithm[:32]!r} are not understood", field="credentials")


def _within(what: str, value: Any, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
        raise bad_request(f"credentials: {what} must be a whole number from 1 to {most}", field="credentials")
    return value


def _credential_data(hashed: str) -> dict[str, Any]:
    _, kind, *rest = hashed.split("$")
    if kind.startswith("pbkdf2-"):
        return {"hashIterations": int(rest[0].removeprefix("i=")), "algorithm": kind}
    parameters = dict(part.split("=") for part in rest[1].split(","))
    return {
        "hashIterations": int(parameters["t"]),
        "algorithm": "argon2",
        "additionalParameters": {
            "memory": [parameters["m"]],
            "parallelism": [parameters["p"]],
            "type": [kind.removeprefix("argon2")],
            "version": ["1.3"],
        },
    }


def _unpadded(data: bytes) -> str:
    return base64.b64encode(data).rstrip(b"=").decode()
