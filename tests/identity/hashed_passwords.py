"""Passwords as Keycloaks hash them, in the words of their exports; the password is `from keycloak`."""

from __future__ import annotations

import base64
import hashlib
import json
import os

from argon2.low_level import Type, hash_secret_raw


def argon2_credential() -> dict[str, str]:
    """As Keycloak 26 hashes."""
    salt = os.urandom(16)
    digest = hash_secret_raw(b"from keycloak", salt, 5, 7168, 1, 32, Type.ID)
    parameters = {
        "hashLength": ["32"],
        "memory": ["7168"],
        "type": ["id"],
        "version": ["1.3"],
        "parallelism": ["1"],
    }
    data = {"hashIterations": 5, "algorithm": "argon2", "additionalParameters": parameters}
    return _credential(data, salt, digest)


def pbkdf2_credential() -> dict[str, str]:
    """As Keycloak 24 hashes."""
    salt = os.urandom(16)
    digest = hashlib.pbkdf2_hmac("sha512", b"from keycloak", salt, 210_000, dklen=64)
    return _credential({"hashIterations": 210_000, "algorithm": "pbkdf2-sha512"}, salt, digest)


def _credential(data: dict[str, object], salt: bytes, digest: bytes) -> dict[str, str]:
    secret = {"value": base64.b64encode(digest).decode(), "salt": base64.b64encode(salt).decode()}
    return {"type": "password", "credentialData": json.dumps(data), "secretData": json.dumps(secret)}
