"""A realm's published signing keys, fetched and kept.

Source: RFC 7517 (JSON Web Key).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from typing import Any

import aiohttp
import jwt
import orjson

logger = logging.getLogger("jan.authentication.jwks")

# Tokens with invented key ids must not turn into a flood of requests to the identity server.
UNKNOWN_KEY_PAUSE_SECONDS = 5.0
FETCH_SECONDS = 5.0

# How long a token waits for keys that grew old to be fetched, where the old ones know its key.
OLD_KEY_PATIENCE_SECONDS = 1.0


class KeysUnavailable(Exception):
    """The keys cannot be fetched, and those that are known do not tell."""


class KeySet:
    """The keys behind one JWKS address.

    Keys are refreshed after `refresh_seconds` and when a token names an unknown key, so a
    rotation is followed without a restart. Keys once fetched stay valid while the identity
    server is away, and nobody waits for it then who need not. A key that stays published stays
    the same object.

    Args:
        client: The process's outgoing client.
        url: The JWKS address.
        refresh_seconds: Age after which keys are fetched again.
    """

    def __init__(self, client: aiohttp.ClientSession, url: str, *, refresh_seconds: float = 300.0) -> None:
        self._client = client
        self.url = url
        self._refresh_seconds = refresh_seconds
        self._keys: Mapping[str, Any] = {}
        self._fetched_at = float("-inf")
        self._asked_at = float("-inf")
        self._failed = False
        self._refreshing: asyncio.Task[None] | None = None

    @property
    def fetched(self) -> bool:
        """Whether any keys are known."""
        return bool(self._keys)

    async def key(self, kid: str) -> Any | None:
        """The public key with this id, or None when the realm has no such key.

        Raises:
            KeysUnavailable: The server does not answer, and the key was not seen before.
        """
        known = self._keys.get(kid)
        now = time.monotonic()
        if known is not None and now - self._fetched_at < self._refresh_seconds:
            return known
        refreshing = self._refresh_in_background(now)
        if refreshing is not None and not (known is not None and self._failed):
            await asyncio.wait({refreshing}, timeout=OLD_KEY_PATIENCE_SECONDS if known is not None else None)
        if (found := self._keys.get(kid)) is not None:
            return found
        if self._failed or not self._keys:
            raise KeysUnavailable(f"no signing keys from {self.url}")
        return None

    def current(self, kid: str) -> Any | None:
        """The key with this id as far as it is known; keys that grew old are fetched in the background.

        This is for what was verified before: it need not wait, and hears of a withdrawn key soon.
        """
        now = time.monotonic()
        if now - self._fetched_at >= self._refresh_seconds:
            self._refresh_in_background(now)
        return self._keys.get(kid)

    def _refresh_in_background(self, now: float) -> asyncio.Task[None] | None:
        """The fetch that is under way, begun now unless the last one ended a moment ago."""
        pause = UNKNOWN_KEY_PAUSE_SECONDS if self._keys else 0.0
        if self._refreshing is None and now - self._asked_at >= pause:
            self._refreshing = asyncio.create_task(self._refresh())
            self._refreshing.add_done_callback(self._refreshed)
        return self._refreshing

    def _refreshed(self, task: asyncio.Task[None]) -> None:
        self._refreshing = None
        if not task.cancelled() and (failure := task.exception()) is not None:
            logger.error("signing keys not refreshed", exc_info=failure)

    async def _refresh(self) -> None:
        try:
            timeout = aiohttp.ClientTimeout(total=FETCH_SECONDS)
            async with self._client.get(self.url, timeout=timeout) as response:
                response.raise_for_status()
                document = orjson.loads(await response.read())
            found = _signing_keys(document)
            self._keys = {
                kid: old if (old := self._keys.get(kid)) == key else key for kid, key in found.items()
            }
            self._fetched_at = time.monotonic()
            self._failed = False
        except (aiohttp.ClientError, TimeoutError, ValueError, OSError) as failure:
            self._failed = True
            logger.warning("signing keys not refreshed: %s", failure, extra={"url": self.url})
        finally:
            self._asked_at = time.monotonic()


def _signing_keys(document: Any) -> dict[str, Any]:
    keys: dict[str, Any] = {}
    entries = document.get("keys", []) if isinstance(document, dict) else []
    for entry in entries:
        if not isinstance(entry, dict) or entry.get("use", "sig") != "sig" or entry.get("kty") != "RSA":
            continue
        try:
            keys[str(entry.get("kid", ""))] = jwt.PyJWK(entry, algorithm=str(entry.get("alg", "RS256"))).key
        except jwt.PyJWTError as failure:
            logger.warning("a published key cannot be read: %s", failure)
    return keys
