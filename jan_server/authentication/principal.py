"""The principal: who a request speaks for, whichever credential proved it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

Method = Literal["jwt", "apikey"]


@dataclass(frozen=True, slots=True)
class Principal:
    """An authenticated caller.

    Attributes:
        subject: The identity server's id of the user (`sub`).
        issuer: The realm that vouches for the subject.
        method: Which kind of credential was presented.
        roles: Realm and client roles, united (contract/identity.md, section 4).
        groups: Full group paths.
        feature_flags: Flags that the user's groups carry.
        scopes: OAuth scopes of the token.
        guest: Whether the account was made by guest login and never upgraded.
        user_id: The id of the local users row as text; empty where it is not known yet.
        key_id: The API key that was presented; empty for tokens.
        administrator: Whether the token said so in an `is_admin` attribute.
    """

    subject: str
    issuer: str
    method: Method = "jwt"
    username: str = ""
    email: str = ""
    name: str = ""
    picture: str = ""
    roles: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    feature_flags: tuple[str, ...] = ()
    scopes: tuple[str, ...] = ()
    guest: bool = False
    user_id: str = ""
    key_id: str = ""
    administrator: bool = False

    @property
    def is_admin(self) -> bool:
        """Role `admin` in any case, the flag `admin_access`, or the attribute `is_admin`."""
        return (
            self.administrator
            or any(role.lower() == "admin" for role in self.roles)
            or any(flag.lower() == "admin_access" for flag in self.feature_flags)
        )

    @property
    def principal_id(self) -> str:
        """The id that answers show: the subject, or the local user id for a key."""
        return self.user_id if self.method == "apikey" and self.user_id else self.subject

    def to_claims(self) -> dict[str, Any]:
        """The principal as plain data; empty members are left out."""
        return {field.name: value for field in fields(self) if (value := getattr(self, field.name))}

    @classmethod
    def from_claims(cls, claims: Mapping[str, Any]) -> Principal:
        """The inverse of `to_claims`; members it does not know are ignored."""
        known = {field.name for field in fields(cls)}
        values: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in claims.items()
            if name in known
        }
        return cls(**values)


def principal_from_token(claims: Mapping[str, Any]) -> Principal:
    """The principal of a realm's access token.

    Source: contract/identity.md, section 4 ("Claims read by llm-api").
    """
    roles: dict[str, None] = {}
    for access in (claims.get("realm_access"), *_mapping(claims.get("resource_access")).values()):
        roles.update(dict.fromkeys(_texts(_mapping(access).get("roles"))))
    attributes = _mapping(claims.get("attributes"))
    return Principal(
        subject=str(claims["sub"]),
        issuer=str(claims.get("iss", "")),
        method="jwt",
        username=_text(claims.get("preferred_username")),
        email=_text(claims.get("email")),
        name=_text(claims.get("name")),
        picture=_text(claims.get("picture")),
        roles=tuple(roles),
        groups=tuple(_texts(claims.get("groups"))),
        feature_flags=tuple(_texts(claims.get("feature_flags"))),
        scopes=tuple(_text(claims.get("scope")).split()),
        guest=_is_true(claims.get("guest")),
        administrator=_is_true(claims.get("is_admin")) or _is_true(attributes.get("is_admin")),
    )


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    return [entry for entry in value if isinstance(entry, str)] if isinstance(value, list) else []


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _is_true(value: Any) -> bool:
    # Keycloak's attribute mappers write booleans as text, and lists where they may be several.
    if isinstance(value, list):
        return bool(value) and _is_true(value[0])
    return value is True or (isinstance(value, str) and value.lower() == "true")
