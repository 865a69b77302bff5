"""What administrators do with users: find, make, change and remove them, and give them rights.

Users live at the identity server, which is asked each time; of the database only what a removed
user leaves behind is touched. Source: contract/llm-api.md, section 17.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from jan_server.database.turns import take_turn
from jan_server.services.llm_api.accounts import (
    Account,
    Accounts,
    Rights,
    account_of,
    made_id,
    password_credential,
)
from jan_server.services.llm_api.identity_refusals import told_as_refusals
from jan_server.services.llm_api.identity_server import IdentityServer, path_of
from jan_server.services.llm_api.refusals import Missing
from jan_server.services.llm_api.tables.user import User

USERS_A_CALL = 500

_WHOLE = {"briefRepresentation": "false"}


@dataclass(frozen=True, slots=True)
class UserFilter:
    """Which users a list shows; everything that is given has to hold.

    Attributes:
        search: The beginning of a name or address, by the identity server's rules.
        enabled: Only active users, or only inactive ones.
        group_id: Only members of this group itself.
        role: Only users who were given this realm role directly.
        exclude_guests: Whether guests are left out.
    """

    search: str | None = None
    enabled: bool | None = None
    group_id: str | None = None
    role: str | None = None
    exclude_guests: bool = False

    def admits(self, account: Account) -> bool:
        """Whether an account fits, as far as the account itself tells."""
        return (self.enabled is None or account.enabled == self.enabled) and not (
            self.exclude_guests and account.guest
        )


async def list_users(
    server: IdentityServer, wanted: UserFilter, *, first: int, maximum: int
) -> list[Account]:
    """A page of the users that fit, by name.

    Args:
        server: The realm.
        wanted: Which users.
        first: How many of them to skip.
        maximum: How many to show at most.

    Raises:
        Missing: There is no such group or role.
    """
    sources = _sources(wanted)
    query = dict(_WHOLE)
    if wanted.search:
        query["search"] = wanted.search
    if wanted.enabled is not None:
        query["enabled"] = str(wanted.enabled).lower()
    if not sources and not wanted.exclude_guests:
        with told_as_refusals():
            answer = await server.administer(
                "GET", "/users", query={**query, "first": str(first), "max": str(maximum)}
            )
        return [account_of(row) for row in answer.body or []]
    # One source is walked through in its order, the others only say who is in them.
    walked = ("/users", "") if wanted.search or not sources else sources.pop(0)
    among = [{account.id async for account in _walk(server, *source, _WHOLE)} for source in sources]
    found: list[Account] = []
    async for account in _walk(server, *walked, query if walked[0] == "/users" else _WHOLE):
        if len(found) == first + maximum:
            break
        if wanted.admits(account) and all(account.id in ids for ids in among):
            found.append(account)
    return found[first:]


def _sources(wanted: UserFilter) -> list[tuple[str, str]]:
    """Where users of the group and with the role are listed, each with the filter that asks for it."""
    sources = []
    with told_as_refusals():
        if wanted.group_id:
            sources.append((path_of("groups", wanted.group_id, "members"), "group_id"))
        if wanted.role:
            sources.append((path_of("roles", wanted.role, "users"), "role"))
    return sources


async def _walk(
    server: IdentityServer, path: str, param: str, query: Mapping[str, str]
) -> AsyncIterator[Account]:
    first = 0
    while True:
        with told_as_refusals(missing=param):
            answer = await server.administer(
                "GET", path, query={**query, "first": str(first), "max": str(USERS_A_CALL)}
            )
        rows = answer.body or []
        for row in rows:
            yield account_of(row)
        if len(rows) < USERS_A_CALL:
            return
        first += USERS_A_CALL


async def read_user(accounts: Accounts, user_id: str) -> tuple[Account, Rights]:
    """A user with its roles, groups and feature flags; `Missing` when there is none."""
    with told_as_refusals(missing="user_id"):
        account = await accounts.find(user_id)
        if account is None:
            raise Missing("User not found", param="user_id")
        return account, await accounts.rights(user_id)


async def create_user(
    server: IdentityServer,
    *,
    email: str,
    username: str | None = None,
    first_name: str | None = None,
    last_name: str | None = None,
    enabled: bool = True,
    password: str | None = None,
) -> str:
    """Make a user; returns its id.

    Raises:
        Conflict: Another user has the address or the name.
        Invalid: The identity server does not take a value.
    """
    body: dict[str, Any] = {"email": email, "username": username or email, "enabled": enabled}
    body |= {
        name: text for name, text in (("firstName", first_name), ("lastName", last_name)) if text is not None
    }
    if password is not None:
        body["credentials"] = [password_credential(password)]
    with told_as_refusals():
        return made_id(await server.administer("POST", "/users", body=body))


async def update_user(
    server: IdentityServer,
    session: AsyncSession,
    user_id: str,
    *,
    email: str | None = None,
    first_name: str | None = None,
    last_name: str | None = None,
    enabled: bool | None = None,
) -> None:
    """Change what is given and keep the rest; a user who is switched off loses its sessions.

    Changes of one user take turns while the session's transaction lasts: a Keycloak writes a user as a
    whole, and two changes at once would undo one another there.

    Raises:
        Conflict: Another user has the address.
        Invalid: The identity server does not take a value.
        Missing: There is no such user.
    """
    given = {"email": email, "firstName": first_name, "lastName": last_name, "enabled": enabled}
    changes = {name: value for name, value in given.items() if value is not None}
    with told_as_refusals():
        path = path_of("users", user_id)
        if changes:
            await take_turn(session, f"user {user_id}")
            await server.administer("PUT", path, body=changes)
        else:
            await server.administer("GET", path)


async def set_password(accounts: Accounts, user_id: str, password: str) -> None:
    """Give a user another password.

    Raises:
        Invalid: The realm's rules do not allow this password.
        Missing: There is no such user.
    """
    with told_as_refusals(invalid="password"):
        await accounts.set_password(user_id, password)


async def delete_user(server: IdentityServer, session: AsyncSession, *, issuer: str, user_id: str) -> None:
    """Remove a user with all that it owns here: keys, conversations, projects, shares, settings.

    The account goes first. When the rest fails, calling again completes it.

    Raises:
        Missing: There is no such user, and nothing is left of one.
    """
    with told_as_refusals(missing="user_id"):
        path = path_of("users", user_id)
    missing: Missing | None = None
    try:
        with told_as_refusals(missing="user_id"):
            await server.administer("DELETE", path)
    except Missing as failure:
        missing = failure
    statement = delete(User).where(col(User.issuer) == issuer, col(User.subject) == user_id)
    removed = await session.exec(statement)
    if missing is not None and not removed.rowcount:
        raise missing


async def add_role(accounts: Accounts, user_id: str, role: str) -> None:
    """Give a user a realm role; `Missing` when there is no such user or role."""
    with told_as_refusals():
        await accounts.add_role(user_id, role)


async def remove_role(accounts: Accounts, user_id: str, role: str) -> None:
    """Take a realm role from a user, who may lack it; `Missing` when there is no such user or role."""
    with told_as_refusals():
        await accounts.remove_role(user_id, role)


async def join_group(server: IdentityServer, user_id: str, group_id: str) -> None:
    """Put a user into a group; `Missing` when there is no such user or group."""
    with told_as_refusals():
        await server.administer("PUT", path_of("users", user_id, "groups", group_id))


async def leave_group(server: IdentityServer, user_id: str, group_id: str) -> None:
    """Take a user out of a group it may not be in; `Missing` when there is no such user or group."""
    with told_as_refusals():
        await server.administer("DELETE", path_of("users", user_id, "groups", group_id))
