"""Claims: what protocol mappers put into tokens.

Each of Keycloak's mappers that the realm file uses, and those that operators commonly add, is
one function below; a kind that is not known puts nothing into tokens.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import orjson

from jan_server.identity.clients import Client
from jan_server.identity.realm import Realm
from jan_server.identity.roles import Role
from jan_server.identity.scopes import GrantedScope, ProtocolMapper
from jan_server.identity.subject import Subject

logger = logging.getLogger("jan.identity.claims")

TokenKind = Literal["access", "id", "userinfo"]

_SEPARATOR = re.compile(r"(?<!\\)\.")


@dataclass(frozen=True, slots=True)
class Occasion:
    """What mappers look at.

    Attributes:
        realm: The realm.
        client: The client that the token is for.
        subject: Whom it speaks of.
        scope: Its scopes.
        notes: Facts of the session, texts by name (`AUTH_TIME`, `acr`).
        audiences: The only clients that the token is for; none leaves it as it is.
    """

    realm: Realm
    client: Client
    subject: Subject
    scope: GrantedScope
    notes: Mapping[str, str]
    audiences: Sequence[str] = ()

    def roles(self) -> Sequence[Role]:
        """The roles that the client may carry on, and that the token's audiences understand."""
        roles = self.subject.roles
        if not self.client.full_scope:
            roles = [role for role in roles if role.client == self.client.id]
        if self.audiences:
            meant = {self.realm.clients[name].id for name in self.audiences}
            roles = [role for role in roles if role.client is None or role.client in meant]
        return roles


def mapped_claims(occasion: Occasion, kind: TokenKind) -> dict[str, Any]:
    """The claims that the mappers of the client and of its scopes put into one kind of token."""
    claims: dict[str, Any] = {}
    for mapper in _mappers(occasion):
        apply = _MAPPERS.get(mapper.kind)
        if apply is None:
            logger.debug("mapper %s is of an unknown kind: %s", mapper.name, mapper.kind)
        elif mapper.wants(kind):
            apply(claims, mapper, occasion)
    return claims


def _mappers(occasion: Occasion) -> Iterable[ProtocolMapper]:
    for scope in occasion.scope.scopes:
        yield from scope.mappers
    yield from occasion.client.mappers


def put(claims: dict[str, Any], path: str, value: Any) -> None:
    """Put a value at a path such as `realm_access.roles`; a back slash keeps a dot within a name."""
    *parents, name = [part.replace("\\.", ".") for part in _SEPARATOR.split(path)]
    for parent in parents:
        inner = claims.setdefault(parent, {})
        if not isinstance(inner, dict):
            return
        claims = inner
    claims[name] = value


def _typed(texts: Sequence[str], mapper: ProtocolMapper) -> Any:
    """The value of a claim in the mapper's JSON type; None where there is nothing to say."""
    values = [value for text in texts if (value := _json_value(text, mapper)) is not None]
    if mapper.config.get("multivalued") == "true":
        return values or None
    return values[0] if values else None


def _json_value(text: str, mapper: ProtocolMapper) -> Any:
    kind = mapper.config.get("jsonType.label", "String")
    try:
        if kind == "boolean":
            return text.lower() == "true"
        if kind in ("long", "int"):
            return int(text)
        if kind == "JSON":
            return orjson.loads(text)
    except ValueError:
        logger.warning("mapper %s: a value is not of the type %s", mapper.name, kind)
        return None
    return text


def _attribute(claims: dict[str, Any], mapper: ProtocolMapper, occasion: Occasion) -> None:
    name = mapper.config.get("user.attribute", "")
    texts = occasion.subject.attribute(name, aggregate=mapper.config.get("aggregate.attrs") == "true")
    value = _typed(texts, mapper)
    if value is not None:
        put(claims, mapper.config.get("claim.name", name), value)


def _full_name(claims: dict[str, Any], mapper: ProtocolMapper, occasion: Occasion) -> None:
    user = occasion.subject.user
    if parts := [part for part in (user.first_name, user.last_name) if part]:
        claims["name"] = " ".join(parts)


