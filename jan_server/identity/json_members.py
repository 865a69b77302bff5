"""Members of representations that the admin API is sent: each is of one type and within its range.

What is stored is read at every log-in, so nothing that cannot be read is stored.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from jan_server.identity.errors import IdentityError, bad_request

MAX_SECONDS = 2**31 - 1
"""The longest time and the last moment that Keycloak keeps, too: 68 years."""

MAX_NAME = 255
MAX_TEXT = 65_536


def wrong(member: str, expected: str) -> IdentityError:
    """The refusal of a member: 400 that names it and says what it has to be."""
    return bad_request(f"{member} must be {expected}", field=member)


USER = frozenset(
    [
        "access",
        "applicationRoles",
        "attributes",
        "clientConsents",
        "clientRoles",
        "createdTimestamp",
        "credentials",
        "disableableCredentialTypes",
        "email",
        "emailVerified",
        "enabled",
        "federatedIdentities",
        "federationLink",
        "firstName",
        "groups",
        "id",
        "lastName",
        "notBefore",
        "origin",
        "realmRoles",
        "requiredActions",
        "self",
        "serviceAccountClientId",
        "socialLinks",
        "totp",
        "userProfileMetadata",
        "username",
    ]
)
"""The members of a user; Keycloak's `UserRepresentation`."""

GROUP = frozenset(
    [
        "access",
        "attributes",
        "clientRoles",
        "description",
        "id",
        "name",
        "parentId",
        "path",
        "realmRoles",
        "subGroupCount",
        "subGroups",
    ]
)
"""The members of a group; Keycloak's `GroupRepresentation`."""


def only(kind: str, known: Collection[str], body: Mapping[str, Any]) -> None:
    """Refuse a representation with a member that its kind does not have, as a misspelt one would be lost.

    Raises:
        IdentityError: 400 in Keycloak's words.
    """
    for name in body:
        if name not in known:
            words = f'Invalid json representation for {kind}. Unrecognized field "{name[:64]}".'
            raise IdentityError(400, {"error": words})


def flag(member: str, value: Any) -> bool:
    """A member that is true or false; IdentityError 400 for anything else."""
    if not isinstance(value, bool):
        raise wrong(member, "true or false")
    return value


def whole(member: str, value: Any, *, least: int = 0, most: int = MAX_SECONDS) -> int:
    """A whole number within a range; IdentityError 400 for anything else."""
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise wrong(member, f"a whole number from {least} to {most}")
    return value


def text(member: str, value: Any, *, longest: int = MAX_TEXT) -> str:
    """A text of at most so many characters; IdentityError 400 for anything else."""
    if not isinstance(value, str) or len(value) > longest or "\x00" in value:
        raise wrong(member, f"a text of at most {longest} characters")
    return value


def texts(member: str, value: Any) -> list[str]:
    """A list of texts; IdentityError 400 for anything else."""
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise wrong(member, "a list of texts")
    return value


def text_map(member: str, value: Any) -> dict[str, str]:
    """An object of texts; numbers and flags count as texts, nulls as nothing (Keycloak reads them so).

    Raises:
        IdentityError: 400 for anything else.
    """
    if not isinstance(value, dict):
        raise wrong(member, "an object of texts")
    found: dict[str, str] = {}
    for name, one in value.items():
        if isinstance(one, bool):
            found[name] = "true" if one else "false"
        elif isinstance(one, str | int | float):
            found[name] = str(one)
        elif one is not None:
            raise wrong(member, f"an object of texts, which {name[:64]!r} is not")
    return found


def mappers(member: str, value: Any) -> list[dict[str, Any]]:
    """The representations of protocol mappers; IdentityError 400 for anything else."""
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise wrong(member, "a list of objects")
    return [_mapper(member, one) for one in value]


def _mapper(member: str, one: Mapping[str, Any]) -> dict[str, Any]:
    for name in ("id", "name", "protocol", "protocolMapper"):
        if one.get(name) is not None and not isinstance(one[name], str):
            raise wrong(member, f"a list of mappers whose {name} is a text")
    kept = {name: value for name, value in one.items() if value is not None}
    if "config" in kept:
        kept["config"] = text_map(member, kept["config"])
    return kept
