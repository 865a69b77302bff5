"""The signed header in which identity travels between the gateway and the services.

The gateway verifies a credential once and signs the principal into `X-Jan-Identity`, a JWT
(HS256) that lives a minute; a service verifies it and believes no other header (design,
section 4).
"""

from __future__ import annotations

import time

import jwt

from jan_server.authentication.principal import Principal
from jan_server.authentication.verifier import InvalidToken

HEADER = "X-Jan-Identity"
HEADER_BYTES = HEADER.lower().encode()
LIFETIME_SECONDS = 60
MINIMUM_SECRET_BYTES = 32

_ALGORITHM = "HS256"
_AUDIENCE = "jan-internal"
_CACHED = 10_000


class IdentitySigner:
    """Signs and verifies the header with one shared secret.

    Signed values are kept for half their life and verified ones until they expire, so a busy
    caller costs a dictionary look-up.

    Raises:
        ValueError: The secret is shorter than 32 bytes.
    """

    def __init__(self, secret: str) -> None:
        if len(secret.encode()) < MINIMUM_SECRET_BYTES:
            raise ValueError("the identity header secret needs at least 32 bytes; `jan quickstart` makes one")
        self._secret = secret
        self._signed: dict[Principal, tuple[float, str]] = {}
        self._verified: dict[str, tuple[float, Principal]] = {}

    def sign(self, principal: Principal) -> str:
        """The header value for this principal."""
        now = time.time()
        known = self._signed.get(principal)
        if known is not None and known[0] > now:
            return known[1]
        value = jwt.encode(
            {"aud": _AUDIENCE, "exp": int(now) + LIFETIME_SECONDS, "principal": principal.to_claims()},
            self._secret,
            algorithm=_ALGORITHM,
        )
        if len(self._signed) >= _CACHED:
            self._signed.clear()
        self._signed[principal] = (now + LIFETIME_SECONDS / 2, value)
        return value

    def verify(self, value: str) -> Principal:
        """The principal that a header value speaks for.

        Raises:
            InvalidToken: The value was not signed with this secret, or is too old.
        """
        known = self._verified.get(value)
        if known is not None and known[0] > time.time():
            return known[1]
        try:
            claims = jwt.decode(
                value,
                self._secret,
                algorithms=[_ALGORITHM],
                audience=_AUDIENCE,
                options={"require": ["exp", "aud", "principal"]},
            )
            principal = Principal.from_claims(claims["principal"])
        except (jwt.PyJWTError, TypeError, AttributeError) as failure:
            raise InvalidToken("invalid identity header") from failure
        if len(self._verified) >= _CACHED:
            self._verified.clear()
        self._verified[value] = (float(claims["exp"]), principal)
        return principal