def _groups(claims: dict[str, Any], mapper: ProtocolMapper, occasion: Occasion) -> None:
    paths = occasion.subject.group_paths
    full = mapper.config.get("full.path", "true") == "true"
    put(
        claims,
        mapper.config.get("claim.name", "groups"),
        paths if full else [path.rpartition("/")[2] for path in paths],
    )


def _realm_roles(claims: dict[str, Any], mapper: ProtocolMapper, occasion: Occasion) -> None:
    prefix = mapper.config.get("usermodel.realmRoleMapping.rolePrefix", "")
    names = sorted(prefix + role.name for role in occasion.roles() if role.client is None)
    if names:
        put(claims, mapper.config.get("claim.name", "realm_access.roles"), names)


def _client_roles(claims: dict[str, Any], mapper: ProtocolMapper, occasion: Occasion) -> None:
    only = mapper.config.get("usermodel.clientRoleMapping.clientId", "")
    prefix = mapper.config.get("usermodel.clientRoleMapping.rolePrefix", "")
    path = mapper.config.get("claim.name", "resource_access.${client_id}.roles")
    for client_id, names in roles_by_client(occasion).items():
        if only in ("", client_id):
            put(
                claims,
                path.replace("${client_id}", client_id.replace(".", "\\.")),
                sorted(prefix + name for name in names),
            )


def roles_by_client(occasion: Occasion) -> dict[str, list[str]]:
    """Names of client roles by the name of their client."""
    found: dict[str, list[str]] = {}
    for role in occasion.roles():
        if role.client and (client := occasion.realm.clients_by_id.get(role.client)):
            found.setdefault(client.client_id, []).append(role.name)
    return dict(sorted(found.items()))


def _audience_of_roles(claims: dict[str, Any], mapper: ProtocolMapper, occasion: Occasion) -> None:
    for client_id in roles_by_client(occasion):
        if client_id != occasion.client.client_id:
            _add_audience(claims, client_id)


def _audience(claims: dict[str, Any], mapper: ProtocolMapper, occasion: Occasion) -> None:
    name = mapper.config.get("included.client.audience") or mapper.config.get("included.custom.audience")
    if name:
        _add_audience(claims, name)


def _add_audience(claims: dict[str, Any], name: str) -> None:
    audience = claims.setdefault("aud", [])
    if name not in audience:
        audience.append(name)


def _allowed_origins(claims: dict[str, Any], mapper: ProtocolMapper, occasion: Occasion) -> None:
    if occasion.client.web_origins:
        claims["allowed-origins"] = list(occasion.client.web_origins)


def _acr(claims: dict[str, Any], mapper: ProtocolMapper, occasion: Occasion) -> None:
    claims["acr"] = occasion.notes.get("acr", "1")


def _session_note(claims: dict[str, Any], mapper: ProtocolMapper, occasion: Occasion) -> None:
    note = occasion.notes.get(mapper.config.get("user.session.note", ""))
    value = _typed([note], mapper) if note is not None else None
    if value is not None:
        put(claims, mapper.config.get("claim.name", ""), value)


def _subject(claims: dict[str, Any], mapper: ProtocolMapper, occasion: Occasion) -> None:
    claims["sub"] = occasion.subject.user.id


def _hard_coded(claims: dict[str, Any], mapper: ProtocolMapper, occasion: Occasion) -> None:
    value = _typed([mapper.config.get("claim.value", "")], mapper)
    if value is not None:
        put(claims, mapper.config.get("claim.name", ""), value)


_MAPPERS: Mapping[str, Callable[[dict[str, Any], ProtocolMapper, Occasion], None]] = {
    "oidc-usermodel-attribute-mapper": _attribute,
    "oidc-usermodel-property-mapper": _attribute,
    "oidc-full-name-mapper": _full_name,
    "oidc-group-membership-mapper": _groups,
    "oidc-usermodel-realm-role-mapper": _realm_roles,
    "oidc-usermodel-client-role-mapper": _client_roles,
    "oidc-audience-resolve-mapper": _audience_of_roles,
    "oidc-audience-mapper": _audience,
    "oidc-allowed-origins-mapper": _allowed_origins,
    "oidc-acr-mapper": _acr,
    "oidc-usersessionmodel-note-mapper": _session_note,
    "oidc-sub-mapper": _subject,
    "oidc-hardcoded-claim-mapper": _hard_coded,
}
