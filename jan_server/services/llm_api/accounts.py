"""Accounts at the identity server: made, read, changed and removed through its admin API.

Everything here is done by the service account of the `backend` client, which needs the right
to see and manage the realm's users and to see its roles, nothing else
(contract/identity.md, section 3).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from jan_server.services.llm_api.identity_server import (
    Answer,
    IdentityRefused,
    IdentityServer,
    IdentityUnavailable,
    path_of,
)

FLAGS_ATTRIBUTE = "feature_flags"
"""The attribute of groups whose values become the claim of this name (contract/identity.md, section 10)."""


@dataclass(frozen=True, slots=True)
class Account:
    """One user of the realm.

    Attributes:
        id: The subject of the user's tokens.
        username: The log-in name; Keycloak stores the e-mail here in this realm.
        enabled: Whether the user may use the platform.
        guest: Whether guest log-in made it and nobody upgraded it since.
        representation: All that the identity server says, in its own words.
    """

    id: str
    username: str
    email: str
    first_name: str
    last_name: str
    enabled: bool
    guest: bool
    representation: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Rights:
    """What an account may do: realm roles, group paths and the flags that its groups carry."""

    roles: tuple[str, ...]
    groups: tuple[str, ...]
    feature_flags: tuple[str, ...]


class Accounts:
    """The realm's accounts; unless said otherwise, methods raise as `IdentityServer.administer`."""

    def __init__(self, server: IdentityServer) -> None:
        self._server = server
        self._roles: dict[str, Mapping[str, Any]] = {}

    def doubt(self) -> None:
        """Find out, without waiting, whether the identity server answers at all."""
        self._server.availability.doubt()

    async def create(
        self, *, username: str, email: str, password: str, attributes: Mapping[str, Sequence[str]]
    ) -> str:
        """Make an enabled account with a permanent password; returns its id."""
        answer = await self._server.administer(
            "POST",
            "/users",
            body={
                "username": username,
                "email": email,
                "enabled": True,
                "attributes": {name: list(values) for name, values in attributes.items()},
                "credentials": [password_credential(password)],
            },
        )
        return made_id(answer)

    async def find(self, account_id: str) -> Account | None:
        """The account with this id, or None."""
        try:
            answer = await self._server.administer("GET", path_of("users", account_id))
        except IdentityRefused as refusal:
            if refusal.status == 404:
                return None
            raise
        return account_of(answer.body)

    async def find_by_email(self, email: str) -> Account | None:
        """The account with exactly this e-mail address, or None."""
        answer = await self._server.administer("GET", "/users", query={"email": email, "exact": "true"})
        found = answer.body if isinstance(answer.body, list) else []
        return account_of(found[0]) if found else None

    async def update(self, account: Account, changes: Mapping[str, Any]) -> None:
        """Change members of an account's representation; the rest stays as it was read."""
        await self._server.administer(
            "PUT", path_of("users", account.id), body={**account.representation, **changes}
        )

    async def set_password(self, account_id: str, password: str) -> None:
        """Replace the password by a permanent one."""
        await self._server.administer(
            "PUT", path_of("users", account_id, "reset-password"), body=password_credential(password)
        )

    async def delete(self, account_id: str) -> None:
        """Remove an account with its sessions; one that is gone already is no error."""
        try:
            await self._server.administer("DELETE", path_of("users", account_id))
        except IdentityRefused as refusal:
            if refusal.status != 404:
                raise

    async def add_role(self, account_id: str, role: str) -> None:
        """Give a realm role."""
        await self._map_role("POST", account_id, role)

    async def remove_role(self, account_id: str, role: str) -> None:
        """Take a realm role away; one that the account does not have is no error."""
        await self._map_role("DELETE", account_id, role)

    async def _map_role(self, method: str, account_id: str, name: str) -> None:
        role = self._roles.get(name) or await self._role(name)
        path = path_of("users", account_id, "role-mappings", "realm")
        try:
            await self._server.administer(method, path, body=[role])
        except IdentityRefused as refusal:
            # The role may have been made anew over there, with another id.
            if refusal.status != 404:
                raise
            await self._server.administer(method, path, body=[await self._role(name)])

    async def _role(self, name: str) -> Mapping[str, Any]:
        answer = await self._server.administer("GET", path_of("roles", name))
        role = {"id": answer.body["id"], "name": answer.body["name"]}
        self._roles[name] = role
        return role

    async def rights(self, account_id: str) -> Rights:
        """The roles (composite ones resolved), groups and feature flags of an account."""
        roles, groups = await asyncio.gather(
            self._server.administer(
                "GET", path_of("users", account_id, "role-mappings", "realm", "composite")
            ),
            self._server.administer(
                "GET", path_of("users", account_id, "groups"), query={"briefRepresentation": "false"}
            ),
        )
        members: list[Mapping[str, Any]] = groups.body or []
        return Rights(
            roles=tuple(str(role["name"]) for role in roles.body or []),
            groups=tuple(str(group.get("path", "")) for group in members),
            feature_flags=_unique(
                flag for group in members for flag in flags_of(group.get("attributes") or {})
            ),
        )


def _unique(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(value for value in values if value))


def flags_of(attributes: Mapping[str, Sequence[str]]) -> list[str]:
    """The feature flags in a group's attributes; consoles may have written several as one text."""
    texts = [
        flag.strip() for value in attributes.get(FLAGS_ATTRIBUTE) or () for flag in str(value).split(",")
    ]
    return [flag for flag in texts if flag]


def made_id(answer: Answer) -> str:
    """The id of something new, which ends the address that the identity server names.

    Raises:
        IdentityUnavailable: It names none.
    """
    found = unquote(answer.location.rstrip("/").rpartition("/")[2])
    if not found:
        raise IdentityUnavailable("the identity server made something without saying where")
    return found


def password_credential(value: str) -> dict[str, Any]:
    """A permanent password, as a representation has it."""
    return {"type": "password", "value": value, "temporary": False}


def account_of(body: Any) -> Account:
    """The account that a representation describes."""
    attributes = body.get("attributes") or {}
    return Account(
        id=str(body["id"]),
        username=str(body.get("username") or ""),
        email=str(body.get("email") or ""),
        first_name=str(body.get("firstName") or ""),
        last_name=str(body.get("lastName") or ""),
        enabled=bool(body.get("enabled", False)),
        guest=[str(value).lower() for value in attributes.get("guest", ())] == ["true"],
        representation=body,
    )
