"""A realm: its settings, keys, clients, scopes and roles, read together and kept for a moment.

Users, groups and sessions are not part of it: they are read from the database each time.
"""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from sqlalchemy import update
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from jan_server.database.engine import Database
from jan_server.identity.clients import Client
from jan_server.identity.errors import IdentityError
from jan_server.identity.keys import KeyRing, KeyStatus, SigningKey, read_private_key
from jan_server.identity.roles import RoleBook, read_roles
from jan_server.identity.scopes import ClientScope, protocol_mappers
from jan_server.identity.tables import ClientRow, ClientScopeRow, RealmKeyRow, RealmRow

MASTER = "master"

RECHECK_SECONDS = 2.0
"""How long another process may work with settings that this one has changed."""

# What Keycloak gives a realm that says nothing (all in seconds where they count).
DEFAULTS: Mapping[str, Any] = {
    "enabled": True,
    "sslRequired": "external",
    "defaultSignatureAlgorithm": "RS256",
    "registrationAllowed": False,
    "registrationEmailAsUsername": False,
    "loginWithEmailAllowed": True,
    "duplicateEmailsAllowed": False,
    "editUsernameAllowed": False,
    "rememberMe": False,
    "resetPasswordAllowed": False,
    "verifyEmail": False,
    "accessTokenLifespan": 300,
    "ssoSessionIdleTimeout": 1800,
    "ssoSessionMaxLifespan": 36_000,
    "ssoSessionIdleTimeoutRememberMe": 0,
    "ssoSessionMaxLifespanRememberMe": 0,
    "clientSessionIdleTimeout": 0,
    "clientSessionMaxLifespan": 0,
    "offlineSessionIdleTimeout": 2_592_000,
    "offlineSessionMaxLifespanEnabled": False,
    "offlineSessionMaxLifespan": 5_184_000,
    "accessCodeLifespan": 60,
    "accessCodeLifespanUserAction": 300,
    "accessCodeLifespanLogin": 1800,
    "oauth2DeviceCodeLifespan": 600,
    "oauth2DevicePollingInterval": 5,
    "revokeRefreshToken": False,
    "refreshTokenMaxReuse": 0,
    "bruteForceProtected": False,
    "permanentLockout": False,
    "failureFactor": 30,
    "waitIncrementSeconds": 60,
    "maxFailureWaitSeconds": 900,
    "maxDeltaTimeSeconds": 43_200,
    "quickLoginCheckMilliSeconds": 1000,
    "minimumQuickLoginWaitSeconds": 60,
    "passwordPolicy": "",
}


@dataclass(frozen=True)
class Realm:
    """A realm as it was at one moment.

    Attributes:
        id: Its id, a UUID.
        name: Its name in paths.
        issuer: The `iss` of its tokens, whatever address they were asked for at.
        settings: Its settings in Keycloak's words; `setting` knows the defaults.
        keys: Its keys.
        clients: Its clients by name.
        scopes: Its client scopes by name.
        roles: Its roles.
        not_before: Tokens that were issued before this moment (epoch seconds) are refused.
        version: Grows with each change.
    """

    id: str
    name: str
    issuer: str
    settings: Mapping[str, Any]
    keys: KeyRing
    clients: Mapping[str, Client]
    scopes: Mapping[str, ClientScope]
    roles: RoleBook
    not_before: int
    version: int

    def setting(self, name: str) -> Any:
        """One setting, or what Keycloak gives a realm that does not say."""
        return self.settings.get(name, DEFAULTS[name])

    def flag(self, name: str) -> bool:
        """One setting that is on or off."""
        return bool(self.setting(name))

    def seconds(self, name: str) -> int:
        """One setting that counts seconds."""
        return int(self.setting(name))

    @property
    def display_name(self) -> str:
        """Its name for people."""
        return str(self.settings.get("displayName") or self.name)

    @property
    def email_is_username(self) -> bool:
        """Whether users are named by their e-mail addresses."""
        return self.flag("registrationEmailAsUsername")

    @property
    def default_role(self) -> str:
        """The name of the role that every new user gets."""
        return f"default-roles-{self.name}"

    @cached_property
    def clients_by_id(self) -> Mapping[str, Client]:
        """Its clients by their own ids."""
        return {client.id: client for client in self.clients.values()}

    @cached_property
    def scopes_by_id(self) -> Mapping[str, ClientScope]:
        """Its client scopes by their ids."""
        return {scope.id: scope for scope in self.scopes.values()}


