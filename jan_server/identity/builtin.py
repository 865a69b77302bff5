"""What is there without any file: Keycloak's own clients and roles of a realm, and the master realm.

The realm file does not list them, because a Keycloak makes them by itself at the import.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from jan_server.identity.realm import MASTER

ACCOUNT = "account"
ADMIN_CLI = "admin-cli"
REALM_MANAGEMENT = "realm-management"

ADMIN = "admin"
"""The role of the master realm whose holders administer every realm."""

REALM_ROLES: Mapping[str, str] = {
    "offline_access": "${role_offline-access}",
    "uma_authorization": "${role_uma_authorization}",
}
"""Realm roles with their descriptions."""

MASTER_ROLES: Mapping[str, str] = {ADMIN: "${role_admin}", "create-realm": "${role_create-realm}"}
"""Further realm roles of the master realm."""

ACCOUNT_ROLES: Mapping[str, Sequence[str]] = {
    "view-profile": (),
    "manage-account-links": (),
    "manage-account": ("manage-account-links",),
    "view-applications": (),
    "view-consent": (),
    "manage-consent": ("view-consent",),
    "delete-account": (),
    "view-groups": (),
}
"""Roles of the client `account`, with the roles that each brings."""

DEFAULT_ACCOUNT_ROLES = ("manage-account", "view-profile")
"""Those of them that every user has."""

_MANAGEMENT = (
    "query-users",
    "query-groups",
    "query-clients",
    "query-realms",
    "manage-users",
    "manage-clients",
    "manage-realm",
    "manage-events",
    "manage-identity-providers",
    "manage-authorization",
    "view-realm",
    "view-events",
    "view-identity-providers",
    "view-authorization",
    "impersonation",
    "create-client",
)

MANAGEMENT_ROLES: Mapping[str, Sequence[str]] = {
    **dict.fromkeys(_MANAGEMENT, ()),
    "view-users": ("query-users", "query-groups"),
    "view-clients": ("query-clients",),
    "realm-admin": (*_MANAGEMENT, "view-users", "view-clients"),
}
"""Roles of the client `realm-management`: the rights of the admin API."""


def clients(realm: str) -> Sequence[Mapping[str, Any]]:
    """The clients that every realm has, in Keycloak's representation."""
    return (
        {
            "clientId": ACCOUNT,
            "name": "${client_account}",
            "rootUrl": "",
            "baseUrl": f"/realms/{realm}/account/",
            "publicClient": True,
            "standardFlowEnabled": False,
            "fullScopeAllowed": False,
        },
        {
            "clientId": ADMIN_CLI,
            "name": "${client_admin-cli}",
            "publicClient": True,
            "standardFlowEnabled": False,
            "directAccessGrantsEnabled": True,
        },
        {
            "clientId": REALM_MANAGEMENT,
            "name": "${client_realm-management}",
            "bearerOnly": True,
            "fullScopeAllowed": False,
        },
    )


_LOGIN_LIMITS = (
    "bruteForceProtected",
    "failureFactor",
    "waitIncrementSeconds",
    "maxFailureWaitSeconds",
    "maxDeltaTimeSeconds",
)


def master_realm(application: Mapping[str, Any], admin_user: str, admin_password: str) -> dict[str, Any]:
    """The master realm: the first administrator and nothing else.

    Args:
        application: The application's realm; scopes and log-in limits are taken from it.
        admin_user: The administrator's name.
        admin_password: The password; empty leaves the administrator out.

    Returns:
        The realm in Keycloak's representation.
    """
    administrator = {
        "username": admin_user,
        "enabled": True,
        "credentials": [{"type": "password", "value": admin_password}],
        "realmRoles": [ADMIN, "create-realm"],
    }
    return {
        "realm": MASTER,
        "displayName": "Administration",
        "sslRequired": "none",
        "accessTokenLifespan": 60,
        "clientScopes": application.get("clientScopes") or [],
        "defaultDefaultClientScopes": application.get("defaultDefaultClientScopes") or [],
        "roles": {
            "realm": [{"name": name, "description": words} for name, words in MASTER_ROLES.items()],
        },
        "users": [administrator] if admin_password else [],
        **{name: application[name] for name in _LOGIN_LIMITS if name in application},
    }
