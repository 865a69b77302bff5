"""Roles: those of the realm and those of its clients, and which roles a role brings with it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from sqlalchemy import delete
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from jan_server.identity import json_members
from jan_server.identity.attributes import read_attributes
from jan_server.identity.errors import IdentityError, conflict, not_found
from jan_server.identity.tables import RoleCompositeRow, RoleRow, UserRoleRow, UserRow


@dataclass(frozen=True)
class Role:
    """A role.

    Attributes:
        id: Its id, a UUID.
        name: Its name, unique within its realm or client.
        client: The id of the client that owns it; None for a role of the realm.
        realm_id: The id of its realm.
        description: What it is for.
        attributes: Anything else, lists of texts by name.
        composite: Whether it brings other roles with it.
    """

    id: str
    name: str
    client: str | None
    realm_id: str
    description: str = ""
    attributes: Mapping[str, Sequence[str]] = field(default_factory=dict)
    composite: bool = False

    def representation(self, *, brief: bool = True) -> dict[str, Any]:
        """The role as the admin API shows it; `brief` leaves the attributes out."""
        found: dict[str, Any] = {"id": self.id, "name": self.name}
        if self.description:
            found["description"] = self.description
        found["composite"] = self.composite
        found["clientRole"] = self.client is not None
        found["containerId"] = self.client or self.realm_id
        if not brief:
            found["attributes"] = dict(self.attributes)
        return found


class RoleBook:
    """All roles of a realm, and which role brings which.

    Args:
        roles: The roles.
        composites: Ids of roles with the ids of the roles that they bring.
    """

    def __init__(self, roles: Iterable[Role], composites: Mapping[str, Sequence[str]]) -> None:
        self.by_id: Mapping[str, Role] = {role.id: role for role in roles}
        self._composites = composites
        self._expanded: dict[str, frozenset[str]] = {}

    @cached_property
    def of_realm(self) -> Mapping[str, Role]:
        """The roles of the realm by name."""
        return {role.name: role for role in self.by_id.values() if role.client is None}

    def of_client(self, client: str) -> Mapping[str, Role]:
        """The roles of a client, whose own id is given, by name."""
        return {role.name: role for role in self.by_id.values() if role.client == client}

    def children(self, role_id: str) -> Sequence[Role]:
        """The roles that a role brings directly."""
        return tuple(self.by_id[child] for child in self._composites.get(role_id, ()))

    def expand(self, role_ids: Iterable[str]) -> list[Role]:
        """Roles with all that they bring, directly or not; ids that are unknown are left out."""
        found: dict[str, None] = {}
        for role_id in role_ids:
            if role_id in self.by_id:
                found.update(dict.fromkeys(self._closure(role_id)))
        return [self.by_id[role_id] for role_id in found]

    def _closure(self, role_id: str) -> frozenset[str]:
        if role_id not in self._expanded:
            seen: set[str] = set()
            waiting = [role_id]
            while waiting:
                current = waiting.pop()
                if current not in seen:
                    seen.add(current)
                    waiting += self._composites.get(current, ())
            self._expanded[role_id] = frozenset(seen)
        return self._expanded[role_id]


async def read_roles(session: AsyncSession, realm_id: str) -> RoleBook:
    """Read all roles of a realm."""
    rows = (await session.exec(select(RoleRow).where(col(RoleRow.realm_id) == realm_id))).all()
    composites: dict[str, list[str]] = {}
    ids = [row.id for row in rows]
    links = await session.exec(
        select(col(RoleCompositeRow.role_id), col(RoleCompositeRow.child_id)).where(
            col(RoleCompositeRow.role_id).in_(ids)
        )
    )
    for role_id, child_id in links.all():
        composites.setdefault(role_id, []).append(child_id)
    roles = [
        Role(
            id=row.id,
            name=row.name,
            client=row.client_id,
            realm_id=realm_id,
            description=row.description,
            attributes=row.attributes,
            composite=row.id in composites,
        )
        for row in rows
    ]
    return RoleBook(roles, composites)


async def create_role(
    session: AsyncSession, book: RoleBook, realm_id: str, client: str | None, body: Mapping[str, Any]
) -> RoleRow:
    """Make a role from its representation.

    Raises:
        IdentityError: 400 without a name, 409 when the name is taken.
    """
    if not body.get("name"):
        raise IdentityError(400, {"error": "role has no name"})
    name = json_members.text("name", body["name"], longest=json_members.MAX_NAME).strip()
    if not name:
        raise IdentityError(400, {"error": "role has no name"})
    siblings = book.of_realm if client is None else book.of_client(client)
    if name in siblings:
        raise conflict(f"Role with name {name} already exists")
    row = RoleRow(
        realm_id=realm_id,
        client_id=client,
        name=name,
        description=str(body.get("description") or ""),
        attributes=read_attributes(body.get("attributes")),
    )
    session.add(row)
    await session.flush()
    return row


async def update_role(session: AsyncSession, book: RoleBook, role: Role, body: Mapping[str, Any]) -> None:
    """Change a role: members that are left out stay as they are.

    Raises:
        IdentityError: 409 when another role has the new name.
    """
    row = await session.get(RoleRow, role.id)
    if row is None:
        raise not_found("Could not find role")
    name = json_members.text("name", body.get("name") or role.name, longest=json_members.MAX_NAME)
    siblings = book.of_realm if role.client is None else book.of_client(role.client)
    if name != role.name and name in siblings:
        raise conflict(f"Role with name {name} already exists")
    row.name = name
    if "description" in body:
        row.description = str(body["description"] or "")
    if body.get("attributes") is not None:
        row.attributes = read_attributes(body["attributes"])
    session.add(row)


async def delete_role(session: AsyncSession, role: Role) -> None:
    """Remove a role from everybody who has it."""
    await session.exec(delete(RoleRow).where(col(RoleRow.id) == role.id))


async def add_composites(session: AsyncSession, role: Role, children: Iterable[Role]) -> None:
    """Let a role bring further roles with it."""
    links = [{"role_id": role.id, "child_id": child.id} for child in children]
    if links:
        await session.exec(insert(RoleCompositeRow).values(links).on_conflict_do_nothing())


async def remove_composites(session: AsyncSession, role: Role, children: Iterable[Role]) -> None:
    """Let a role bring fewer roles with it."""
    await session.exec(
        delete(RoleCompositeRow).where(
            col(RoleCompositeRow.role_id) == role.id,
            col(RoleCompositeRow.child_id).in_([child.id for child in children]),
        )
    )


async def roles_of_user(session: AsyncSession, user_id: str) -> list[str]:
    """Ids of the roles that were given to a user directly."""
    return list(
        (await session.exec(select(UserRoleRow.role_id).where(col(UserRoleRow.user_id) == user_id))).all()
    )


async def give_roles(session: AsyncSession, user_id: str, roles: Iterable[Role]) -> None:
    """Give roles to a user; those that the user has stay."""
    links = [{"user_id": user_id, "role_id": role.id} for role in roles]
    if links:
        await session.exec(insert(UserRoleRow).values(links).on_conflict_do_nothing())


async def take_roles(session: AsyncSession, user_id: str, roles: Iterable[Role]) -> None:
    """Take roles from a user; those that the user lacks do not matter."""
    await session.exec(
        delete(UserRoleRow).where(
            col(UserRoleRow.user_id) == user_id, col(UserRoleRow.role_id).in_([role.id for role in roles])
        )
    )


async def users_with_role(
    session: AsyncSession, role: Role, *, first: int, maximum: int | None
) -> Sequence[UserRow]:
    """The users that were given a role directly, by name."""
    query = (
        select(UserRow)
        .join(UserRoleRow, col(UserRoleRow.user_id) == col(UserRow.id))
        .where(col(UserRoleRow.role_id) == role.id)
        .order_by(col(UserRow.username))
        .offset(first)
        .limit(maximum)
    )
    return (await session.exec(query)).all()
