"""Clients: the applications that may ask for tokens, and what each of them may do."""

from __future__ import annotations

import secrets
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from jan_server.identity.redirects import origins_of
from jan_server.identity.scopes import ProtocolMapper, protocol_mappers

_ALPHABET = string.ascii_letters + string.digits

# Members that every representation of a client has, with what Keycloak gives a new one.
DEFAULTS: Mapping[str, Any] = {
    "surrogateAuthRequired": False,
    "enabled": True,
    "alwaysDisplayInConsole": False,
    "clientAuthenticatorType": "client-secret",
    "redirectUris": [],
    "webOrigins": [],
    "notBefore": 0,
    "bearerOnly": False,
    "consentRequired": False,
    "standardFlowEnabled": True,
    "implicitFlowEnabled": False,
    "directAccessGrantsEnabled": False,
    "serviceAccountsEnabled": False,
    "publicClient": False,
    "frontchannelLogout": False,
    "protocol": "openid-connect",
    "attributes": {},
    "authenticationFlowBindingOverrides": {},
    "fullScopeAllowed": True,
    "nodeReRegistrationTimeout": -1,
}


def new_secret() -> str:
    """A new client secret: 32 letters and digits."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(32))


TOKEN_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"  # noqa: S105 - the name of a grant


@dataclass(frozen=True)
class Client:
    """A client of a realm.

    Attributes:
        id: Its own id, a UUID.
        client_id: The name that it gives in requests.
        secret: Its secret; empty for a public client.
        settings: The rest of its representation, in Keycloak's words.
    """

    id: str
    client_id: str
    secret: str
    settings: Mapping[str, Any]

    def _flag(self, name: str) -> bool:
        return bool(self.settings.get(name, DEFAULTS[name]))

    def attribute(self, name: str) -> str:
        """An attribute of the client, or an empty text."""
        return str((self.settings.get("attributes") or {}).get(name) or "")

    def seconds(self, name: str) -> int:
        """An attribute that counts seconds; 0 where the realm's setting holds."""
        text = self.attribute(name)
        # The realm file may say anything; longer texts are no number of seconds.
        return int(text) if text.isascii() and text.isdigit() and len(text) < 11 else 0

    @property
    def enabled(self) -> bool:
        """Whether it may do anything at all."""
        return self._flag("enabled")

    @property
    def public(self) -> bool:
        """Whether it has no secret."""
        return self._flag("publicClient")

    @property
    def bearer_only(self) -> bool:
        """Whether it never asks for tokens."""
        return self._flag("bearerOnly")

    @property
    def code_flow(self) -> bool:
        """Whether browsers may log in for it."""
        return self._flag("standardFlowEnabled")

    @property
    def password_grant(self) -> bool:
        """Whether it may log users in by their passwords."""
        return self._flag("directAccessGrantsEnabled")

    @property
    def service_account(self) -> bool:
        """Whether it has an account of its own."""
        return self._flag("serviceAccountsEnabled")

    @property
    def full_scope(self) -> bool:
        """Whether its tokens carry every role of the user."""
        return self._flag("fullScopeAllowed")

    @property
    def device_grant(self) -> bool:
        """Whether devices without a browser may log in for it."""
        return self.attribute("oauth2.device.authorization.grant.enabled") == "true"

    @property
    def token_exchange(self) -> bool:
        """Whether it may exchange a token for one of its own."""
        return self.attribute("standard.token.exchange.enabled") == "true"

    @property
    def challenge_method(self) -> str:
        """The PKCE method that it has to use; empty where it may choose."""
        return self.attribute("pkce.code.challenge.method")

    @cached_property
    def redirect_uris(self) -> Sequence[str]:
        """Where a browser may be sent back, with Keycloak's wildcards."""
        root = str(self.settings.get("rootUrl") or "")
        uris = [str(uri) for uri in self.settings.get("redirectUris") or ()]
        return tuple(f"{root}{uri}" if uri.startswith("/") else uri for uri in uris)

    @cached_property
    def post_logout_redirect_uris(self) -> Sequence[str]:
        """Where a browser may be sent after a log-out."""
        found: list[str] = []
        for uri in self.attribute("post.logout.redirect.uris").split("##"):
            if uri == "+":
                found += self.redirect_uris
            elif uri and uri != "-":
                found.append(uri)
        return tuple(found)

    @cached_property
    def web_origins(self) -> Sequence[str]:
        """The origins whose pages may call the token endpoint, `+` resolved; `*` stands for any."""
        found: list[str] = []
        for origin in self.settings.get("webOrigins") or ():
            found += origins_of(self.redirect_uris) if origin == "+" else [origin]
        return tuple(dict.fromkeys(found))

    @cached_property
    def mappers(self) -> Sequence[ProtocolMapper]:
        """Its own protocol mappers."""
        return protocol_mappers(self.settings.get("protocolMappers"))

    @property
    def default_scopes(self) -> Sequence[str]:
        """Names of the client scopes that every token of it has."""
        return tuple(self.settings.get("defaultClientScopes") or ())

    @property
    def optional_scopes(self) -> Sequence[str]:
        """Names of the client scopes that a request may add."""
        return tuple(self.settings.get("optionalClientScopes") or ())

    def representation(self) -> dict[str, Any]:
        """The client as the admin API shows it."""
        found = {"id": self.id, "clientId": self.client_id, **DEFAULTS, **self.settings}
        if not self.public and self.secret:
            found["secret"] = self.secret
        found["access"] = {"view": True, "configure": True, "manage": True}
        return found
