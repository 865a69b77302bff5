"""Groups: trees of names with attributes, and their members."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import delete, func, insert, literal
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from jan_server.identity.attributes import read_attributes
from jan_server.identity.errors import bad_request, conflict, not_found
from jan_server.identity.realm import Realm
from jan_server.identity.roles import Role
from jan_server.identity.tables import GroupRoleRow, GroupRow, UserGroupRow, UserRow

MAX_NAME = 255

ACCESS = {
    "view": True,
    "viewMembers": True,
    "manageMembers": True,
    "manage": True,
    "manageMembership": True,
}


class GroupTree:
    """All groups of a realm; realms have few of them, so they are read together.

    Args:
        rows: The groups.
    """

    def __init__(self, rows: Iterable[GroupRow]) -> None:
        self.by_id: Mapping[str, GroupRow] = {row.id: row for row in rows}
        self._children: dict[str | None, list[GroupRow]] = {}
        for row in sorted(self.by_id.values(), key=lambda row: row.name):
            self._children.setdefault(row.parent_id, []).append(row)

    def get(self, group_id: str) -> GroupRow:
        """A group by its id; IdentityError 404 when there is none."""
        row = self.by_id.get(group_id)
        if row is None:
            raise not_found("Could not find group by id")
        return row

    def children(self, group_id: str | None) -> Sequence[GroupRow]:
        """The groups right below one, by name; None stands for the top."""
        return self._children.get(group_id, ())

    def path(self, row: GroupRow) -> str:
        """The path of a group, such as `/team/sub`."""
        return "/" + "/".join(one.name for one in reversed(self.lineage(row)))

    def lineage(self, row: GroupRow) -> Sequence[GroupRow]:
        """A group and all above it."""
        found = [row]
        while parent := found[-1].parent_id:
            found.append(self.by_id[parent])
        return found

    def find(self, path: str) -> GroupRow | None:
        """The group with a path; the leading slash may be missing."""
        found: GroupRow | None = None
        for name in path.strip("/").split("/"):
            parent = found.id if found else None
            found = next((row for row in self.children(parent) if row.name == name), None)
            if found is None:
                return None
        return found

    def representation(self, row: GroupRow, *, full: bool = True, counted: bool = True) -> dict[str, Any]:
        """A group as the admin API shows it.

        Args:
            row: The group.
            full: Whether attributes and roles are shown.
            counted: Whether the number of its children and the caller's rights are shown.
        """
        shown: dict[str, Any] = {"id": row.id, "name": row.name, "path": self.path(row)}
        if row.parent_id is not None:
            shown["parentId"] = row.parent_id
        if counted:
            shown["subGroupCount"] = len(self.children(row.id))
        shown["subGroups"] = []
        if full:
            shown |= {"attributes": row.attributes, "realmRoles": [], "clientRoles": {}}
        if counted:
            shown["access"] = ACCESS
        return shown

    def search(self, text: str, *, exact: bool, full: bool) -> list[dict[str, Any]]:
        """The trees that lead to groups whose name holds `text`, or is `text`."""

        def matches(row: GroupRow) -> bool:
            return row.name == text if exact else text.lower() in row.name.lower()

        def branch(row: GroupRow) -> dict[str, Any] | None:
            below = [found for child in self.children(row.id) if (found := branch(child))]
            if not below and not matches(row):
                return None
            return {**self.representation(row, full=full), "subGroups": below}

        return [found for row in self.children(None) if (found := branch(row))]


async def read_groups(session: AsyncSession, realm: Realm) -> GroupTree:
    """Read all groups of a realm."""
    rows = await session.exec(select(GroupRow).where(col(GroupRow.realm_id) == realm.id))
    return GroupTree(rows.all())


def groups_named(tree: GroupTree, value: Any) -> Sequence[GroupRow]:
    """The groups that the member `groups` of a user's representation names by their paths.

    Raises:
        IdentityError: 400 when it is no list of paths, or one of them is unknown.
    """
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(path, str) for path in value):
        raise bad_request("groups must be a list of paths", field="groups")
    found = {path: tree.find(path) for path in value}
    for path, row in found.items():
        if row is None:
            raise bad_request(f"groups: the group {path[:64]!r} does not exist", field="groups")
    return [row for row in found.values() if row is not None]


async def roles_of_group(
    session: AsyncSession, realm: Realm, tree: GroupTree, row: GroupRow
) -> Sequence[Role]:
    """The roles that members of a group have: its own, and those of all groups above it."""
    lineage = [one.id for one in tree.lineage(row)]
    ids = await session.exec(
        select(GroupRoleRow.role_id).where(col(GroupRoleRow.group_id).in_(lineage)).distinct()
    )
    return [realm.roles.by_id[role] for role in ids.all() if role in realm.roles.by_id]


async def create_group(
    session: AsyncSession, realm: Realm, tree: GroupTree, parent: GroupRow | None, body: Mapping[str, Any]
) -> GroupRow:
    """Make a group from its representation, at the top or below `parent`.

    Raises:
        IdentityError: 400 without a name, 409 when a sibling has it.
    """
    name = _name(body)
    if any(row.name == name for row in tree.children(parent.id if parent else None)):
        kind = "Sibling" if parent else "Top level"
        raise conflict(f"{kind} group named '{name}' already exists.")
    row = GroupRow(
        realm_id=realm.id,
        parent_id=parent.id if parent else None,
        name=name,
        attributes=read_attributes(body.get("attributes")),
    )
    session.add(row)
    await session.flush()
    return row


async def update_group(
    session: AsyncSession, tree: GroupTree, row: GroupRow, body: Mapping[str, Any]
) -> None:
    """Change a group; `attributes`, when given, replaces the whole map.

    Raises:
        IdentityError: 400 without a name, 409 when a sibling has it.
    """
    name = _name(body)
    if any(one.name == name and one.id != row.id for one in tree.children(row.parent_id)):
        raise conflict(f"Sibling group named '{name}' already exists.")
    row.name = name
    if body.get("attributes") is not None:
        row.attributes = read_attributes(body["attributes"])
    session.add(row)


async def move_group(session: AsyncSession, tree: GroupTree, row: GroupRow, parent: GroupRow | None) -> None:
    """Put a group below another one, or at the top.

    Raises:
        IdentityError: 400 when that would be below itself, 409 when a sibling has its name.
    """
    above = parent
    while above is not None:
        if above.id == row.id:
            raise bad_request("a group cannot stand below itself")
        above = tree.by_id[above.parent_id] if above.parent_id else None
    parent_id = parent.id if parent else None
    if any(one.name == row.name and one.id != row.id for one in tree.children(parent_id)):
        raise conflict(f"Sibling group named '{row.name}' already exists.")
    row.parent_id = parent_id
    session.add(row)


async def delete_group(session: AsyncSession, row: GroupRow) -> None:
    """Remove a group, all below it, and every membership."""
    await session.exec(delete(GroupRow).where(col(GroupRow.id) == row.id))


async def set_default(session: AsyncSession, row: GroupRow, *, default: bool) -> None:
    """Say whether new users join a group."""
    row.is_default = default
    session.add(row)


async def join_default_groups(session: AsyncSession, realm: Realm, user_id: str) -> None:
    """Put a new user into the default groups."""
    await session.exec(
        insert(UserGroupRow).from_select(
            ["user_id", "group_id"],
            select(literal(user_id), col(GroupRow.id)).where(
                col(GroupRow.realm_id) == realm.id, col(GroupRow.is_default)
            ),
        )
    )


async def join_group(session: AsyncSession, user_id: str, group_id: str) -> None:
    """Put a user into a group; being in it already does not matter."""
    await session.exec(
        upsert(UserGroupRow).values(user_id=user_id, group_id=group_id).on_conflict_do_nothing()
    )


async def leave_group(session: AsyncSession, user_id: str, group_id: str) -> None:
    """Take a user out of a group; not being in it does not matter."""
    await session.exec(
        delete(UserGroupRow).where(
            col(UserGroupRow.user_id) == user_id, col(UserGroupRow.group_id) == group_id
        )
    )


async def groups_of_user(session: AsyncSession, user_id: str) -> set[str]:
    """Ids of the groups that a user is in."""
    rows = await session.exec(select(UserGroupRow.group_id).where(col(UserGroupRow.user_id) == user_id))
    return set(rows.all())


async def members(
    session: AsyncSession, row: GroupRow, *, first: int, maximum: int | None
) -> Sequence[UserRow]:
    """The users in a group itself, by name."""
    query = (
        select(UserRow)
        .join(UserGroupRow, col(UserGroupRow.user_id) == col(UserRow.id))
        .where(col(UserGroupRow.group_id) == row.id)
        .order_by(col(UserRow.username))
        .offset(first)
        .limit(maximum)
    )
    return (await session.exec(query)).all()


async def count_groups(session: AsyncSession, realm: Realm, search: str, *, top: bool) -> int:
    """How many groups a realm has, or how many have `search` in their names."""
    query = select(func.count()).select_from(GroupRow).where(col(GroupRow.realm_id) == realm.id)
    if search:
        query = query.where(col(GroupRow.name).icontains(search, autoescape=True))
    if top:
        query = query.where(col(GroupRow.parent_id).is_(None))
    return int((await session.exec(query)).one())


def _name(body: Mapping[str, Any]) -> str:
    name = body.get("name")
    if not isinstance(name, str) or not name.strip():
        raise bad_request("Group name is missing")
    if len(name) > MAX_NAME or "\x00" in name:
        raise bad_request(f"Group name must be at most {MAX_NAME} characters long")
    return name
