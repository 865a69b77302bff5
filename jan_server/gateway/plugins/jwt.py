"""jwt: accepts tokens that a realm signed, and lets the gateway speak for their subject.

Source: Kong 3.5's plugin of the same name; contract/gateway.md sections 4.1 and 4.2. Beyond
Kong: keys by JWKS (`jwks_uri`), `audience` and `authorized_parties`. Tokens are only ever
accepted with the public-key algorithm that the credential names.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from typing import Any

import jwt as pyjwt
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from jan_server.authentication.guard import KEY_MARK, bearer
from jan_server.authentication.jwks import KeySet, KeysUnavailable
from jan_server.authentication.outages import keys_unavailable
from jan_server.authentication.principal import Principal, principal_from_token
from jan_server.authentication.verifier import (
    CurrentKey,
    InvalidToken,
    KeyLookup,
    TokenRules,
    TokenVerifier,
    VerifiedToken,
)
from jan_server.gateway.entities import Consumer, JwtCredential, Plugin
from jan_server.gateway.exchange import Exchange
from jan_server.gateway.fields import Fields, KongFileError
from jan_server.gateway.plugins.kind import PluginKind, Surroundings
from jan_server.gateway.rejection import Reply
from jan_server.http.errors import ApiError, unauthorized

REMEMBERED_TOKENS = 10_000
KEY_PLUGIN = "keycloak-apikey"

_CHALLENGE = {"WWW-Authenticate": "Bearer"}


@dataclass(frozen=True, slots=True)
class Config:
    """The plugin's settings, named as Kong names them, and three of this gateway.

    Attributes:
        jwks_uri: Where the realm publishes its keys; they come before the credential's own key.
        audience: Required member of `aud`, where the token has that claim.
        authorized_parties: Accepted `azp`, where the token has it; none accepts any.
    """

    uri_param_names: tuple[str, ...]
    cookie_names: tuple[str, ...]
    header_names: tuple[str, ...]
    anonymous: str
    run_on_preflight: bool
    maximum_expiration: int
    jwks_uri: str
    jwks_refresh_seconds: float
    audience: str
    authorized_parties: tuple[str, ...]


def read(fields: Fields) -> Config:
    """Read `config`."""
    config = Config(
        uri_param_names=fields.texts("uri_param_names", ("jwt",)),
        cookie_names=fields.texts("cookie_names"),
        header_names=fields.texts("header_names", ("authorization",)),
        anonymous=fields.text("anonymous"),
        run_on_preflight=fields.flag("run_on_preflight", True),
        maximum_expiration=fields.whole("maximum_expiration", 0, most=31_536_000),
        jwks_uri=fields.text("jwks_uri"),
        jwks_refresh_seconds=fields.number("jwks_refresh_seconds", 300, above=0),
        audience=fields.text("audience"),
        authorized_parties=fields.texts("authorized_parties"),
    )
    # `exp` must be there and `nbf` is checked where it is there: Keycloak's tokens have none.
    fields.texts("claims_to_verify", one_of=("exp", "nbf"))
    fields.text("key_claim_name", "iss", one_of=("iss",))
    if fields.flag("secret_is_base64", False):
        raise fields.error("secret_is_base64", "not supported: tokens signed with a secret are not accepted")
    if config.jwks_uri and not config.jwks_uri.startswith(("http://", "https://")):
        raise fields.error("jwks_uri", "an http or https address is expected here")
    fields.end()
    return config


def check(
    config: Config, consumers: Mapping[str, Consumer], credentials: Sequence[JwtCredential], place: str
) -> None:
    """Check that there is a key to verify with, and that the anonymous consumer exists."""
    if config.anonymous and not _named(config.anonymous, consumers):
        raise KongFileError(f"{place}.config.anonymous", f"there is no consumer {config.anonymous!r}")
    if not credentials:
        raise KongFileError(place, "jwt needs at least one credential in a consumer's jwt_secrets")
    for credential in credentials:
        if not credential.public_key and not config.jwks_uri:
            problem = f"the credential {credential.key!r} has no rsa_public_key and jwt no config.jwks_uri"
            raise KongFileError(place, problem)


@dataclass(frozen=True, slots=True)
class Accepted:
    """A token that was verified, and by whom."""

    verifier: TokenVerifier
    token: VerifiedToken
    principal: Principal
    consumer: Consumer

    @property
    def holds(self) -> bool:
        """Whether it has not expired, and its key was not withdrawn."""
        return self.verifier.holds(self.token)


class Jwt:
    """Verifies the token of a request.

    A request without a token is refused, unless its route takes API keys as well: then that
    plugin decides. A token that is there must be good, whatever else the request carries.
    """

    def __init__(self, config: Config, surroundings: Surroundings) -> None:
        self._config = config
        self._refusals = surroundings.refusals
        self._headers = tuple(name.lower().encode() for name in config.header_names)
        self._anonymous = _named(config.anonymous, surroundings.consumers)
        self._verifiers: dict[str, tuple[TokenVerifier, Consumer]] = {}
        for credential in surroundings.credentials:
            rules = TokenRules(
                issuers=(credential.key,),
                audience=config.audience,
                authorized_parties=config.authorized_parties,
                skew_seconds=0,
                algorithms=(credential.algorithm,),
                maximum_seconds=config.maximum_expiration,
            )
            lookup, current = _keys(config, credential, surroundings)
            verifier = TokenVerifier(lookup, rules, current)
            self._verifiers[credential.key] = (verifier, surroundings.consumers[credential.consumer])
        self._accepted: OrderedDict[str, Accepted] = OrderedDict()
        # The whole header, so that a known caller costs one look-up.
        self._accepted_headers: OrderedDict[bytes, Accepted] = OrderedDict()
        self._only_header = (
            b"authorization" if self._headers == (b"authorization",) and not config.cookie_names else b""
        )

    async def access(self, exchange: Exchange) -> Reply | None:
        """Verify the token and note whom it speaks for."""
        if exchange.method == "OPTIONS" and not self._config.run_on_preflight:
            return None
        if self._anonymous is None:
            await self._authenticate(exchange)
        elif exchange.principal is None:
            try:
                await self._authenticate(exchange)
            except ApiError:
                exchange.principal = None
            if exchange.principal is None:
                become_anonymous(exchange, self._anonymous)
        return None

    async def _authenticate(self, exchange: Exchange) -> None:
        header = exchange.given.get(self._only_header) if not exchange.query else None
        if header is not None:
            known = self._accepted_headers.get(header)
            if known is not None and known.holds:
                self._note(exchange, known)
                return
        token = self._token(exchange)
        if not token:
            if KEY_PLUGIN in exchange.plan.names:
                return
            raise missing_credential()
        accepted = self._accepted.get(token)
        if accepted is None or not accepted.holds:
            accepted = await self._looked_at(token, exchange.client_ip)
        if header is not None:
            self._accepted_headers[header] = accepted
            if len(self._accepted_headers) > REMEMBERED_TOKENS:
                self._accepted_headers.popitem(last=False)
        self._note(exchange, accepted)

    async def _looked_at(self, token: str, address: str) -> Accepted:
        self._refusals.check(address)
        try:
            return await self._verify(token)
        except ApiError as refusal:
            if refusal.status == 401:
                self._refusals.count(address)
            raise

    def _note(self, exchange: Exchange, accepted: Accepted) -> None:
        exchange.principal = accepted.principal
        exchange.consumer = accepted.consumer
        exchange.credential_id = accepted.principal.subject

    def _token(self, exchange: Exchange) -> str:
        config = self._config
        if exchange.query and config.uri_param_names:
            found = [value for name, value in exchange.query_parameters() if name in config.uri_param_names]
            if len(found) > 1:
                raise unauthorized("Multiple tokens provided", code="invalid_token")
            if found and found[0]:
                return found[0]
        if config.cookie_names and (written := exchange.given.get(b"cookie")):
            cookies = _cookies(written)
            for name in config.cookie_names:
                if name in cookies:
                    return cookies[name].value
        for header in self._headers:
            token = bearer(exchange.given.get(header, b"").decode("latin-1"))
            if token and not token.startswith(KEY_MARK):
                return token
        return ""

    async def _verify(self, token: str) -> Accepted:
        self._accepted.pop(token, None)
        verifier, consumer = self._verifier(token)
        try:
            verified = await verifier.verified(token)
        except InvalidToken as failure:
            code = "token_expired" if "expired" in str(failure) else "invalid_token"
            raise ApiError(401, str(failure), code=code, headers=_CHALLENGE) from failure
        except KeysUnavailable as failure:
            raise keys_unavailable() from failure
        accepted = Accepted(verifier, verified, principal_from_token(verified.claims), consumer)
        self._accepted[token] = accepted
        if len(self._accepted) > REMEMBERED_TOKENS:
            self._accepted.popitem(last=False)
        return accepted

    def _verifier(self, token: str) -> tuple[TokenVerifier, Consumer]:
        try:
            # Only to learn which key to verify with; nothing is believed yet.
            issuer = pyjwt.decode(token, options={"verify_signature": False}).get("iss")
        except (pyjwt.PyJWTError, ValueError) as failure:
            raise ApiError(401, "invalid token", code="invalid_token", headers=_CHALLENGE) from failure
        if not isinstance(issuer, str) or not issuer:
            raise ApiError(401, "No mandatory 'iss' in claims", code="invalid_token", headers=_CHALLENGE)
        found = self._verifiers.get(issuer)
        if found is None:
            words = "No credentials found for given 'iss'"
            raise ApiError(401, words, code="invalid_token", headers=_CHALLENGE)
        return found


def missing_credential() -> ApiError:
    """The 401 of a request without any credential on a protected route."""
    return ApiError(401, "Unauthorized", code="missing_credential", headers=_CHALLENGE)


def become_anonymous(exchange: Exchange, consumer: Consumer) -> None:
    """Go on as the anonymous consumer, and tell the upstream so."""
    exchange.consumer = consumer
    for name, value in (
        (b"x-consumer-id", consumer.id),
        (b"x-consumer-custom-id", consumer.custom_id),
        (b"x-consumer-username", consumer.name),
        (b"x-anonymous-consumer", "true"),
    ):
        if value:
            exchange.set_header(name, value.encode())


def _named(reference: str, consumers: Mapping[str, Consumer]) -> Consumer | None:
    """A consumer by name or id."""
    found = consumers.get(reference)
    if found is None and reference:
        found = next((each for each in consumers.values() if each.id == reference), None)
    return found


def _cookies(written: bytes) -> SimpleCookie:
    try:
        return SimpleCookie(written.decode("latin-1"))
    except CookieError:
        return SimpleCookie()


def _keys(
    config: Config, credential: JwtCredential, surroundings: Surroundings
) -> tuple[KeyLookup, CurrentKey | None]:
    """Finds the key of a credential: among the published ones, else the one in the file.

    While the keys were never fetched, the file's own key is used, so that a token can be
    checked before the identity server is up; once they are known, a key that is no longer
    published is no longer accepted.
    """
    own: Any = load_pem_public_key(credential.public_key.encode()) if credential.public_key else None
    if not config.jwks_uri:

        async def of_file(kid: str) -> Any | None:
            return own

        return of_file, None
    published: KeySet = surroundings.shared.setdefault(
        ("jwks", config.jwks_uri, config.jwks_refresh_seconds),
        KeySet(surroundings.client, config.jwks_uri, refresh_seconds=config.jwks_refresh_seconds),
    )

    async def of_realm(kid: str) -> Any | None:
        try:
            return await published.key(kid)
        except KeysUnavailable:
            if own is None or published.fetched:
                raise
            return own

    def of_realm_now(kid: str) -> Any | None:
        known = published.current(kid)
        return known if published.fetched else own

    return of_realm, of_realm_now


def build(plugin: Plugin, surroundings: Surroundings) -> Jwt:
    """Make the running plugin; entities with equal settings share one, and what it remembers."""
    key = ("jwt", plugin.config)
    if key not in surroundings.shared:
        surroundings.shared[key] = Jwt(plugin.config, surroundings)
    shared: Jwt = surroundings.shared[key]
    return shared


KIND = PluginKind("jwt", 1450, read, build, by_consumer=False, check=check)
