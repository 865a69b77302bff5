"""Whether a presented API key is good, and who its owner is.

The database decides about the key and the identity server about its owner, both anew for
every check: a revoked key and a disabled or removed owner are refused from the next request
on. While the identity server is away, owners that it vouched for a short while ago stay
good for a bounded time. Source: contract/identity.md, section 8.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import bindparam, update
from sqlmodel import col, select

from jan_server.authentication.principal import Principal
from jan_server.database.engine import Database
from jan_server.services.llm_api.accounts import Account, Accounts, Rights
from jan_server.services.llm_api.api_keys import hash_secret, is_active
from jan_server.services.llm_api.identity_server import IdentityUnavailable
from jan_server.services.llm_api.tables import now
from jan_server.services.llm_api.tables.api_key import ApiKey
from jan_server.services.llm_api.tables.user import User

LONGEST_SECRET = 256
RIGHTS_SECONDS = 15.0
"""How old an owner's roles and groups may be; whether the owner is enabled is always asked."""
REMEMBERED_OWNERS = 20_000

PATIENCE_SECONDS = 1.0
"""How long the identity server may take over an owner whom it vouched for within the grace."""


@dataclass(frozen=True, slots=True)
class KeyOwner:
    """A good key's owner.

    Attributes:
        key_id: The key.
        user_id: The owner's local row.
        issuer: The realm of the owner.
        account: The owner's account at the identity server.
        rights: What the owner may do.
    """

    key_id: UUID
    user_id: int
    issuer: str
    account: Account
    rights: Rights

    def principal(self) -> Principal:
        """The owner as the principal of a request."""
        account, rights = self.account, self.rights
        return Principal(
            subject=account.id,
            issuer=self.issuer,
            method="apikey",
            username=account.username,
            email=account.email,
            name=f"{account.first_name} {account.last_name}".strip(),
            roles=rights.roles,
            groups=rights.groups,
            feature_flags=rights.feature_flags,
            guest=account.guest,
            user_id=str(self.user_id),
            key_id=str(self.key_id),
        )


@dataclass(frozen=True, slots=True)
class _Vouched:
    account: Account
    rights: Rights
    rights_at: float
    at: float


class KeyCheck:
    """Checks keys and remembers when each was last used.

    Args:
        database: Where the keys are.
        accounts: Where their owners are.
        grace_seconds: How long an owner who was vouched for stays good while the identity
            server does not answer; 0 for not at all.
    """

    def __init__(self, database: Database, accounts: Accounts, *, grace_seconds: float) -> None:
        self._database = database
        self._accounts = accounts
        self._grace_seconds = grace_seconds
        self._vouched: OrderedDict[str, _Vouched] = OrderedDict()
        self._used: dict[UUID, datetime] = {}

    async def owner(self, secret: str) -> KeyOwner | None:
        """The owner of a good key; None for a key that is unknown, revoked, expired or orphaned.

        Raises:
            IdentityUnavailable: The identity server does not answer, and did not vouch for
                the owner lately.
        """
        if len(secret) > LONGEST_SECRET:
            return None
        async with self._database.session() as session:
            found = await session.exec(
                select(ApiKey.id, User.id, User.issuer, User.subject)
                .join(User, col(User.id) == col(ApiKey.user_id))
                .where(
                    col(ApiKey.hash) == hash_secret(secret),
                    is_active(now()),
                    col(User.deleted_at).is_(None),
                )
            )
            row = found.one_or_none()
        if row is None:
            return None
        key_id, user_id, issuer, subject = row
        vouched = await self._ask(subject)
        if vouched is None:
            return None
        self._used[key_id] = now()
        assert user_id is not None
        return KeyOwner(key_id, user_id, issuer, vouched.account, vouched.rights)

    async def principal(self, secret: str) -> Principal | None:
        """The owner of a good key as a principal; as `owner`."""
        owner = await self.owner(secret)
        return owner.principal() if owner else None

    def forget(self, subject: str) -> None:
        """Drop what is remembered of an owner, after its account or its rights were changed."""
        self._vouched.pop(subject, None)

    async def _ask(self, subject: str) -> _Vouched | None:
        known = self._vouched.get(subject)
        moment = time.monotonic()
        graced = known is not None and moment - known.at <= self._grace_seconds
        try:
            async with asyncio.timeout(PATIENCE_SECONDS if graced else None):
                account, rights, rights_at = await self._told(subject, known, moment)
        except (IdentityUnavailable, TimeoutError) as failure:
            if isinstance(failure, TimeoutError):
                self._accounts.doubt()
            if not graced:
                raise
            return known
        if account is None or not account.enabled or rights is None:
            self._vouched.pop(subject, None)
            return None
        vouched = _Vouched(account, rights, rights_at, moment)
        self._vouched[subject] = vouched
        self._vouched.move_to_end(subject)
        if len(self._vouched) > REMEMBERED_OWNERS:
            self._vouched.popitem(last=False)
        return vouched

    async def _told(
        self, subject: str, known: _Vouched | None, moment: float
    ) -> tuple[Account | None, Rights | None, float]:
        """What the identity server says of an owner now, and since when the rights hold."""
        if known is not None and moment - known.rights_at < RIGHTS_SECONDS:
            return await self._accounts.find(subject), known.rights, known.rights_at
        return *await self._account_and_rights(subject), moment

    async def _account_and_rights(self, subject: str) -> tuple[Account | None, Rights | None]:
        account, rights = await asyncio.gather(
            self._accounts.find(subject), self._accounts.rights(subject), return_exceptions=True
        )
        if isinstance(account, BaseException):
            raise account
        if account is None:
            return None, None
        if isinstance(rights, BaseException):
            raise rights
        return account, rights

    async def record_uses(self) -> None:
        """Write the last uses that were gathered since the last call, in one statement."""
        used, self._used = self._used, {}
        if not used:
            return
        statement = (
            update(ApiKey)
            .where(col(ApiKey.id) == bindparam("key"))
            .values(last_used_at=bindparam("used_at"), updated_at=col(ApiKey.updated_at))
        )
        # Sorted, so that two processes never wait for one another's rows.
        rows = [{"key": key, "used_at": moment} for key, moment in sorted(used.items())]
        try:
            async with self._database.engine.begin() as connection:
                await connection.execute(statement, rows)
        except BaseException:
            self._used = {**used, **self._used}
            raise
