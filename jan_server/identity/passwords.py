"""Passwords: hashed with Argon2id, off the event loop.

The parameters are Keycloak's own (26 and newer), so a hash may move between the two without
anybody choosing a new password. Hashes of older Keycloaks (PBKDF2) are accepted and replaced
at the next log-in. Source: RFC 9106 (Argon2), OWASP's password storage cheat sheet.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import os
import re
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import argon2
from argon2.exceptions import InvalidHashError, VerificationError

from jan_server.identity.errors import IdentityError

MEMORY_KIB = 7168
PASSES = 5
LANES = 1
HASH_BYTES = 32
SALT_BYTES = 16

MAX_LENGTH = 1024
"""Longer passwords are refused, so that nobody makes the server hash megabytes."""

HASHING_NICENESS = 5

_PBKDF2 = re.compile(r"\$pbkdf2-(sha1|sha256|sha512)\$i=(\d{1,8})\$([A-Za-z0-9+/=]+)\$([A-Za-z0-9+/=]+)\Z")

_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a comparison found.

    Attributes:
        good: Whether the password is the right one.
        stale: Whether its hash should be made anew, with today's parameters.
    """

    good: bool
    stale: bool = False


class PasswordHasher:
    """Hashes and compares passwords in threads of its own; close it with the app."""

    def __init__(self) -> None:
        self._argon2 = argon2.PasswordHasher(
            time_cost=PASSES,
            memory_cost=MEMORY_KIB,
            parallelism=LANES,
            hash_len=HASH_BYTES,
            salt_len=SALT_BYTES,
        )
        # A core stays free for everything else, and the scheduler lets everything else go first.
        self._threads = ThreadPoolExecutor(
            max_workers=max(1, (os.cpu_count() or 2) - 1),
            thread_name_prefix="password",
            initializer=_give_way,
        )
        # Compared with when there is no user, so that an unknown name takes as long as a known one.
        self._nobody = self._argon2.hash(os.urandom(16).hex())

    async def hash(self, password: str) -> str:
        """Hash a password."""
        return await self._off_loop(lambda: self._argon2.hash(password))

    async def verify(self, password: str, hashed: str | None) -> Verdict:
        """Compare a password with a hash; None takes as long and is never right."""
        return await self._off_loop(lambda: self._compare(password, hashed))

    def close(self) -> None:
        """End the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _compare(self, password: str, hashed: str | None) -> Verdict:
        if len(password) > MAX_LENGTH:
            return Verdict(good=False)
        if hashed is not None and hashed.startswith("$pbkdf2-"):
            return Verdict(good=_pbkdf2_matches(password, hashed), stale=True)
        try:
            self._argon2.verify(hashed or self._nobody, password)
        except (VerificationError, InvalidHashError):
            return Verdict(good=False)
        return Verdict(good=hashed is not None, stale=self._argon2.check_needs_rehash(hashed or self._nobody))

    async def _off_loop(self, work: Callable[[], _Result]) -> _Result:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)


def _give_way() -> None:
    """Lower the priority of this thread, where threads have one of their own."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), HASHING_NICENESS)


def pbkdf2_hash(algorithm: str, iterations: int, salt: bytes, digest: bytes) -> str:
    """A PBKDF2 hash of Keycloak's in the form that `PasswordHasher.verify` reads.

    Args:
        algorithm: `sha1`, `sha256` or `sha512`.
        iterations: How often it was hashed.
        salt: The salt.
        digest: The hash itself.
    """
    salt_text, digest_text = (base64.b64encode(part).decode() for part in (salt, digest))
    return f"$pbkdf2-{algorithm}$i={iterations}${salt_text}${digest_text}"


def _pbkdf2_matches(password: str, hashed: str) -> bool:
    found = _PBKDF2.match(hashed)
    if found is None:
        return False
    algorithm, iterations, salt_text, digest_text = found.groups()
    try:
        salt, digest = base64.b64decode(salt_text), base64.b64decode(digest_text)
        made = hashlib.pbkdf2_hmac(algorithm, password.encode(), salt, int(iterations), dklen=len(digest))
    except ValueError:  # a hash that was stored before hashes were checked
        return False
    return hmac.compare_digest(made, digest)


def check_policy(policy: str, password: str, *, username: str, email: str) -> None:
    """Hold a new password against the realm's policy, in Keycloak's words (`length(8) and digits(1)`).

    Raises:
        IdentityError: 400 that says what is missing.
    """
    if not password:
        raise IdentityError(400, {"error": "Empty password not allowed"})
    if len(password) > MAX_LENGTH:
        raise _refused("invalidPasswordMaxLengthMessage", f"must be at most {MAX_LENGTH} characters long")
    counts: dict[str, tuple[Callable[[str], bool], str]] = {
        "digits": (str.isdigit, "digits"),
        "upperCase": (str.isupper, "upper case letters"),
        "lowerCase": (str.islower, "lower case letters"),
        "specialChars": (lambda character: not character.isalnum(), "special characters"),
    }
    for rule, argument in re.findall(r"(\w+)(?:\((\w*)\))?", policy.replace(" and ", " ")):
        number = int(argument) if argument.isdecimal() else 0
        if rule == "length" and len(password) < (number or 8):
            raise _refused(
                "invalidPasswordMinLengthMessage", f"must be at least {number or 8} characters long"
            )
        if rule == "maxLength" and len(password) > (number or 64):
            raise _refused(
                "invalidPasswordMaxLengthMessage", f"must be at most {number or 64} characters long"
            )
        if rule in counts:
            test, what = counts[rule]
            if sum(map(test, password)) < (number or 1):
                raise _refused("invalidPasswordMessage", f"must contain at least {number or 1} {what}")
        if rule == "notUsername" and username and password.lower() == username.lower():
            raise _refused("invalidPasswordNotUsernameMessage", "must not be the user name")
        if rule == "notEmail" and email and password.lower() == email.lower():
            raise _refused("invalidPasswordNotEmailMessage", "must not be the e-mail address")


def _refused(error: str, words: str) -> IdentityError:
    return IdentityError(400, {"error": error, "error_description": f"Invalid password: {words}."})
