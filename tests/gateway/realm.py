"""A realm of the tests' own: it signs tokens and publishes its keys, as the identity server does."""

from __future__ import annotations

import base64
import time
import uuid
from typing import Any

import jwt
import orjson
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from tests.gateway.serving import answer, lifespan


class Realm:
    """Signs tokens with its newest key; `rotate` makes a new one and forgets the old."""

    def __init__(self, issuer: str = "http://localhost:8085/realms/jan") -> None:
        self.issuer = issuer
        self.key: RSAPrivateKey
        self.kid = ""
        self.published = 0
        self.rotate()

    def rotate(self) -> None:
        self.key = generate_private_key(65537, 2048)
        self.kid = uuid.uuid4().hex

    @property
    def public_pem(self) -> str:
        return self.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()

    @property
    def private_line(self) -> str:
        """The private key as JAN_REALM_SIGNING_KEY wants it."""
        pem = self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return base64.b64encode(pem).decode()

    def claims(self, **changes: Any) -> dict[str, Any]:
        now = int(time.time())
        claims = {
            "iss": self.issuer,
            "sub": "user-1",
            "aud": "account",
            "azp": "jan-client",
            "typ": "Bearer",
            "iat": now,
            "exp": now + 300,
            "preferred_username": "ada",
            "email": "ada@example.org",
            "realm_access": {"roles": ["user"]},
            "scope": "profile email",
            **changes,
        }
        return {name: value for name, value in claims.items() if value is not None}

    def token(self, **changes: Any) -> str:
        return jwt.encode(self.claims(**changes), self.key, algorithm="RS256", headers={"kid": self.kid})

    def bearer(self, **changes: Any) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token(**changes)}"}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Publishes the keys."""
        if scope["type"] == "lifespan":
            await lifespan(receive, send)
            return
        self.published += 1
        key = orjson.loads(jwt.algorithms.RSAAlgorithm.to_jwk(self.key.public_key()))
        await answer(send, orjson.dumps({"keys": [{**key, "kid": self.kid, "use": "sig", "alg": "RS256"}]}))