class RealmDirectory:
    """The realms of this issuer, read from the database and kept until they change.

    A change that this process makes is seen at once; one that another process makes, within
    two seconds.

    Args:
        database: Where the realms are.
        issuer: The issuer of the application's realm.
        application_realm: The name of that realm.

    Attributes:
        database: Where the realms are.
        base_url: The public address that all realms share, without a trailing slash.
    """

    def __init__(self, database: Database, *, issuer: str, application_realm: str) -> None:
        self.database = database
        self._issuer = issuer
        self._application_realm = application_realm
        self.base_url = issuer.rstrip("/").removesuffix(f"/realms/{application_realm}")
        self._known: dict[str, Realm] = {}
        self._checked_at = 0.0
        self._changes = 0
        self._lock = asyncio.Lock()
        self._private_keys: dict[str, RSAPrivateKey] = {}

    async def get(self, name: str) -> Realm:
        """A realm by its name.

        Raises:
            IdentityError: 404 when there is none.
        """
        realm = self._fresh(name)
        if realm is None:
            async with self._lock:
                realm = self._fresh(name)
                if realm is None:
                    await self._refresh()
                    realm = self._known.get(name)
        if realm is None or not realm.flag("enabled"):
            raise IdentityError(404, {"error": "Realm does not exist"})
        return realm

    async def names(self) -> list[str]:
        """The names of all realms."""
        async with self._lock:
            await self._refresh()
        return sorted(self._known)

    def forget(self) -> None:
        """Read the realms anew at the next use; call it after a change is committed."""
        self._changes += 1
        self._checked_at = 0.0

    def _fresh(self, name: str) -> Realm | None:
        if time.monotonic() - self._checked_at > RECHECK_SECONDS:
            return None
        return self._known.get(name)

    async def _refresh(self) -> None:
        checked_at, changes = time.monotonic(), self._changes
        async with self.database.session() as session:
            versions = await session.exec(select(col(RealmRow.name), col(RealmRow.version)))
            current = dict(versions.all())
            known = {}
            for name, version in current.items():
                realm = self._known.get(name)
                if realm is None or realm.version != version:
                    realm = await self.read(session, name)
                known[name] = realm
        self._known = known
        # What was read while something changed may be old already.
        self._checked_at = checked_at if changes == self._changes else 0.0

    async def read(self, session: AsyncSession, name: str) -> Realm:
        """A realm as a transaction sees it, past what is kept."""
        row = (await session.exec(select(RealmRow).where(col(RealmRow.name) == name))).one()
        clients = await session.exec(select(ClientRow).where(col(ClientRow.realm_id) == row.id))
        scopes = await session.exec(
            select(ClientScopeRow)
            .where(col(ClientScopeRow.realm_id) == row.id)
            .order_by(col(ClientScopeRow.name))
        )
        keys = await session.exec(select(RealmKeyRow).where(col(RealmKeyRow.realm_id) == row.id))
        return Realm(
            id=row.id,
            name=row.name,
            issuer=self._issuer
            if row.name == self._application_realm
            else f"{self.base_url}/realms/{row.name}",
            settings=row.settings,
            keys=KeyRing(
                keys=self._order([self._key(key) for key in keys.all()]),
                secret=base64.b64decode(row.secret),
                secret_id=row.secret_id,
            ),
            clients={
                one.client_id: Client(one.id, one.client_id, one.secret, one.settings)
                for one in sorted(clients.all(), key=lambda one: one.client_id)
            },
            scopes={
                one.name: ClientScope(
                    one.id, one.name, one.settings, protocol_mappers(one.settings.get("protocolMappers"))
                )
                for one in scopes.all()
            },
            roles=await read_roles(session, row.id),
            not_before=row.not_before,
            version=row.version,
        )

    def _key(self, row: RealmKeyRow) -> SigningKey:
        if row.kid not in self._private_keys:
            self._private_keys[row.kid] = read_private_key(row.private_key)
        status: KeyStatus = (
            "ACTIVE" if row.status == "ACTIVE" else "PASSIVE" if row.status == "PASSIVE" else "DISABLED"
        )
        return SigningKey(
            kid=row.kid,
            private=self._private_keys[row.kid],
            certificate=base64.b64decode(row.certificate),
            status=status,
            priority=row.priority,
            provider_id=row.provider_id,
        )

    @staticmethod
    def _order(keys: list[SigningKey]) -> list[SigningKey]:
        rank = {"ACTIVE": 0, "PASSIVE": 1, "DISABLED": 2}
        return sorted(keys, key=lambda key: (rank[key.status], -key.priority, key.kid))


async def touch(session: AsyncSession, realm_id: str) -> None:
    """Say that a realm's settings changed; call `RealmDirectory.forget` after the commit."""
    await session.exec(
        update(RealmRow).where(col(RealmRow.id) == realm_id).values(version=col(RealmRow.version) + 1)
    )
