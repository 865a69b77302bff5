"""Client scopes and their protocol mappers: which claims a token gets, and why."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jan_server.identity.errors import oauth_error
from jan_server.identity.tables import new_id

if TYPE_CHECKING:
    from jan_server.identity.clients import Client

OPENID = "openid"
OFFLINE_ACCESS = "offline_access"


@dataclass(frozen=True)
class ProtocolMapper:
    """One rule that puts a claim into tokens.

    Attributes:
        id: Its id.
        name: Its name, for people.
        kind: Keycloak's name of the rule, for example `oidc-usermodel-attribute-mapper`.
        config: Its settings, all texts.
    """

    id: str
    name: str
    kind: str
    config: Mapping[str, str]

    def wants(self, token: str) -> bool:
        """Whether the claim goes into `access`, `id` or `userinfo`."""
        return self.config.get(f"{token}.token.claim") == "true"


@dataclass(frozen=True)
class ClientScope:
    """A named set of mappers.

    Attributes:
        id: Its id.
        name: What requests call it.
        settings: Its representation, in Keycloak's words.
        mappers: Its mappers.
    """

    id: str
    name: str
    settings: Mapping[str, Any]
    mappers: Sequence[ProtocolMapper]

    @property
    def shown(self) -> bool:
        """Whether a token's `scope` names it."""
        attributes: Mapping[str, str] = self.settings.get("attributes") or {}
        return attributes.get("include.in.token.scope", "true") != "false"

    def representation(self) -> dict[str, Any]:
        """The scope as the admin API shows it."""
        return {"id": self.id, "name": self.name, **self.settings}


def protocol_mappers(representations: Iterable[Mapping[str, Any]] | None) -> Sequence[ProtocolMapper]:
    """Read mappers from their representations."""
    return tuple(
        ProtocolMapper(
            id=str(one.get("id", "")),
            name=str(one.get("name", "")),
            kind=str(one.get("protocolMapper", "")),
            config={str(key): str(value) for key, value in (one.get("config") or {}).items()},
        )
        for one in representations or ()
    )


def with_mapper_ids(representations: Iterable[Mapping[str, Any]] | None) -> list[dict[str, Any]]:
    """The representations of mappers, each with an id and the members that Keycloak always shows."""
    return [
        {"id": new_id(), "protocol": "openid-connect", "consentRequired": False, "config": {}, **one}
        for one in representations or ()
    ]


@dataclass(frozen=True)
class GrantedScope:
    """The scopes of one token.

    Attributes:
        openid: Whether an id token was asked for.
        scopes: The client scopes.
        names: All names, as a refresh token keeps them.
    """

    openid: bool
    scopes: Sequence[ClientScope]
    names: str

    @property
    def shown(self) -> str:
        """The `scope` of the token and of the response."""
        named = [scope.name for scope in self.scopes if scope.shown]
        return " ".join([OPENID, *named] if self.openid else named)

    @property
    def offline(self) -> bool:
        """Whether the refresh token outlives the log-in."""
        return any(scope.name == OFFLINE_ACCESS for scope in self.scopes)


def grant_scope(client: Client, scopes: Mapping[str, ClientScope], requested: str) -> GrantedScope:
    """The scopes that a request gets: the client's default ones and those it may ask for.

    Args:
        client: Who asks.
        scopes: The realm's client scopes by name.
        requested: The `scope` of the request, names separated by spaces.

    Raises:
        IdentityError: 400 `invalid_scope` for a name that the client may not ask for.
    """
    words = list(dict.fromkeys(requested.split()))
    allowed = {OPENID, *client.default_scopes, *client.optional_scopes}
    if any(word not in allowed or (word != OPENID and word not in scopes) for word in words):
        raise oauth_error("invalid_scope", f"Invalid scopes: {requested}")
    optional = [word for word in words if word in client.optional_scopes]
    names = [name for name in dict.fromkeys([*client.default_scopes, *optional]) if name in scopes]
    openid = OPENID in words
    return GrantedScope(
        openid=openid,
        scopes=tuple(scopes[name] for name in names),
        names=" ".join([OPENID, *names] if openid else names),
    )
