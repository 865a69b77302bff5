"""The users of the embedded issuer, read from its tables into a users file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from jan_server.identity.groups import GroupTree, read_groups
from jan_server.identity.hashed_credentials import hashed_credential
from jan_server.identity.realm import Realm, RealmDirectory
from jan_server.identity.roles import Role
from jan_server.identity.tables import (
    CredentialRow,
    GroupRoleRow,
    GroupRow,
    UserGroupRow,
    UserRoleRow,
    UserRow,
)
from jan_server.identity.transfer.users_file import UsersFile, is_guest
from jan_server.identity.users import representation

_SHOWN_ONLY = ("totp", "disableableCredentialTypes")
"""Members that the admin API shows and no import takes."""

_ROLE_MEMBERS = frozenset({"name", "description", "attributes"})


async def export_users(realms: RealmDirectory, name: str, *, guests: bool = True) -> UsersFile:
    """Read the users of a realm with their hashed passwords.

    Args:
        realms: The realms of the issuer.
        name: The realm's name.
        guests: Whether guests are among them.

    Raises:
        IdentityError: 404, there is no such realm.
    """
    realm = await realms.get(name)
    async with realms.database.session() as session:
        return await _read(session, realm, guests=guests)


async def _read(session: AsyncSession, realm: Realm, *, guests: bool) -> UsersFile:
    rows = await session.exec(
        select(UserRow)
        .where(col(UserRow.realm_id) == realm.id, col(UserRow.service_account_of).is_(None))
        .order_by(col(UserRow.created_at), col(UserRow.id))
    )
    tree = await read_groups(session, realm)
    hashes = await session.exec(
        select(CredentialRow)
        .join(UserRow, col(UserRow.id) == col(CredentialRow.user_id))
        .where(col(UserRow.realm_id) == realm.id)
    )
    credentials = {row.user_id: _credential(row) for row in hashes.all()}
    roles = await _by_holder(session, UserRoleRow.user_id, UserRoleRow.role_id)
    groups = await _by_holder(session, UserGroupRow.user_id, UserGroupRow.group_id)
    users = []
    for row in rows.all():
        shown = {member: value for member, value in representation(row).items() if member not in _SHOWN_ONLY}
        user = {
            **shown,
            "credentials": [credentials[row.id]] if row.id in credentials else [],
            **_roles(realm, roles.get(row.id, ())),
            "groups": sorted(tree.path(tree.by_id[group]) for group in groups.get(row.id, ())),
        }
        if guests or not is_guest(user):
            users.append(user)
    of_groups = await _by_holder(session, GroupRoleRow.group_id, GroupRoleRow.role_id)
    return UsersFile(
        realm=realm.name,
        users=users,
        groups=[_group(realm, tree, row, of_groups) for row in tree.children(None)],
        roles=[_role(realm, role) for role in realm.roles.of_realm.values()],
    )


async def _by_holder(session: AsyncSession, holder: Any, held: Any) -> Mapping[str, list[str]]:
    found: dict[str, list[str]] = {}
    for owner, thing in (await session.exec(select(col(holder), col(held)))).all():
        found.setdefault(owner, []).append(thing)
    return found


def _credential(row: CredentialRow) -> dict[str, Any]:
    created = int(row.created_at.timestamp() * 1000)
    return {"id": row.id, "type": "password", "createdDate": created, **hashed_credential(row.hash)}


def _roles(realm: Realm, ids: Iterable[str]) -> dict[str, Any]:
    """Roles as users and groups have them: those of the realm by name, those of clients by client."""
    of_realm: list[str] = []
    of_clients: dict[str, list[str]] = {}
    for role in sorted((realm.roles.by_id[one] for one in ids), key=lambda role: role.name):
        if role.client is None:
            of_realm.append(role.name)
        else:
            of_clients.setdefault(realm.clients_by_id[role.client].client_id, []).append(role.name)
    return {"realmRoles": of_realm, "clientRoles": of_clients}


def _group(
    realm: Realm, tree: GroupTree, row: GroupRow, roles: Mapping[str, Iterable[str]]
) -> dict[str, Any]:
    return {
        "name": row.name,
        "path": tree.path(row),
        "attributes": row.attributes,
        **_roles(realm, roles.get(row.id, ())),
        "subGroups": [_group(realm, tree, child, roles) for child in tree.children(row.id)],
    }


def _role(realm: Realm, role: Role) -> dict[str, Any]:
    children = _roles(realm, (child.id for child in realm.roles.children(role.id)))
    composites = {"realm": children["realmRoles"], "client": children["clientRoles"]}
    shown = role.representation(brief=False)
    kept = {member: value for member, value in shown.items() if member in _ROLE_MEMBERS}
    return kept | ({"composite": True, "composites": composites} if role.composite else {})
