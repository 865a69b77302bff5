"""Hashed passwords in Keycloak's words: `credentialData` and `secretData`, as its exports carry them."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import orjson

from jan_server.identity.errors import bad_request
from jan_server.identity.passwords import pbkdf2_hash

_PBKDF2 = {"pbkdf2": "sha1", "pbkdf2-sha256": "sha256", "pbkdf2-sha512": "sha512"}

# Far above what Keycloak has ever used (1 300 000 rounds of PBKDF2), and still compared within seconds.
MAX_ROUNDS = 5_000_000
MAX_PASSES = 64
MAX_MEMORY_KIB = 256 * 1024
MAX_LANES = 16
MAX_BYTES = 512
MIN_ARGON2_SALT, MIN_ARGON2_HASH = 8, 4


def imported_hash(body: Mapping[str, Any]) -> str:
    """The hash of a credential that Keycloak exported (`credentialData` and `secretData`).

    Raises:
        IdentityError: 400 when it is malformed or of an unknown kind.
    """
    try:
        data, secret = orjson.loads(body["credentialData"]), orjson.loads(body["secretData"])
        salt, digest = base64.b64decode(secret["salt"]), base64.b64decode(secret["value"])
        algorithm = str(data["algorithm"])
        most = MAX_ROUNDS if algorithm in _PBKDF2 else MAX_PASSES
        iterations = _within("hashIterations", data["hashIterations"], most)
        for name, part in (("salt", salt), ("value", digest)):
            _within(f"the length of {name}", len(part), MAX_BYTES)
        if algorithm in _PBKDF2:
            return pbkdf2_hash(_PBKDF2[algorithm], iterations, salt, digest)
        if algorithm == "argon2":
            more = {name: str(texts[0]) for name, texts in data["additionalParameters"].items()}
            memory = _within("memory", int(more["memory"]), MAX_MEMORY_KIB)
            lanes = _within("parallelism", int(more["parallelism"]), MAX_LANES)
            kind = more.get("type", "id")
            short = len(salt) < MIN_ARGON2_SALT or len(digest) < MIN_ARGON2_HASH
            if short or kind not in ("i", "d", "id") or memory < 8 * lanes:
                raise ValueError
            return (
                f"$argon2{kind}$v=19$m={memory},t={iterations},p={lanes}"
                f"${_unpadded(salt)}${_unpadded(digest)}"
            )
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError) as failure:
        raise bad_request("the hashed credential is malformed", field="credentials") from failure
    raise bad_request(f"passwords hashed by {algorithm[:32]!r} are not understood", field="credentials")


def _within(what: str, value: Any, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
        raise bad_request(f"credentials: {what} must be a whole number from 1 to {most}", field="credentials")
    return value


def hashed_credential(hashed: str) -> dict[str, str]:
    """The members `credentialData` and `secretData` of a password's hash, as Keycloak reads them."""
    _, kind, *rest = hashed.split("$")
    if kind.startswith("pbkdf2-"):
        algorithm = next(name for name, digest in _PBKDF2.items() if digest == kind.removeprefix("pbkdf2-"))
        rounds, salt, digest = rest
        iterations, more = int(rounds.removeprefix("i=")), {}
    else:
        _, parameters, salt, digest = rest
        salt, digest = _padded(salt), _padded(digest)
        numbers = dict(part.split("=") for part in parameters.split(","))
        algorithm, iterations = "argon2", int(numbers["t"])
        more = {
            "hashLength": [str(len(base64.b64decode(digest)))],
            "memory": [numbers["m"]],
            "type": [kind.removeprefix("argon2")],
            "version": ["1.3"],
            "parallelism": [numbers["p"]],
        }
    data = {"hashIterations": iterations, "algorithm": algorithm, "additionalParameters": more}
    secret = {"value": digest, "salt": salt, "additionalParameters": {}}
    return {"credentialData": orjson.dumps(data).decode(), "secretData": orjson.dumps(secret).decode()}


def _unpadded(data: bytes) -> str:
    return base64.b64encode(data).rstrip(b"=").decode()


def _padded(text: str) -> str:
    return text + "=" * (-len(text) % 4)
