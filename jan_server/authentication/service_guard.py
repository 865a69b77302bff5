"""The guard of a service, as the settings say: whom it believes, and who may come without a credential."""

from __future__ import annotations

import aiohttp

from jan_server.authentication.guard import Guard, KeyResolver
from jan_server.authentication.identity_header import IdentitySigner
from jan_server.authentication.jwks import KeySet
from jan_server.authentication.principal import Principal
from jan_server.authentication.verifier import TokenRules, TokenVerifier
from jan_server.settings.tree import Settings

NOBODY = Principal(subject="guest", issuer="", method="jwt", username="guest", guest=True)
"""Who calls a service whose settings ask for no credential, and sends none."""


def service_guard(
    settings: Settings,
    client: aiohttp.ClientSession,
    resolve_key: KeyResolver | None = None,
    *,
    auth_enabled: bool = True,
) -> Guard:
    """Who may come in: the gateway's signed header, a user's key, or the realm's access token.

    Args:
        settings: The whole settings tree.
        client: The process's outgoing client, for the realm's keys.
        resolve_key: Finds the principal of an API key; None where a service knows no keys.
        auth_enabled: False lets a request without any credential in, as a guest.
    """
    keycloak = settings.infrastructure.auth.keycloak
    keys = KeySet(
        client,
        keycloak.jwks_url,
        refresh_seconds=keycloak.refresh_jwks_interval.total_seconds(),
    )
    rules = TokenRules(
        issuers=(keycloak.issuer,),
        audience=keycloak.account,
        authorized_parties=keycloak.client,
        skew_seconds=keycloak.auth_clock_skew.total_seconds(),
    )
    return Guard(
        identity_signer(settings),
        TokenVerifier(keys.key, rules, keys.current),
        resolve_key,
        anonymous=None if auth_enabled else NOBODY,
    )


def identity_signer(settings: Settings) -> IdentitySigner:
    """Signs and verifies the header in which services tell one another who calls."""
    return IdentitySigner(settings.identity.header_secret.get_secret_value())
