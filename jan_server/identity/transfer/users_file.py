"""The users file: users in Keycloak's words, as both issuers and Keycloak's own tools read them.

It is what `kc.sh export` writes (`{"realm", "users"}`, each a UserRepresentation with hashed credentials),
and behind the users the groups and roles that they have. Keycloak's partial import takes the whole of it;
`kc.sh import --dir` reads as far as the users.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from jan_server.settings.private_file import write_private

Representation = Mapping[str, Any]


class UsersFileError(ValueError):
    """The file cannot be read as a users file; the message says why."""


@dataclass(frozen=True, slots=True)
class UsersFile:
    """Users of one realm.

    Attributes:
        realm: Its name.
        users: The users; accounts of clients are not among them.
        groups: The trees of its groups, with attributes and roles.
        roles: Its roles; those of clients are not among them.
    """

    realm: str
    users: Sequence[Representation] = field(repr=False)
    groups: Sequence[Representation] = ()
    roles: Sequence[Representation] = ()

    def needed_groups(self) -> dict[str, Representation]:
        """Every group of the file by its path, parents first; those that only users name are bare."""
        found = dict(_flat(self.groups, ""))
        for user in self.users:
            for path in user.get("groups") or ():
                parts = str(path).strip("/").split("/")
                for depth in range(1, len(parts) + 1):
                    here = "/" + "/".join(parts[:depth])
                    found.setdefault(here, {"name": parts[depth - 1]})
        return found

    def needed_roles(self) -> dict[str, Representation]:
        """Every realm role of the file by its name; those that only users or groups name are bare.

        The default role is not among them: each realm has its own.
        """
        found = {str(role["name"]): role for role in self.roles}
        holders = [*self.users, *self.needed_groups().values()]
        for name in (name for holder in holders for name in holder.get("realmRoles") or ()):
            found.setdefault(str(name), {"name": name})
        return {name: role for name, role in found.items() if name != default_role(self.realm)}

    def realm_roles(self, holder: Representation, target: str) -> list[str]:
        """The realm roles of a user or group, as the realm that it goes to calls them."""
        own, other = default_role(self.realm), default_role(target)
        return [other if name == own else str(name) for name in holder.get("realmRoles") or ()]


def default_role(realm: str) -> str:
    """The role that every user of a realm has."""
    return f"default-roles-{realm}"


def is_guest(user: Representation) -> bool:
    """Whether a user came as a guest and was never upgraded."""
    return "true" in ((user.get("attributes") or {}).get("guest") or ())


def write_users_file(path: Path, file: UsersFile) -> None:
    """Write a users file that only its owner can read: it holds hashed passwords.

    Raises:
        OSError: It cannot be written; an earlier file is untouched.
    """
    content = {
        "realm": file.realm,
        # Before everything else: `kc.sh import` stops at the first member that it does not know.
        "users": file.users,
        "groups": file.groups,
        "roles": {"realm": file.roles},
    }
    write_private(path, orjson.dumps(content, option=orjson.OPT_INDENT_2).decode() + "\n")


def read_users_file(path: Path) -> UsersFile:
    """Read a users file, or the users of a whole realm's export.

    Raises:
        UsersFileError: It is neither.
        OSError: It cannot be read.
    """
    try:
        content = orjson.loads(path.read_bytes())
    except orjson.JSONDecodeError as failure:
        raise UsersFileError(f"{path} is not JSON: {failure}") from failure
    if isinstance(content, list) and len(content) == 1:
        content = content[0]
    if not isinstance(content, dict) or not isinstance(content.get("users"), list):
        raise UsersFileError(f'{path} is no users file of one realm: it must be {{"realm": …, "users": […]}}')
    if not isinstance(content.get("realm"), str):
        raise UsersFileError(f"{path} does not name its realm")
    roles = content.get("roles")
    users = [_checked(path, number, user) for number, user in enumerate(content["users"], 1)]
    return UsersFile(
        realm=content["realm"],
        users=[user for user in users if not user.get("serviceAccountClientId")],
        groups=_named(path, "groups", content.get("groups")),
        roles=_named(path, "roles.realm", roles.get("realm") if isinstance(roles, dict) else None),
    )


def _checked(path: Path, number: int, user: Any) -> Representation:
    if not isinstance(user, dict) or not isinstance(user.get("username"), str) or not user["username"]:
        raise UsersFileError(f"{path}: user {number} has no username")
    name = user["username"]
    if not user.get("serviceAccountClientId") and not (isinstance(user.get("id"), str) and user["id"]):
        raise UsersFileError(f"{path}: user {name} has no id, on which its conversations and keys would hang")
    lists = ("realmRoles", "groups", "requiredActions", "credentials")
    for member in lists:
        if not isinstance(user.get(member) or [], list):
            raise UsersFileError(f"{path}: {member} of user {name} must be a list")
    for member in ("attributes", "clientRoles"):
        if not isinstance(user.get(member) or {}, dict):
            raise UsersFileError(f"{path}: {member} of user {name} must be an object")
    return user


def _named(path: Path, member: str, value: Any) -> Sequence[Representation]:
    if value is None:
        return ()
    if not isinstance(value, list) or not all(
        isinstance(entry, dict) and isinstance(entry.get("name"), str) for entry in value
    ):
        raise UsersFileError(f"{path}: {member} must be a list of objects with names")
    return value


def _flat(groups: Sequence[Representation], above: str) -> Iterator[tuple[str, Representation]]:
    for group in groups:
        path = f"{above}/{group['name']}"
        yield path, group
        yield from _flat(group.get("subGroups") or (), path)
