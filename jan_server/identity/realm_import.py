"""The import of realms into the database: at first start, and later what changed in the realm file.

The file owns what it lists: when its words on an entity change, they are applied again; what
administrators changed in between stays as long as the file keeps saying the same. Groups,
roles and users are only added, never reset, save a user's password when the file's changes.
"""

from __future__ import annotations

import base64
import hashlib
import logging
import secrets
from collections.abc import Iterable, Mapping
from typing import Any

import orjson
from sqlalchemy import func
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from jan_server.identity import builtin
from jan_server.identity.attributes import read_attributes
from jan_server.identity.credentials import set_password
from jan_server.identity.groups import read_groups
from jan_server.identity.keys import (
    key_id,
    new_private_key,
    private_pem,
    read_private_key,
    self_signed_certificate,
)
from jan_server.identity.passwords import PasswordHasher
from jan_server.identity.realm import Realm, RealmDirectory, touch
from jan_server.identity.realm_file import KEY_PROVIDER
from jan_server.identity.scopes import with_mapper_ids
from jan_server.identity.service_accounts import create_service_account
from jan_server.identity.tables import (
    ClientRow,
    ClientScopeRow,
    GroupRow,
    ImportedEntityRow,
    RealmKeyRow,
    RealmRow,
    RoleCompositeRow,
    RoleRow,
    UserGroupRow,
    UserRoleRow,
    UserRow,
    new_id,
    now,
)
from jan_server.identity.users import create_user

logger = logging.getLogger("jan.identity.realm_import")

# Processes that start at the same time take turns.
IMPORT_LOCK = 0x6A616E69

# What has tables of its own; everything else is a setting of the realm.
_ENTITIES = frozenset(
    {"id", "realm", "clients", "clientScopes", "roles", "groups", "users", "components", "defaultGroups"}
)
_CLIENT_COLUMNS = frozenset({"id", "clientId", "secret"})


async def import_realms(
    realms: RealmDirectory,
    hasher: PasswordHasher,
    representations: Iterable[Mapping[str, Any]],
) -> None:
    """Bring the database in line with realms in Keycloak's representation.

    Args:
        realms: The realms; they are read anew afterwards.
        hasher: Hashes the passwords of users.
        representations: The realms.
    """
    async with realms.database.session() as session:
        await session.exec(select(func.pg_advisory_xact_lock(IMPORT_LOCK)))
        for representation in representations:
            await _RealmImport(session, hasher, representation).apply(realms)
    realms.forget()


