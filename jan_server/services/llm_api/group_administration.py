"""What administrators do with groups: find, make, change and remove them, and set their flags.

Groups live at the identity server, which takes a group's attributes as a whole only. Whoever
changes some of them here therefore reads them first, and changes of one group take turns.
Source: contract/llm-api.md, section 17.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select
from sqlmodel.ext.asyncio.session import AsyncSession

from jan_server.database.statements import execute
from jan_server.services.llm_api.accounts import FLAGS_ATTRIBUTE, Account, account_of, flags_of, made_id
from jan_server.services.llm_api.feature_flags import as_defined, defined_flags
from jan_server.services.llm_api.identity_refusals import told_as_refusals
from jan_server.services.llm_api.identity_server import IdentityServer, path_of
from jan_server.services.llm_api.refusals import Missing

GROUPS_A_CALL = 200

_WHOLE = {"briefRepresentation": "false"}

Attributes = Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True)
class Group:
    """A group of users.

    Attributes:
        id: Its id at the identity server.
        path: Where it stands in the tree of groups, such as `/team/sub`.
        attributes: Lists of texts by name; its feature flags are among them.
        has_children: Whether groups stand below it.
    """

    id: str
    name: str
    path: str
    attributes: Attributes
    has_children: bool

    @property
    def feature_flags(self) -> list[str]:
        """The flags that it gives to its members."""
        return flags_of(self.attributes)


def _group(body: Mapping[str, Any]) -> Group:
    return Group(
        id=str(body["id"]),
        name=str(body["name"]),
        path=str(body.get("path") or ""),
        attributes=body.get("attributes") or {},
        has_children=bool(body.get("subGroupCount") or body.get("subGroups")),
    )


async def list_groups(server: IdentityServer, *, first: int, maximum: int) -> list[Group]:
    """A page of the groups at the top, by name."""
    query = {**_WHOLE, "first": str(first), "max": str(maximum)}
    with told_as_refusals():
        answer = await server.administer("GET", "/groups", query=query)
    return [_group(row) for row in answer.body or []]


async def find_group(server: IdentityServer, group_id: str) -> Group:
    """The group with this id; `Missing` when there is none."""
    with told_as_refusals(missing="group_id"):
        answer = await server.administer("GET", path_of("groups", group_id))
    return _group(answer.body)


async def create_group(server: IdentityServer, name: str) -> str:
    """Make a group at the top; returns its id, or raises `Conflict` when the name is taken."""
    with told_as_refusals(invalid="name"):
        return made_id(await server.administer("POST", "/groups", body={"name": name}))


async def update_group(
    server: IdentityServer,
    session: AsyncSession,
    group_id: str,
    *,
    name: str | None = None,
    attributes: Attributes | None = None,
) -> None:
    """Change a group's name, and those attributes that are named; an empty list removes one.

    Args:
        server: The realm.
        session: A transaction; changes of one group wait for one another in it.
        group_id: The group.
        name: The new name.
        attributes: New values by name; other attributes stay.

    Raises:
        Conflict: Another group beside it has the name.
        Invalid: One of its flags is not defined.
        Missing: There is no such group.
    """
    if attributes is not None and FLAGS_ATTRIBUTE in attributes:
        wanted = flags_of(attributes)
        defined = await defined_flags(session, wanted)
        flags = as_defined(wanted, defined, param=f"attributes.{FLAGS_ATTRIBUTE}")
        attributes = {**attributes, FLAGS_ATTRIBUTE: flags}
    await _lock(session, group_id)
    group = await find_group(server, group_id)
    body: dict[str, Any] = {"name": group.name if name is None else name}
    if attributes is not None:
        merged = {**group.attributes, **attributes}
        body["attributes"] = {key: list(values) for key, values in merged.items() if values}
    with told_as_refusals(missing="group_id", invalid="name"):
        await server.administer("PUT", path_of("groups", group_id), body=body)


async def delete_group(server: IdentityServer, group_id: str) -> None:
    """Remove a group and all below it; its members stay. `Missing` when there is no such group."""
    with told_as_refusals(missing="group_id"):
        await server.administer("DELETE", path_of("groups", group_id))


async def list_members(server: IdentityServer, group_id: str, *, first: int, maximum: int) -> list[Account]:
    """A page of the users in a group itself, by name; `Missing` when there is no such group."""
    query = {**_WHOLE, "first": str(first), "max": str(maximum)}
    with told_as_refusals(missing="group_id"):
        answer = await server.administer("GET", path_of("groups", group_id, "members"), query=query)
    return [account_of(row) for row in answer.body or []]


async def replace_flags(
    server: IdentityServer, session: AsyncSession, group_id: str, flags: Sequence[str]
) -> None:
    """Let a group carry exactly these flags; its other attributes stay.

    Raises:
        Invalid: A flag is neither defined nor carried by the group already.
        Missing: There is no such group.
    """
    defined = await defined_flags(session, flags)
    await _lock(session, group_id)
    group = await find_group(server, group_id)
    carried = {flag.lower(): flag for flag in group.feature_flags}
    await _write_flags(server, group, as_defined(flags, {**carried, **defined}, param="flags"))


async def add_flag(server: IdentityServer, session: AsyncSession, group_id: str, key: str) -> None:
    """Let a group carry a flag as well; `Missing` when there is no such group or flag."""
    defined = await defined_flags(session, [key])
    await _lock(session, group_id)
    group = await find_group(server, group_id)
    if key.lower() not in defined:
        raise Missing(f"there is no feature flag {key!r}", param="flag_key")
    await _write_flags(server, group, [*without(group.feature_flags, key), defined[key.lower()]])


async def remove_flag(server: IdentityServer, session: AsyncSession, group_id: str, key: str) -> None:
    """Take a flag from a group, which may lack it; `Missing` when there is no such group."""
    await _lock(session, group_id)
    group = await find_group(server, group_id)
    await _write_flags(server, group, without(group.feature_flags, key))


async def change_carried_flags(
    server: IdentityServer, session: AsyncSession, key: str, change: Callable[[list[str]], list[str]]
) -> None:
    """Change the flags of all groups that carry `key`; repeating it completes what was interrupted.

    Args:
        server: The realm.
        session: A transaction; changes of one group wait for one another in it.
        key: The flag, in any case.
        change: Makes the new flags of a group from those that it carries.
    """
    carriers = [
        group.id
        async for group in _all_groups(server)
        if key.lower() in (flag.lower() for flag in group.feature_flags)
    ]
    for group_id in sorted(carriers):
        await _lock(session, group_id)
        group = await find_group(server, group_id)
        await _write_flags(server, group, change(group.feature_flags))


def without(flags: Sequence[str], key: str) -> list[str]:
    """The flags other than `key`, in any case."""
    return [flag for flag in flags if flag.lower() != key.lower()]


async def _write_flags(server: IdentityServer, group: Group, flags: Sequence[str]) -> None:
    kept = {name: list(values) for name, values in group.attributes.items() if name != FLAGS_ATTRIBUTE}
    attributes = {**kept, FLAGS_ATTRIBUTE: list(dict.fromkeys(flags))} if flags else kept
    with told_as_refusals(missing="group_id"):
        await server.administer(
            "PUT", path_of("groups", group.id), body={"name": group.name, "attributes": attributes}
        )


async def _all_groups(server: IdentityServer) -> AsyncIterator[Group]:
    waiting = ["/groups"]
    while waiting:
        path, first = waiting.pop(), 0
        while True:
            query = {**_WHOLE, "first": str(first), "max": str(GROUPS_A_CALL)}
            with told_as_refusals():
                rows = (await server.administer("GET", path, query=query)).body or []
            for row in rows:
                group = _group(row)
                yield group
                if group.has_children:
                    waiting.append(path_of("groups", group.id, "children"))
            if len(rows) < GROUPS_A_CALL:
                break
            first += GROUPS_A_CALL


async def _lock(session: AsyncSession, group_id: str) -> None:
    # Flags are locked before groups, everywhere, or two changes could wait for one another.
    await execute(session, select(func.pg_advisory_xact_lock(func.hashtextextended(f"group {group_id}", 0))))
