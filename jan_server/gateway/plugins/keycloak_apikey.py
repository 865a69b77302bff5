"""keycloak-apikey: accepts API keys, which llm-api validates, and lets the gateway speak for their owner.

Source: contract/gateway.md, section 4.2. Beyond it: keys are also read from
`Authorization: Bearer sk_…`; a validator that fails is a 502 or 503 and not the caller's
fault; a request with neither token nor key is refused, unless the key is `optional`. Nothing is
cached, so a revoked key is refused from the next request on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import orjson

from jan_server.authentication.guard import KEY_MARK, bearer
from jan_server.authentication.key_owner import REFUSED_STATUSES, principal_of_owner
from jan_server.authentication.principal import Principal
from jan_server.gateway.entities import Plugin
from jan_server.gateway.exchange import Exchange
from jan_server.gateway.fields import Fields
from jan_server.gateway.plugins.jwt import missing_credential
from jan_server.gateway.plugins.kind import PluginKind, Surroundings
from jan_server.gateway.rejection import Reply
from jan_server.http.errors import ApiError, unauthorized

_MARK_BYTES = KEY_MARK.encode()

KEY_HEADERS = (b"x-api-key", b"apikey")
ANONYMOUS_HEADERS = (
    b"x-anonymous-consumer",
    b"x-consumer-id",
    b"x-consumer-custom-id",
    b"x-consumer-username",
)


@dataclass(frozen=True, slots=True)
class Config:
    """The plugin's settings, named as the contract names them; the time limit is in seconds.

    Attributes:
        optional: Whether requests without a key go on as they are. A token beside a key then is the
            service's to verify, and speaks for the caller.
    """

    validation_url: str
    validation_seconds: float
    hide_credentials: bool
    run_on_preflight: bool
    optional: bool


def read(fields: Fields) -> Config:
    """Read `config`."""
    config = Config(
        validation_url=fields.text("validation_url", "http://llm-api:8080/auth/validate-api-key"),
        validation_seconds=fields.whole("validation_timeout", 5000, least=1) / 1000,
        hide_credentials=fields.flag("hide_credentials", True),
        run_on_preflight=fields.flag("run_on_preflight", False),
        optional=fields.flag("optional", False),
    )
    if not config.validation_url.startswith(("http://", "https://")):
        raise fields.error("validation_url", "an http or https address is expected here")
    fields.end()
    return config


class KeycloakApiKey:
    """Finds the owner of a key; beside a token, both must speak for the same person."""

    def __init__(self, config: Config, surroundings: Surroundings) -> None:
        self._config = config
        self._call = surroundings.call
        self._refusals = surroundings.refusals
        # Every key is a key of the realm whose tokens are accepted.
        self._issuer = surroundings.credentials[0].key if surroundings.credentials else ""

    async def access(self, exchange: Exchange) -> Reply | None:
        """Validate the key and note whose it is."""
        if exchange.method == "OPTIONS" and not self._config.run_on_preflight:
            return None
        keys = presented_keys(exchange.given)
        if not keys:
            # A consumer without a principal is the anonymous one that the file asked for.
            if exchange.principal is None and exchange.consumer is None:
                self._refuse_keyless(exchange)
            return None
        if len(keys) > 1:
            raise conflicting_credentials()
        self._refusals.check(exchange.client_ip)
        owner = await self._owner(keys.pop(), exchange)
        token_principal = exchange.principal
        if token_principal is None and self._config.optional and _has_token(exchange.given):
            self._hide_key(exchange)
            return None
        if token_principal is None:
            exchange.principal = owner
            exchange.consumer = None
            for name in ANONYMOUS_HEADERS:
                exchange.remove_header(name)
            exchange.credential_id = owner.key_id or owner.subject
        elif token_principal.subject.lower() == owner.subject.lower():
            exchange.principal = united(token_principal, owner)
        else:
            raise conflicting_credentials()
        self._tell_upstream(exchange, owner)
        return None

    def _refuse_keyless(self, exchange: Exchange) -> None:
        """Refuse a request that nothing speaks for, where it needs a credential or shows a bad key."""
        if any(exchange.given.get(name, b"").strip() for name in KEY_HEADERS):
            if not (self._config.optional and _has_token(exchange.given)):
                raise invalid_key()
        elif not self._config.optional:
            raise missing_credential()

    async def _owner(self, key: str, exchange: Exchange) -> Principal:
        body = orjson.dumps({"api_key": key})
        try:
            status, answer = await self._call(
                self._config.validation_url, body, exchange.request_id, self._config.validation_seconds
            )
        except (ApiError, TimeoutError) as failure:
            raise _validator_away() from failure
        if status in REFUSED_STATUSES:
            self._refusals.count(exchange.client_ip)
            raise invalid_key()
        if status != 200:
            raise _validator_away()
        try:
            return principal_of_owner(orjson.loads(answer), self._issuer)
        except (ValueError, TypeError) as failure:
            raise ApiError(502, "Invalid validation response", code="upstream_error") from failure

    def _tell_upstream(self, exchange: Exchange, owner: Principal) -> None:
        self._hide_key(exchange)
        for name, value in (
            (b"x-user-id", owner.user_id),
            (b"x-user-subject", owner.subject),
            (b"x-user-email", owner.email),
            (b"x-user-username", owner.username),
        ):
            exchange.set_header(name, printable(value))

    def _hide_key(self, exchange: Exchange) -> None:
        if self._config.hide_credentials:
            for name in KEY_HEADERS:
                exchange.remove_header(name)
            if _bearer_key(exchange.given):
                exchange.remove_header(b"authorization")


def presented_keys(given: Mapping[bytes, bytes]) -> set[str]:
    """The keys of a request; what does not begin like a key is none, whatever its header."""
    if (
        b"x-api-key" not in given
        and b"apikey" not in given
        and _MARK_BYTES not in given.get(b"authorization", b"")
    ):
        return set()
    keys = {_bearer_key(given)}
    keys.update(given.get(name, b"").decode("latin-1").strip() for name in KEY_HEADERS)
    return {key for key in keys if key.startswith(KEY_MARK)}


def united(token: Principal, owner: Principal) -> Principal:
    """One person with a token and a key: the token wins, the scopes are united (contract, section 9)."""
    scopes = tuple(dict.fromkeys((*token.scopes, *owner.scopes)))
    return replace(token, scopes=scopes, user_id=owner.user_id, key_id=owner.key_id)


def conflicting_credentials() -> ApiError:
    """The 401 of credentials that speak for different people."""
    return unauthorized("conflicting credentials", code="conflicting_credentials")


def invalid_key() -> ApiError:
    """The 401 of a key that is not good."""
    return unauthorized("Invalid API key", code="invalid_api_key")


def printable(text: str) -> bytes:
    """A text as a header value: control characters, which would end the header, become spaces."""
    return "".join(letter if letter.isprintable() else " " for letter in text).encode()


def _has_token(given: Mapping[bytes, bytes]) -> bool:
    credential = bearer(given.get(b"authorization", b"").decode("latin-1"))
    return bool(credential) and not credential.startswith(KEY_MARK)


def _bearer_key(given: Mapping[bytes, bytes]) -> str:
    credential = bearer(given.get(b"authorization", b"").decode("latin-1"))
    return credential if credential.startswith(KEY_MARK) else ""


def _validator_away() -> ApiError:
    return ApiError(503, "API key validation service unavailable", code="unavailable")


def build(plugin: Plugin, surroundings: Surroundings) -> KeycloakApiKey:
    """Make the running plugin."""
    return KeycloakApiKey(plugin.config, surroundings)


KIND = PluginKind("keycloak-apikey", 1002, read, build, by_consumer=False)
