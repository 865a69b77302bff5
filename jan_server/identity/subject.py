"""The subject of a token: a user with the groups and roles that count for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from jan_server.identity.realm import Realm
from jan_server.identity.roles import Role
from jan_server.identity.tables import UserRow


@dataclass(frozen=True, slots=True)
class Membership:
    """A group that counts for a user.

    Attributes:
        path: Its path, such as `/team/sub`.
        attributes: Its attributes.
        direct: Whether the user is in it, and not only in a group below it.
    """

    path: str
    attributes: Mapping[str, Sequence[str]]
    direct: bool


@dataclass(frozen=True, slots=True)
class Subject:
    """A user with groups and roles.

    Attributes:
        user: The user.
        groups: Its groups and all above them, by path.
        roles: Every role that it has: given, through groups, and brought by other roles.
    """

    user: UserRow
    groups: Sequence[Membership]
    roles: Sequence[Role]

    def attribute(self, name: str, *, aggregate: bool) -> list[str]:
        """The values of an attribute.

        Args:
            name: Its name; `username`, `email`, `firstName`, `lastName` and `emailVerified` are
                the user's own members.
            aggregate: Whether the values of the user and of all groups come together, each once;
                else those of the user, or of the first group that has any.
        """
        own = property_texts(self.user).get(name)
        if own is None:
            own = self.user.attributes.get(name, [])
        if not aggregate:
            return next((list(texts) for texts in (own, *self._of_groups(name)) if texts), [])
        return list(dict.fromkeys([*own, *(text for texts in self._of_groups(name) for text in texts)]))

    def _of_groups(self, name: str) -> list[Sequence[str]]:
        return [group.attributes.get(name, ()) for group in self.groups]

    @property
    def group_paths(self) -> list[str]:
        """The paths of the groups that the user is in."""
        return [group.path for group in self.groups if group.direct]


def property_texts(user: UserRow) -> dict[str, list[str]]:
    """The members of a user that mappers may name, each as a list of texts."""
    return {
        "id": [user.id],
        "username": [user.username],
        "email": [user.email] if user.email else [],
        "emailVerified": ["true" if user.email_verified else "false"],
        "firstName": [user.first_name] if user.first_name else [],
        "lastName": [user.last_name] if user.last_name else [],
    }


# One row, one round trip: the groups with all above them, and every role that comes from either.
_GROUPS_AND_ROLES = text(
    """
    with recursive above as (
        select g.id, g.parent_id, g.name, g.attributes, true as direct
        from identity.groups g join identity.user_groups m on m.group_id = g.id where m.user_id = :user
        union
        select p.id, p.parent_id, p.name, p.attributes, false
        from identity.groups p join above on above.parent_id = p.id
    )
    select
        (select coalesce(jsonb_agg(to_jsonb(above)), '[]') from above),
        array(
            select role_id from identity.user_roles where user_id = :user
            union
            select role_id from identity.group_roles where group_id in (select id from above)
        )
    """
)


async def load_subject(session: AsyncSession, realm: Realm, user: UserRow) -> Subject:
    """Read the groups and roles of a user."""
    connection = await session.connection()
    groups, role_ids = (await connection.execute(_GROUPS_AND_ROLES, {"user": user.id})).one()
    names = {group["id"]: (group["name"], group["parent_id"]) for group in groups}
    found: dict[str, Membership] = {}
    for group in groups:
        if group["direct"] or group["id"] not in found:
            path = _path(names, group["id"])
            found[group["id"]] = Membership(path, group["attributes"], group["direct"])
    return Subject(
        user=user,
        groups=sorted(found.values(), key=lambda group: group.path),
        roles=realm.roles.expand(role_ids),
    )


def _path(names: Mapping[str, tuple[str, str | None]], group_id: str) -> str:
    path = ""
    current: str | None = group_id
    while current is not None:
        name, current = names[current]
        path = f"/{name}{path}"
    return path
