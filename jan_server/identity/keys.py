"""Signing keys of a realm: how they are read, named, published and used.

A key's id is the base64url SHA-256 of its public part (SubjectPublicKeyInfo), as in Keycloak,
so the same key has the same `kid` on both issuers.
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import jwt
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey, generate_private_key
from cryptography.x509.oid import NameOID

KEY_BITS = 2048
CERTIFICATE_DAYS = 3650

VERIFIED_TOKENS = 1000
"""How many tokens whose signature was found good are remembered, so that it is checked once."""

KeyStatus = Literal["ACTIVE", "PASSIVE", "DISABLED"]


def read_private_key(text: str) -> RSAPrivateKey:
    """Read an RSA private key from PEM, or from base64 (one line) of PEM or of PKCS #8.

    Raises:
        ValueError: The text is none of these, or the key is not RSA of at least 2048 bits.
    """
    try:
        data = text.strip().encode("ascii")
        if not data.startswith(b"-----"):
            data = base64.b64decode(data, validate=True)
        key = (
            serialization.load_pem_private_key(data, password=None)
            if data.lstrip().startswith(b"-----")
            else serialization.load_der_private_key(data, password=None)
        )
    except (ValueError, TypeError, binascii.Error, UnsupportedAlgorithm) as failure:
        raise ValueError("not a private key: it must be PEM, or PEM in base64 on one line") from failure
    if not isinstance(key, RSAPrivateKey) or key.key_size < KEY_BITS:
        raise ValueError(f"not an RSA private key of at least {KEY_BITS} bits")
    return key


def new_private_key() -> RSAPrivateKey:
    """Generate an RSA key; takes about a tenth of a second of CPU."""
    return generate_private_key(public_exponent=65537, key_size=KEY_BITS)


def private_pem(key: RSAPrivateKey) -> str:
    """The key as PKCS #8 PEM."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def public_der(key: RSAPublicKey) -> bytes:
    """The public part as SubjectPublicKeyInfo in DER."""
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def key_id(key: RSAPublicKey) -> str:
    """The `kid` that Keycloak gives this key."""
    return _base64url(hashlib.sha256(public_der(key)).digest())


def self_signed_certificate(key: RSAPrivateKey, realm: str) -> bytes:
    """A certificate that carries the public key to clients that want `x5c`; DER."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, realm)])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(minutes=5))
        .not_valid_after(now + dt.timedelta(days=CERTIFICATE_DAYS))
        .sign(key, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.DER)


@dataclass(frozen=True)
class SigningKey:
    """One RSA key of a realm.

    Attributes:
        kid: Its id.
        private: The key itself.
        certificate: A self-signed certificate of it, DER.
        status: ACTIVE signs, PASSIVE only verifies, DISABLED does neither.
        priority: The active key with the highest priority signs.
        provider_id: The id of the component that brought it.
    """

    kid: str
    private: RSAPrivateKey
    certificate: bytes
    status: KeyStatus
    priority: int
    provider_id: str

    @cached_property
    def public(self) -> RSAPublicKey:
        """The public part."""
        return self.private.public_key()

    @cached_property
    def jwk(self) -> dict[str, Any]:
        """The public part as a JSON Web Key, with the members that Keycloak publishes."""
        numbers = self.public.public_numbers()
        return {
            "kid": self.kid,
            "kty": "RSA",
            "alg": "RS256",
            "use": "sig",
            "x5c": [base64.b64encode(self.certificate).decode()],
            "x5t": _base64url(hashlib.sha1(self.certificate, usedforsecurity=False).digest()),
            "x5t#S256": _base64url(hashlib.sha256(self.certificate).digest()),
            "n": _base64url(numbers.n.to_bytes((numbers.n.bit_length() + 7) // 8)),
            "e": _base64url(numbers.e.to_bytes((numbers.e.bit_length() + 7) // 8)),
        }


@dataclass(frozen=True)
class KeyRing:
    """The keys of a realm: RSA ones for tokens that others read, one secret for its own.

    Attributes:
        keys: RSA keys, the one that signs first.
        secret: The HMAC key of refresh tokens and of log-in forms; nobody else reads those.
        secret_id: The `kid` of that secret.
    """

    keys: Sequence[SigningKey]
    secret: bytes = field(repr=False)
    secret_id: str
    _verified: dict[str, dict[str, Any]] = field(default_factory=dict, repr=False)

    @property
    def active(self) -> SigningKey:
        """The key that signs."""
        return self.keys[0]

    @cached_property
    def jwks(self) -> dict[str, Any]:
        """The JSON Web Key Set: every key that may have signed a token that is still good."""
        return {"keys": [key.jwk for key in self.keys if key.status != "DISABLED"]}

    def sign(self, claims: Mapping[str, Any]) -> str:
        """Sign a token for others: RS256."""
        return jwt.encode(
            dict(claims), self.active.private, algorithm="RS256", headers={"kid": self.active.kid}
        )

    def verify(self, token: str) -> dict[str, Any] | None:
        """The claims of a token that `sign` made and that has not run out; None for any other."""
        known = self._verified.get(token)
        if known is not None:
            return known if known["exp"] > time.time() else None
        try:
            kid = jwt.get_unverified_header(token).get("kid")
            key = next(key for key in self.keys if key.kid == kid and key.status != "DISABLED")
            claims: dict[str, Any] = jwt.decode(
                token,
                key.public,
                algorithms=["RS256"],
                options={"verify_aud": False, "require": ["exp", "iat"]},
            )
        except (jwt.InvalidTokenError, StopIteration):
            return None
        if len(self._verified) >= VERIFIED_TOKENS:
            self._verified.clear()
        self._verified[token] = claims
        return claims

    def seal(self, claims: Mapping[str, Any]) -> str:
        """Sign a token that only this issuer reads: HS512."""
        return jwt.encode(dict(claims), self.secret, algorithm="HS512", headers={"kid": self.secret_id})

    def unseal(self, token: str, *, expired: bool = False) -> dict[str, Any] | None:
        """The claims of a token that `seal` made; None for any other.

        Args:
            token: The token.
            expired: Whether a token that has run out is read as well.
        """
        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                self.secret,
                algorithms=["HS512"],
                options={"verify_aud": False, "verify_exp": not expired, "require": ["typ"]},
            )
        except jwt.InvalidTokenError:
            return None
        return claims


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
