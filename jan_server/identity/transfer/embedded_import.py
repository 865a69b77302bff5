"""A users file taken into the embedded issuer's tables in one transaction, whether its server runs or not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import delete, func, insert
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from jan_server.identity.errors import IdentityError
from jan_server.identity.groups import GroupTree, create_group, read_groups
from jan_server.identity.hashed_credentials import imported_hash
from jan_server.identity.json_members import text
from jan_server.identity.realm import Realm, RealmDirectory, touch
from jan_server.identity.realm_import import IMPORT_LOCK
from jan_server.identity.roles import add_composites, create_role
from jan_server.identity.tables import (
    CredentialRow,
    GroupRoleRow,
    UserGroupRow,
    UserRoleRow,
    UserRow,
    now,
)
from jan_server.identity.transfer.decisions import (
    Account,
    Imported,
    Left,
    OnConflict,
    decide,
    more_credentials,
)
from jan_server.identity.transfer.users_file import Representation, UsersFile
from jan_server.identity.users import read_user

_ROWS = 500
"""How many rows one statement writes."""


async def import_users(
    realms: RealmDirectory,
    name: str,
    file: UsersFile,
    *,
    on_conflict: OnConflict = "skip",
    administrator: frozenset[str] = frozenset(),
    dry_run: bool = False,
) -> Imported:
    """Add the users of a file to a realm, with their ids and hashed passwords.

    Args:
        realms: The realms of the issuer; they are read anew afterwards.
        name: The realm's name.
        file: The users.
        on_conflict: What becomes of users that are there.
        administrator: Name and address of the application administrator; see `decide`.
        dry_run: Whether all is tried and nothing kept.

    Raises:
        IdentityError: 404, there is no such realm.
        UsersConflictError: Users are there and `on_conflict` is `fail`.
    """
    async with realms.database.session() as session:
        await session.exec(select(func.pg_advisory_xact_lock(IMPORT_LOCK)))
        realm = await realms.get(name)
        work = _UsersImport(session, realm, file)
        await work.apply(realms, on_conflict, administrator)
        if dry_run:
            await session.rollback()
    realms.forget()
    return work.result


class _UsersImport:
    """One import, within a transaction."""

    def __init__(self, session: AsyncSession, realm: Realm, file: UsersFile) -> None:
        self.result = Imported()
        self._session = session
        self._realm = realm
        self._file = file
        self._tree = GroupTree(())

    async def apply(
        self, realms: RealmDirectory, on_conflict: OnConflict, administrator: frozenset[str]
    ) -> None:
        """Decide, make what the users need, and write them."""
        decisions = decide(self._file.users, await self._present(), on_conflict, administrator=administrator)
        self.result.skipped += decisions.skipped
        await self._add_roles(realms)
        await self._add_groups()
        replacements = [one for one in decisions.replace if self._row(one.user) is not None]
        gone = [account.id for one in replacements for account in one.accounts]
        await self._session.exec(delete(UserRow).where(col(UserRow.id).in_(gone)))
        self.result.overwritten = await self._add(one.user for one in replacements)
        self.result.added = await self._add(decisions.add)
        if others := more_credentials([*decisions.add, *(one.user for one in replacements)]):
            self.result.notes.append(
                f"{others} credentials are no passwords (one-time codes, passkeys); this issuer has none."
            )

    async def _present(self) -> list[Account]:
        rows = await self._session.exec(
            select(UserRow.id, UserRow.username, UserRow.email, UserRow.created_at).where(
                col(UserRow.realm_id) == self._realm.id
            )
        )
        return [
            Account(user_id, username, email or "", int(created.timestamp() * 1000))
            for user_id, username, email, created in rows.all()
        ]

    async def _add_roles(self, realms: RealmDirectory) -> None:
        known = self._realm.roles.of_realm
        missing = {role: words for role, words in self._file.needed_roles().items() if role not in known}
        if not missing:
            return
        for words in missing.values():
            await create_role(self._session, self._realm.roles, self._realm.id, None, words)
        await touch(self._session, self._realm.id)
        self._realm = await realms.read(self._session, self._realm.name)
        for role, words in missing.items():
            composites = words.get("composites") or {}
            children = self._roles_of(
                {"realmRoles": composites.get("realm"), "clientRoles": composites.get("client")}
            )
            await add_composites(
                self._session,
                self._realm.roles.of_realm[role],
                [self._realm.roles.by_id[child] for child in children],
            )
        self.result.notes.append(f"Roles that were missing: {', '.join(sorted(missing))}")
        self._realm = await realms.read(self._session, self._realm.name)

    async def _add_groups(self) -> None:
        self._tree = await read_groups(self._session, self._realm)
        made = []
        for path, words in self._file.needed_groups().items():
            if self._tree.find(path) is not None:
                continue
            above = path.rpartition("/")[0]
            parent = self._tree.find(above) if above else None
            row = await create_group(self._session, self._realm, self._tree, parent, words)
            links = [{"group_id": row.id, "role_id": role} for role in self._roles_of(words)]
            if links:
                await self._session.exec(insert(GroupRoleRow).values(links))
            self._tree = GroupTree([*self._tree.by_id.values(), row])
            made.append(path)
        if made:
            self.result.notes.append(f"Groups that were missing: {', '.join(made)}")

    def _roles_of(self, holder: Representation) -> list[str]:
        """Ids of the roles of a user or group; client roles that this realm lacks are noted."""
        of_realm = self._realm.roles.of_realm
        found = [
            of_realm[name].id for name in self._file.realm_roles(holder, self._realm.name) if name in of_realm
        ]
        for client_id, names in (holder.get("clientRoles") or {}).items():
            client = self._realm.clients.get(client_id)
            roles = self._realm.roles.of_client(client.id) if client else {}
            found += [roles[name].id for name in names if name in roles]
            for name in names:
                note = f"The role {name} of the client {client_id} is not known here and was left out."
                if name not in roles and note not in self.result.notes:
                    self.result.notes.append(note)
        return list(dict.fromkeys(found))

    def _row(self, user: Representation) -> tuple[UserRow, CredentialRow | None] | None:
        """The rows of a user and its password; None, and a refusal, when they cannot be kept."""
        try:
            row = read_user(self._realm, {**user, "id": text("id", user["id"], longest=64)}, from_file=True)
            password = next(
                (one for one in user.get("credentials") or () if one.get("type", "password") == "password"),
                None,
            )
            credential = None
            if password is not None:
                created = _moment(password.get("createdDate"))
                credential = CredentialRow(user_id=row.id, hash=imported_hash(password), created_at=created)
        except IdentityError as failure:
            words = failure.body.get("errorMessage") or failure.body.get("error")
            self.result.refused.append(Left(str(user["username"]), str(words)))
            return None
        row.created_at = _moment(user.get("createdTimestamp"))
        row.not_before = int(user.get("notBefore") or 0)
        return row, credential

    async def _add(self, users: Iterable[Representation]) -> int:
        rows, credentials, roles, groups = [], [], [], []
        for user in users:
            if (read := self._row(user)) is None:
                continue
            row, credential = read
            rows.append(row.model_dump())
            if credential is not None:
                credentials.append(credential.model_dump())
            roles += [{"user_id": row.id, "role_id": role} for role in self._roles_of(user)]
            found = (self._tree.find(path) for path in dict.fromkeys(user.get("groups") or ()))
            groups += [{"user_id": row.id, "group_id": group.id} for group in found if group]
        for table, values in (
            (UserRow, rows),
            (CredentialRow, credentials),
            (UserRoleRow, roles),
            (UserGroupRow, groups),
        ):
            await self._write(table, values)
        return len(rows)

    async def _write(self, table: Any, values: Sequence[Mapping[str, Any]]) -> None:
        for first in range(0, len(values), _ROWS):
            some = values[first : first + _ROWS]
            await self._session.exec(insert(table).values(some))


def _moment(milliseconds: Any) -> datetime:
    if not isinstance(milliseconds, int) or milliseconds <= 0:
        return now()
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
