"""The realm of a running Keycloak as a realm file: what administrators made of it, without secrets.

It is Keycloak's own partial export, less what every realm of every Keycloak has and less what is only valid
there, so that `jan identity setup` and Keycloak's import can take it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jan_server.identity.keycloak.realm_server import RealmServer
from jan_server.identity.realm_file import KEY_PROVIDER

MASK = "**********"
"""What Keycloak shows in the place of a secret."""

_OWN_CLIENTS = frozenset(
    {
        "account",
        "account-console",
        "admin-cli",
        "broker",
        "realm-management",
        "security-admin-console",
    }
)
_OWN_ROLES = frozenset({"offline_access", "uma_authorization"})
_LOCAL = frozenset({"id", "containerId", "parentId", "defaultRole", "keycloakVersion", "access"})


def export_realm(server: RealmServer) -> tuple[dict[str, Any], list[str]]:
    """Read a realm.

    Args:
        server: The realm.

    Returns:
        The realm in Keycloak's representation, and what was left out of it, in words for people.

    Raises:
        RealmServerError: Keycloak refused.
    """
    found = server.ask("/partial-export", exportClients="true", exportGroupsAndRoles="true")
    masked: list[str] = []
    components = {kind: each for kind, each in found.get("components", {}).items() if kind != KEY_PROVIDER}
    roles = found.get("roles", {})
    own = _OWN_ROLES | {f"default-roles-{server.realm}"}
    realm = {
        **found,
        "clients": [one for one in found.get("clients", ()) if one["clientId"] not in _OWN_CLIENTS],
        "roles": {
            "realm": [role for role in roles.get("realm", ()) if role["name"] not in own],
            "client": {
                client: each
                for client, each in roles.get("client", {}).items()
                if client not in _OWN_CLIENTS and each
            },
        },
        # Accounts of clients, with their rights; people are not in a partial export.
        "users": found.get("users", []),
        "components": components,
    }
    cleaned = {name: _portable(value, name, masked) for name, value in realm.items() if name not in _LOCAL}
    left_out = [
        "users (jan identity users export) and signing keys (JAN_REALM_SIGNING_KEY)",
        "clients and roles that every Keycloak makes by itself",
        *(f"the secret at {place}" for place in masked),
    ]
    return cleaned, left_out


def _portable(value: Any, place: str, masked: list[str]) -> Any:
    """A part of the realm without ids of that server and without masked secrets."""
    if isinstance(value, Mapping):
        kept = {}
        for name, part in value.items():
            here = f"{place}.{name}"
            if MASK in (part, *(part if isinstance(part, list) else ())):
                masked.append(here)
            elif name not in _LOCAL:
                kept[name] = _portable(part, here, masked)
        return kept
    if isinstance(value, list):
        return [
            _portable(part, f"{place}[{_name(part, number)}]", masked) for number, part in enumerate(value)
        ]
    return value


def _name(part: Any, number: int) -> str:
    if isinstance(part, Mapping):
        return str(next((part[key] for key in ("clientId", "alias", "name") if part.get(key)), number))
    return str(number)