class _RealmImport:
    """One import of one realm, within a transaction."""

    def __init__(self, session: AsyncSession, hasher: PasswordHasher, file: Mapping[str, Any]) -> None:
        self._session = session
        self._hasher = hasher
        self._file = file
        self._name = str(file["realm"])
        self._realm_id = ""
        self._known: dict[tuple[str, str], ImportedEntityRow] = {}
        self._changed = False

    async def apply(self, realms: RealmDirectory) -> None:
        """Apply everything, in the order in which things need one another."""
        await self._apply_realm()
        await self._apply_keys()
        await self._apply_scopes()
        await self._apply_clients()
        await self._apply_roles()
        await self._apply_groups()
        if self._changed:
            await touch(self._session, self._realm_id)
        await self._session.flush()
        # Users need the realm as a whole, with what was just written.
        await self._apply_users(await realms.read(self._session, self._name))

    def _is_news(self, kind: str, name: str, words: Any) -> bool:
        """Whether the file says something else of an entity than at the last import."""
        digest = hashlib.sha256(orjson.dumps(words, option=orjson.OPT_SORT_KEYS)).hexdigest()
        known = self._known.get((kind, name))
        if known is not None and known.digest == digest:
            return False
        if known is None:
            known = ImportedEntityRow(realm_id=self._realm_id, kind=kind, name=name, digest=digest)
            self._known[kind, name] = known
        known.digest = digest
        self._session.add(known)
        self._changed = True
        return True

    async def _apply_realm(self) -> None:
        settings = {name: value for name, value in self._file.items() if name not in _ENTITIES}
        row = (
            await self._session.exec(select(RealmRow).where(col(RealmRow.name) == self._name))
        ).one_or_none()
        if row is None:
            logger.info("the realm %s is imported", self._name)
            row = RealmRow(name=self._name, secret=base64.b64encode(secrets.token_bytes(64)).decode())
            self._session.add(row)
            await self._session.flush()
        self._realm_id = row.id
        entities = await self._session.exec(
            select(ImportedEntityRow).where(col(ImportedEntityRow.realm_id) == row.id)
        )
        self._known = {(one.kind, one.name): one for one in entities.all()}
        if self._is_news("realm", self._name, settings):
            row.settings = {**row.settings, **settings}
            self._session.add(row)

    async def _apply_keys(self) -> None:
        rows = await self._session.exec(
            select(RealmKeyRow).where(col(RealmKeyRow.realm_id) == self._realm_id)
        )
        known = {row.kid: row for row in rows.all()}
        listed = set()
        for component in (self._file.get("components") or {}).get(KEY_PROVIDER, ()):
            if component["providerId"] == "rsa":
                row = self._key_from(component)
                listed.add(row.kid)
                stored = known.get(row.kid)
                if stored is None:
                    self._session.add(row)
                    self._changed = True
                elif (stored.status, stored.priority) != (row.status, row.priority):
                    stored.status, stored.priority = row.status, row.priority
                    stored.retired_at = None if row.status == "ACTIVE" else now()
                    self._session.add(stored)
                    self._changed = True
        for kid, row in known.items():
            # Tokens that a key signed before stay good until they run out.
            if listed and kid not in listed and row.status == "ACTIVE":
                row.status, row.retired_at = "PASSIVE", now()
                self._session.add(row)
                self._changed = True
        if not listed and not known:
            key = new_private_key()
            self._session.add(
                self._key_row(private_pem(key), "rsa-generated", "ACTIVE", 100, from_file=False)
            )
            self._changed = True

    def _key_from(self, component: Mapping[str, Any]) -> RealmKeyRow:
        config = {name: texts[0] for name, texts in component["config"].items() if texts}
        status = "ACTIVE" if config.get("active", "true") == "true" else "PASSIVE"
        if config.get("enabled", "true") != "true":
            status = "DISABLED"
        priority = int(config.get("priority", "100"))
        return self._key_row(config["privateKey"], component["name"], status, priority, from_file=True)

    def _key_row(
        self, pem: str, provider: str, status: str, priority: int, *, from_file: bool
    ) -> RealmKeyRow:
        key = read_private_key(pem)
        return RealmKeyRow(
            realm_id=self._realm_id,
            kid=key_id(key.public_key()),
            private_key=private_pem(key),
            certificate=base64.b64encode(self_signed_certificate(key, self._name)).decode(),
            status=status,
            priority=priority,
            provider_name=provider,
            from_file=from_file,
        )

    async def _apply_scopes(self) -> None:
        for scope in self._file.get("clientScopes") or ():
            if self._is_news("scope", scope["name"], scope):
                settings = {name: value for name, value in scope.items() if name not in ("id", "name")}
                settings["protocolMappers"] = with_mapper_ids(scope.get("protocolMappers"))
                await self._session.exec(
                    insert(ClientScopeRow)
                    .values(id=new_id(), realm_id=self._realm_id, name=scope["name"], settings=settings)
                    .on_conflict_do_update(index_elements=["realm_id", "name"], set_={"settings": settings})
                )

    async def _apply_clients(self) -> None:
        default_scopes = {
            "defaultClientScopes": self._file.get("defaultDefaultClientScopes") or [],
            "optionalClientScopes": self._file.get("defaultOptionalClientScopes") or [],
        }
        for client in (*builtin.clients(self._name), *(self._file.get("clients") or ())):
            if self._is_news("client", client["clientId"], client):
                settings = {
                    **default_scopes,
                    **{name: value for name, value in client.items() if name not in _CLIENT_COLUMNS},
                    "protocolMappers": with_mapper_ids(client.get("protocolMappers")),
                }
                values = {"secret": str(client.get("secret") or ""), "settings": settings}
                await self._session.exec(
                    insert(ClientRow)
                    .values(id=new_id(), realm_id=self._realm_id, client_id=client["clientId"], **values)
                    .on_conflict_do_update(index_elements=["realm_id", "client_id"], set_=values)
                )

    async def _apply_roles(self) -> None:
        clients = await self._client_ids()
        default = f"default-roles-{self._name}"
        roles = self._file.get("roles") or {}
        realm_roles = [
            *({"name": name, "description": words} for name, words in builtin.REALM_ROLES.items()),
            {"name": default, "description": "${role_default-roles}"},
            *roles.get("realm", ()),
        ]
        client_roles = {
            builtin.ACCOUNT: [{"name": name} for name in builtin.ACCOUNT_ROLES],
            builtin.REALM_MANAGEMENT: [{"name": name} for name in builtin.MANAGEMENT_ROLES],
            **roles.get("client", {}),
        }
        for role in realm_roles:
            await self._add_role(None, role)
        for client_id, listed in client_roles.items():
            for role in listed:
                await self._add_role(clients[client_id], role)
        account = clients[builtin.ACCOUNT]
        await self._link(None, default, None, builtin.REALM_ROLES)
        await self._link(None, default, account, builtin.DEFAULT_ACCOUNT_ROLES)
        for client_id, linked in (
            (account, builtin.ACCOUNT_ROLES),
            (clients[builtin.REALM_MANAGEMENT], builtin.MANAGEMENT_ROLES),
        ):
            for name, children in linked.items():
                await self._link(client_id, name, client_id, children)
        for role in realm_roles:
            composites = role.get("composites") or {}
            await self._link(None, role["name"], None, composites.get("realm", ()))
            for client_id, children in composites.get("client", {}).items():
                await self._link(None, role["name"], clients[client_id], children)

    async def _add_role(self, client: str | None, role: Mapping[str, Any]) -> None:
        name = role["name"]
        if self._is_news("role", f"{client or ''}/{name}", role):
            description = role.get("description") or (f"${{role_{name}}}" if client else "")
            await self._session.exec(
                insert(RoleRow)
                .values(
                    id=new_id(),
                    realm_id=self._realm_id,
                    client_id=client,
                    name=name,
                    description=description,
                    attributes=read_attributes(role.get("attributes")),
                )
                .on_conflict_do_nothing()
            )

    async def _link(
        self, owner: str | None, name: str, child_owner: str | None, children: Iterable[str]
    ) -> None:
        names = list(children)
        if not names or not self._is_news("composite", f"{owner or ''}/{name}/{child_owner or ''}", names):
            return
        role_id = await self._role_id(owner, name)
        links = [{"role_id": role_id, "child_id": await self._role_id(child_owner, child)} for child in names]
        await self._session.exec(insert(RoleCompositeRow).values(links).on_conflict_do_nothing())

    async def _role_id(self, client: str | None, name: str) -> str:
        owner = col(RoleRow.client_id).is_(None) if client is None else col(RoleRow.client_id) == client
        query = select(RoleRow.id).where(
            col(RoleRow.realm_id) == self._realm_id, owner, col(RoleRow.name) == name
        )
        return (await self._session.exec(query)).one()

    async def _apply_groups(self) -> None:
        defaults = set(self._file.get("defaultGroups") or ())
        await self._add_groups(None, "", self._file.get("groups") or (), defaults)

    async def _add_groups(
        self, parent: str | None, path: str, groups: Iterable[Mapping[str, Any]], defaults: set[str]
    ) -> None:
        for group in groups:
            here = f"{path}/{group['name']}"
            words = {"name": group["name"], "default": here in defaults}
            above = col(GroupRow.parent_id).is_(None) if parent is None else col(GroupRow.parent_id) == parent
            query = select(GroupRow).where(
                col(GroupRow.realm_id) == self._realm_id, above, col(GroupRow.name) == group["name"]
            )
            row = (await self._session.exec(query)).one_or_none()
            if self._is_news("group", here, words):
                if row is None:
                    row = GroupRow(
                        realm_id=self._realm_id,
                        parent_id=parent,
                        name=group["name"],
                        attributes=read_attributes(group.get("attributes")),
                    )
                row.is_default = here in defaults
                self._session.add(row)
                await self._session.flush()
            if row is not None:
                await self._add_groups(row.id, here, group.get("subGroups") or (), defaults)

    async def _apply_users(self, realm: Realm) -> None:
        for user in self._file.get("users") or ():
            words = {name: value for name, value in user.items() if name != "credentials"}
            if self._is_news("user", user["username"], words):
                await self._add_user(realm, user)
            await self._apply_password(realm, user)
        await self._session.flush()

    async def _add_user(self, realm: Realm, user: Mapping[str, Any]) -> None:
        row = await self._user(user["username"])
        if row is None and (client_id := user.get("serviceAccountClientId")):
            row = await create_service_account(self._session, realm, realm.clients[client_id])
        elif row is None:
            row = await create_user(self._session, realm, user, from_file=True)
        await self._session.flush()
        roles = [realm.roles.of_realm[name] for name in user.get("realmRoles") or ()]
        for client_id, names in (user.get("clientRoles") or {}).items():
            of_client = realm.roles.of_client(realm.clients[client_id].id)
            roles += [of_client[name] for name in names]
        if roles:
            links = [{"user_id": row.id, "role_id": role.id} for role in roles]
            await self._session.exec(insert(UserRoleRow).values(links).on_conflict_do_nothing())
        tree = await read_groups(self._session, realm)
        if found := [group for path in user.get("groups") or () if (group := tree.find(path))]:
            memberships = [{"user_id": row.id, "group_id": group.id} for group in found]
            await self._session.exec(insert(UserGroupRow).values(memberships).on_conflict_do_nothing())

    async def _apply_password(self, realm: Realm, user: Mapping[str, Any]) -> None:
        password = next((one.get("value") for one in user.get("credentials") or ()), None)
        if not password:
            return
        # The file's own password is remembered beside the user's: one that the user chose stays.
        known = self._known["user", user["username"]]
        if known.secret_hash and (await self._hasher.verify(password, known.secret_hash)).good:
            return
        row = await self._user(user["username"])
        if row is not None:
            known.secret_hash = await self._hasher.hash(password)
            self._session.add(known)
            await set_password(self._session, row, known.secret_hash)

    async def _user(self, username: str) -> UserRow | None:
        query = select(UserRow).where(
            col(UserRow.realm_id) == self._realm_id, col(UserRow.username) == username.lower()
        )
        return (await self._session.exec(query)).one_or_none()

    async def _client_ids(self) -> dict[str, str]:
        rows = await self._session.exec(select(ClientRow).where(col(ClientRow.realm_id) == self._realm_id))
        return {row.client_id: row.id for row in rows.all()}
