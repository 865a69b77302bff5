"""Settings of clients and client scopes as the admin API is sent them: each has a type and a range."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jan_server.identity import json_members
from jan_server.identity.clients import DEFAULTS
from jan_server.identity.scopes import with_mapper_ids

_COLUMNS = frozenset({"id", "clientId", "secret", "access"})
_TEXTS = ("name", "description", "rootUrl", "baseUrl", "adminUrl")
_LISTS = ("defaultClientScopes", "optionalClientScopes")

_LIFETIMES = (
    "access.token.lifespan",
    "client.session.idle.timeout",
    "client.session.max.lifespan",
    "client.offline.session.idle.timeout",
    "client.offline.session.max.lifespan",
)


def read_client_settings(body: Mapping[str, Any]) -> dict[str, Any]:
    """The settings in a client's representation; a null counts as left out.

    Raises:
        IdentityError: 400 that names the member at fault.
    """
    return {
        name: _read(name, value) for name, value in body.items() if name not in _COLUMNS and value is not None
    }


def read_scope_settings(body: Mapping[str, Any]) -> dict[str, Any]:
    """The settings in a client scope's representation; a null counts as left out.

    Raises:
        IdentityError: 400 that names the member at fault.
    """
    found = {
        name: _read(name, value)
        for name, value in body.items()
        if name not in ("id", "name") and value is not None
    }
    found.setdefault("protocol", "openid-connect")
    return found


def _read(name: str, value: Any) -> Any:
    usual = DEFAULTS.get(name)
    if name == "attributes":
        return _attributes(json_members.text_map(name, value))
    if name == "protocolMappers":
        return with_mapper_ids(json_members.mappers(name, value))
    if isinstance(usual, bool):
        return json_members.flag(name, value)
    if isinstance(usual, int):
        return json_members.whole(name, value, least=-1)
    if isinstance(usual, list) or name in _LISTS:
        return json_members.texts(name, value)
    if isinstance(usual, str) or name in _TEXTS:
        return json_members.text(name, value)
    return value


def _attributes(attributes: dict[str, str]) -> dict[str, str]:
    for name in _LIFETIMES:
        # An empty text, and -1 for "as the realm says", are what Keycloak's console writes.
        written = attributes.get(name, "")
        if written not in ("", "-1") and not _is_seconds(written):
            raise json_members.wrong("attributes", f"such that {name} is a number of seconds")
    return attributes


def _is_seconds(written: str) -> bool:
    digits = written.isascii() and written.isdigit() and len(written) <= len(str(json_members.MAX_SECONDS))
    return digits and int(written) <= json_members.MAX_SECONDS
