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
FETCH_SECONDS = 10.0


class KeysUnavailable(Exception):
    """The keys could not be fetched and none are known."""


class KeySet:
    """The keys behind one JWKS address.

    Keys are refreshed after `refresh_seconds` and when a token names an unknown key, so a
    rotation is followed without a restart. Keys once fetched stay valid while the identity
    server is away. A key that stays published stays the same object.

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
        self._lock = asyncio.Lock()
        self._refreshing: asyncio.Task[None] | None = None

    @property
    def fetched(self) -> bool:
        """Whether any keys are known."""
        return bool(self._keys)

    async def key(self, kid: str) -> Any | None:
        """The public key with this id, or None when the realm has no such key.

        Raises:
            KeysUnavailable: No key was ever fetched and the server does not answer.
        """
        known = self._keys.get(kid)
        now = time.monotonic()
        if known is not None and now - self._fetched_at < self._refresh_seconds:
            return known
        if now - self._asked_at >= (UNKNOWN_KEY_PAUSE_SECONDS if self._keys else 0.0):
            await self._refresh(now)
        if not self._keys:
            raise KeysUnavailable(f"no signing keys from {self.url}")
        return self._keys.get(kid)

    def current(self, kid: str) -> Any | None:
        """The key with this id as far as it is known; keys that grew old are fetched in the background.

        This is for what was verified before: it need not wait, and hears of a withdrawn key soon.
        """
        now = time.monotonic()
        if (
            self._refreshing is None
            and now - self._fetched_at >= self._refresh_seconds
            and now - self._asked_at >= UNKNOWN_KEY_PAUSE_SECONDS
        ):
            self._refreshing = asyncio.create_task(self._refresh(now))
            self._refreshing.add_done_callback(self._refreshed)
        return self._keys.get(kid)

    def _refreshed(self, task: asyncio.Task[None]) -> None:
        self._refreshing = None
        if not task.cancelled() and (failure := task.exception()) is not None:
            logger.error("signing keys not refreshed", exc_info=failure)

    async def _refresh(self, seen: float) -> None:
        async with self._lock:
            if self._asked_at > seen:
                return
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
            except (aiohttp.ClientError, TimeoutError, ValueError) as failure:
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
