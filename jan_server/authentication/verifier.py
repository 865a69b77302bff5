"""Verification of a realm's access tokens.

Source: RFC 7519 (JWT), RFC 8725 (best practices), contract/identity.md section 4.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jwt

CACHED_TOKENS = 10_000

KeyLookup = Callable[[str], Awaitable[Any | None]]


class InvalidToken(Exception):
    """A token that is refused; the text says why, in the contract's words."""


@dataclass(frozen=True, slots=True)
class TokenRules:
    """What a token has to say to be accepted.

    Attributes:
        issuers: Accepted values of `iss`.
        audience: Required member of `aud`, where the token has that claim; empty accepts any.
        authorized_parties: Accepted values of `azp`, where the token has it; empty accepts any.
        skew_seconds: How far clocks may differ.
        algorithms: Accepted signature algorithms; never `none`, never a shared-secret one.
        maximum_seconds: Longest accepted remaining life; 0 accepts any.
    """

    issuers: Sequence[str]
    audience: str = ""
    authorized_parties: Sequence[str] = ()
    skew_seconds: float = 60.0
    algorithms: Sequence[str] = ("RS256",)
    maximum_seconds: float = 0.0


class TokenVerifier:
    """Checks tokens against a realm's keys; a token once checked is known until it expires."""

    def __init__(self, key: KeyLookup, rules: TokenRules) -> None:
        self._key = key
        self.rules = rules
        self._known: dict[str, tuple[float, Mapping[str, Any]]] = {}

    async def verify(self, token: str) -> Mapping[str, Any]:
        """The claims of a valid token.

        Raises:
            InvalidToken: The token is malformed, not signed by the realm, expired, not yet
                valid, or meant for somebody else.
            KeysUnavailable: The realm's keys were never seen (raised by the key lookup).
        """
        known = self._known.get(token)
        if known is not None:
            if known[0] > time.time():
                return known[1]
            del self._known[token]
            raise InvalidToken("token expired")
        claims = await self._check(token)
        if len(self._known) >= CACHED_TOKENS:
            self._forget_some()
        self._known[token] = (float(claims["exp"]) + self.rules.skew_seconds, claims)
        return claims

    async def _check(self, token: str) -> Mapping[str, Any]:
        rules = self.rules
        try:
            header = jwt.get_unverified_header(token)
        except jwt.PyJWTError as failure:
            raise InvalidToken("invalid token") from failure
        if header.get("alg") not in rules.algorithms:
            raise InvalidToken("invalid token: its algorithm is not accepted")
        key = await self._key(str(header.get("kid", "")))
        if key is None:
            raise InvalidToken("invalid token: its signing key is unknown")
        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                key,
                algorithms=list(rules.algorithms),
                leeway=rules.skew_seconds,
                options={"require": ["exp", "sub"], "verify_aud": False, "verify_iat": False},
            )
        except jwt.ExpiredSignatureError as failure:
            raise InvalidToken("token expired") from failure
        except (jwt.PyJWTError, ValueError) as failure:
            raise InvalidToken("invalid token") from failure
        self._check_claims(claims)
        return claims

    def _check_claims(self, claims: Mapping[str, Any]) -> None:
        rules = self.rules
        if claims.get("iss") not in rules.issuers:
            raise InvalidToken("invalid token issuer")
        if rules.audience and "aud" in claims:
            audience = claims["aud"] if isinstance(claims["aud"], list) else [claims["aud"]]
            if rules.audience not in audience:
                raise InvalidToken("invalid token audience")
        if (
            rules.authorized_parties
            and claims.get("azp", rules.authorized_parties[0]) not in rules.authorized_parties
        ):
            raise InvalidToken("invalid token: its authorized party is not accepted")
        # A refresh or id token of the same realm is signed by the same key but opens nothing.
        if str(claims.get("typ", "Bearer")).lower() not in ("bearer", "at+jwt"):
            raise InvalidToken("invalid token: it is not an access token")
        if rules.maximum_seconds and claims["exp"] - time.time() > rules.maximum_seconds + rules.skew_seconds:
            raise InvalidToken("invalid token: it lives longer than allowed")

    def _forget_some(self) -> None:
        now = time.time()
        self._known = {token: entry for token, entry in self._known.items() if entry[0] > now}
        while len(self._known) >= CACHED_TOKENS:
            del self._known[next(iter(self._known))]
