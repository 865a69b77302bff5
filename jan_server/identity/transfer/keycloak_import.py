"""A users file, taken into a Keycloak: through the partial import of its admin API, in batches."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal
from urllib.parse import quote

from jan_server.identity.keycloak.realm_server import RealmServer, RealmServerError
from jan_server.identity.transfer.decisions import (
    Account,
    Imported,
    Left,
    OnConflict,
    Replacement,
    decide,
    names_of,
)
from jan_server.identity.transfer.users_file import Representation, UsersFile

Progress = Callable[[int, int], None]
"""Told how many users are there, and of how many."""

OLDEST_WITH_ARGON2 = (25,)
"""The first Keycloak that knows the hashes of the embedded issuer."""

_BATCH = 100
"""How many users one request carries; Keycloak takes it in one transaction."""


class HashesUnknownError(RuntimeError):
    """The Keycloak is too old for the hashes of the file: nobody could log in. Nothing was changed."""


def no_progress(done: int, total: int) -> None:
    """Tells nobody."""


def import_users(
    server: RealmServer,
    file: UsersFile,
    *,
    on_conflict: OnConflict = "skip",
    administrator: frozenset[str] = frozenset(),
    dry_run: bool = False,
    progress: Progress = no_progress,
) -> Imported:
    """Add the users of a file to a realm, with their ids and hashed credentials.

    What was imported before a failure stays; another run goes on behind it.

    Args:
        server: The realm.
        file: The users.
        on_conflict: What becomes of users that are there.
        administrator: Name and address of the application administrator; see `decide`.
        dry_run: Whether nothing is changed; what Keycloak would refuse is not known then.
        progress: Told after each batch.

    Raises:
        UsersConflictError: Users are there and `on_conflict` is `fail`.
        HashesUnknownError: The Keycloak knows no Argon2, with which passwords of the file are hashed.
        RealmServerError: Keycloak does not answer, or lets the administrator not in.
    """
    version = server.version()
    if version and version < OLDEST_WITH_ARGON2 and _has_argon2(file):
        raise HashesUnknownError(
            f"this is Keycloak {'.'.join(map(str, version))}, which knows no Argon2: nobody of the file "
            "could log in there"
        )
    work = _UsersImport(server, file)
    decisions = decide(file.users, work.present(), on_conflict, administrator=administrator)
    work.result.skipped += decisions.skipped
    groups, roles = work.missing_groups(), work.missing_roles()
    if roles:
        work.result.notes.append(f"Roles that were missing: {', '.join(roles)}")
    if groups:
        work.result.notes.append(f"Groups that were missing: {', '.join(groups)}")
    if dry_run:
        work.result.added, work.result.overwritten = len(decisions.add), len(decisions.replace)
        return work.result
    work.add_roles(roles)
    work.add_groups(groups)
    total = len(decisions.add) + len(decisions.replace)
    for first in range(0, len(decisions.add), _BATCH):
        work.result.added += work.send(decisions.add[first : first + _BATCH], "FAIL")
        progress(min(first + _BATCH, len(decisions.add)), total)
    for number, one in enumerate(decisions.replace, len(decisions.add) + 1):
        work.result.overwritten += work.replace(one)
        progress(number, total)
    return work.result


class _UsersImport:
    """One import."""

    def __init__(self, server: RealmServer, file: UsersFile) -> None:
        self.result = Imported()
        self._server = server
        self._file = file
        self._clients = {client["clientId"]: client["id"] for client in server.get("/clients")}

    def present(self) -> list[Account]:
        """The accounts that are there."""
        return [
            Account(user["id"], user["username"], user.get("email") or "", user.get("createdTimestamp") or 0)
            for user in self._server.all("/users", page=1000, briefRepresentation="true")
        ]

    def missing_roles(self) -> dict[str, Representation]:
        """The roles of the file that the realm lacks, by name."""
        found = {role["name"] for role in self._server.all("/roles")}
        return {name: role for name, role in self._file.needed_roles().items() if name not in found}

    def add_roles(self, roles: Mapping[str, Representation]) -> None:
        """Make roles, and let each bring what it brings in the file."""
        for name, role in roles.items():
            kept = ("description", "attributes")
            self._server.post("/roles", {"name": name, **{key: role[key] for key in kept if key in role}})
        for name, role in roles.items():
            composites = role.get("composites") or {}
            holder = {"realmRoles": composites.get("realm"), "clientRoles": composites.get("client")}
            of_realm, of_clients = self._roles_of(holder)
            children = [*of_realm, *(role for found in of_clients.values() for role in found)]
            if children:
                self._server.post(f"/roles/{quote(name, safe='')}/composites", children)

    def missing_groups(self) -> dict[str, Representation]:
        """The groups of the file that the realm lacks, by path, parents first."""
        return {
            path: group for path, group in self._file.needed_groups().items() if self._group(path) is None
        }

    def add_groups(self, groups: Mapping[str, Representation]) -> None:
        """Make groups with their attributes and roles."""
        for path, group in groups.items():
            above = path.rpartition("/")[0]
            parent = self._group(above) if above else None
            place = f"/groups/{parent['id']}/children" if parent else "/groups"
            body = {"name": group["name"], "attributes": group.get("attributes") or {}}
            self._server.post(place, body)
            made = self._group(path)
            if made is None:
                continue
            of_realm, of_clients = self._roles_of(group)
            mappings = f"/groups/{made['id']}/role-mappings"
            if of_realm:
                self._server.post(f"{mappings}/realm", of_realm)
            for client, roles in of_clients.items():
                self._server.post(f"{mappings}/clients/{client}", roles)

    def replace(self, replacement: Replacement) -> int:
        """Put a user in the place of accounts; says how many users that were."""
        user, accounts = replacement.user, replacement.accounts
        if len(accounts) == 1 and names_of(user) & {accounts[0].username, accounts[0].email}:
            return self.send([user], "OVERWRITE")
        # Keycloak finds what it overwrites by the name alone.
        for account in accounts:
            self._server.delete(f"/users/{account.id}")
        return self.send([user], "FAIL")

    def send(self, users: Sequence[Representation], if_exists: Literal["FAIL", "OVERWRITE"]) -> int:
        """Import users; of a batch that Keycloak refuses, all but those at fault. Says how many."""
        if not users:
            return 0
        body = {"ifResourceExists": if_exists, "users": [self._fitting(user) for user in users]}
        try:
            self._server.post("/partialImport", body)
        except RealmServerError as failure:
            if failure.status in (0, 401, 403, 503):
                raise
            if len(users) == 1:
                self.result.refused.append(Left(str(users[0]["username"]), failure.message))
                return 0
            half = len(users) // 2
            return self.send(users[:half], if_exists) + self.send(users[half:], if_exists)
        return len(users)

    def _fitting(self, user: Representation) -> dict[str, Any]:
        """A user as this realm can have it: without roles of clients that it lacks."""
        of_clients = {}
        for client, names in (user.get("clientRoles") or {}).items():
            if client in self._clients:
                of_clients[client] = names
                continue
            note = f"Roles of the client {client}, which is not known there, were left out."
            if note not in self.result.notes:
                self.result.notes.append(note)
        roles = self._file.realm_roles(user, self._server.realm)
        return {**user, "realmRoles": roles, "clientRoles": of_clients}

    def _group(self, path: str) -> Any | None:
        try:
            return self._server.get(f"/group-by-path/{quote(path.strip('/'))}")
        except RealmServerError as failure:
            if failure.status == 404:
                return None
            raise

    def _roles_of(self, holder: Representation) -> tuple[list[Any], dict[str, list[Any]]]:
        """The roles of a user or group as Keycloak shows them: of the realm, and by ids of clients."""
        names = self._file.realm_roles(holder, self._server.realm)
        of_realm = [self._server.get(f"/roles/{quote(name, safe='')}") for name in names]
        of_clients: dict[str, list[Any]] = {}
        for client, roles in (holder.get("clientRoles") or {}).items():
            if (owner := self._clients.get(client)) is not None:
                found = {role["name"]: role for role in self._server.get(f"/clients/{owner}/roles")}
                of_clients[owner] = [found[name] for name in roles if name in found]
        return of_realm, {client: roles for client, roles in of_clients.items() if roles}


def _has_argon2(file: UsersFile) -> bool:
    credentials = (one for user in file.users for one in user.get("credentials") or ())
    return any("argon2" in str(one.get("credentialData")) for one in credentials)
