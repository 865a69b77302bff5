"""Settings of a realm as the admin API is sent them: known ones have a type and a range."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from jan_server.identity import json_members
from jan_server.identity.realm import DEFAULTS

_LEAST_ONE = frozenset(
    {
        "accessTokenLifespan",
        "ssoSessionIdleTimeout",
        "ssoSessionMaxLifespan",
        "offlineSessionIdleTimeout",
        "offlineSessionMaxLifespan",
        "accessCodeLifespan",
        "accessCodeLifespanLogin",
        "failureFactor",
    }
)
"""Settings with which 0 nobody could log in any more."""

_TEXTS = ("displayName", "displayNameHtml")
_LISTS = ("defaultDefaultClientScopes", "defaultOptionalClientScopes")
_NOT_SETTINGS = frozenset({"id", "realm", "notBefore"})
_LONG_NUMBER = re.compile(r"\d{5}")


def read_settings(body: Mapping[str, Any]) -> dict[str, Any]:
    """The settings in a realm's representation; those that this issuer does not know are kept as they are.

    Raises:
        IdentityError: 400 that names the member at fault.
    """
    found: dict[str, Any] = {}
    for name, value in body.items():
        if name not in _NOT_SETTINGS:
            found[name] = _read(name, value)
    return found


def _read(name: str, value: Any) -> Any:
    usual = DEFAULTS.get(name)
    if isinstance(usual, bool):
        return json_members.flag(name, value)
    if isinstance(usual, int):
        return json_members.whole(name, value, least=1 if name in _LEAST_ONE else 0)
    if name == "passwordPolicy":
        policy = "" if value is None else json_members.text(name, value)
        if _LONG_NUMBER.search(policy):
            raise json_members.wrong(name, "a policy whose numbers have at most four digits")
        return policy
    if isinstance(usual, str):
        return json_members.text(name, value)
    if name in _TEXTS:
        return None if value is None else json_members.text(name, value)
    if name in _LISTS:
        return json_members.texts(name, value)
    if name == "attributes":
        return json_members.text_map(name, value)
    return value
