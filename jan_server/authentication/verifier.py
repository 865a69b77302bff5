"""Verification of a realm's access tokens.

Source: RFC 7519 (JWT), RFC 8725 (best practices), contract/identity.md section 4.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jwt

CACHED_TOKENS = 10_000

KeyLookup = Callable[[str], Awaitable[Any | None]]
CurrentKey = Callable[[str], Any | None]


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


@dataclass(frozen=True, slots=True)
class VerifiedToken:
    """A token that was verified.

    Attributes:
        claims: What it says.
        until: When it ends, in Unix seconds, forgiven differences of clocks included.
        kid: The id of the key that signed it.
        key: That key.
    """

    claims: Mapping[str, Any]
    until: float
    kid: str
    key: Any


class TokenVerifier:
    """Checks tokens against a realm's keys.

    A token once checked is known until it expires, or its key is no longer the realm's.

    Args:
        key: Finds the key of an id, and may wait for it.
        rules: What tokens have to say.
        current: The key that has an id at this moment, without waiting; without it, keys never change.
    """

    def __init__(self, key: KeyLookup, rules: TokenRules, current: CurrentKey | None = None) -> None:
        self._key = key
        self._current = current
        self.rules = rules
        self._known: OrderedDict[str, VerifiedToken] = OrderedDict()

    async def verify(self, token: str) -> Mapping[str, Any]:
        """The claims of a valid token.

        Raises:
            InvalidToken: The token is malformed, not signed by the realm, expired, not yet
                valid, or meant for somebody else.
            KeysUnavailable: The realm's keys were never seen (raised by the key lookup).
        """
        return (await self.verified(token)).claims

    async def verified(self, token: str) -> VerifiedToken:
        """A valid token, and what it takes to ask later whether it still is (`holds`).

        Raises:
            InvalidToken: As `verify`.
            KeysUnavailable: As `verify`.
        """
        known = self._known.get(token)
        if known is not None:
            if self.holds(known):
                return known
            del self._known[token]
            if known.until <= time.time():
                raise InvalidToken("token expired")
        found = await self._check(token)
        self._known[token] = found
        if len(self._known) > CACHED_TOKENS:
            self._known.popitem(last=False)
        return found

    def holds(self, verified: VerifiedToken) -> bool:
        """Whether a verified token has not expired, and its key is the realm's still."""
        if verified.until <= time.time():
            return False
        return self._current is None or self._current(verified.kid) is verified.key

    async def _check(self, token: str) -> VerifiedToken:
        rules = self.rules
        try:
            header = jwt.get_unverified_header(token)
        except jwt.PyJWTError as failure:
            raise InvalidToken("invalid token") from failure
        if header.get("alg") not in rules.algorithms:
            raise InvalidToken("invalid token: its algorithm is not accepted")
        kid = str(header.get("kid", ""))
        key = await self._key(kid)
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
        return VerifiedToken(claims, float(claims["exp"]) + rules.skew_seconds, kid, key)

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
