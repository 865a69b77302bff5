"""The cache of answers: the same request again is answered from memory, for those who ask for it.

Only a request that asks for it, itself or by its API key, is looked up or kept, and only when it
is the same to the last byte of what the provider would get. An answer is its user's own, unless
both requests say that it may be shared. Each process has its cache; the answers that were not
used for longest go first.
"""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from jan_server.services.llm_api.refusals import Invalid

LONGEST_SECONDS = 30 * 24 * 3600
_ENTRY_BYTES = 200


@dataclass(frozen=True, slots=True)
class CacheWish:
    """What a request or a key says about the cache.

    Attributes:
        ttl: How many seconds an answer may be used again; older answers are not used either. 0 for none.
        shared: Whether its answer may go to other users, and theirs to it.
    """

    ttl: int
    shared: bool = False


NO_CACHE = CacheWish(0)
"""The wish of a request that wants a new answer, whatever its key says."""


def cache_wish(given: Any) -> CacheWish | None:
    """The member `cache` of a request; None when it says nothing.

    Raises:
        Invalid: It is wrong; `param` names the member at fault.
    """
    if given is None:
        return None
    if given is False:
        return NO_CACHE
    if not isinstance(given, dict):
        raise Invalid('cache must be an object such as {"ttl": 300}', param="cache", code="invalid_type")
    ttl, shared = given.get("ttl"), given.get("shared", False)
    if not isinstance(ttl, int) or isinstance(ttl, bool) or not 1 <= ttl <= LONGEST_SECONDS:
        raise Invalid(
            f"cache.ttl must be a whole number of seconds, 1 to {LONGEST_SECONDS}",
            param="cache.ttl",
            code="invalid_value",
        )
    if not isinstance(shared, bool):
        raise Invalid("cache.shared must be true or false", param="cache.shared", code="invalid_type")
    return CacheWish(ttl, shared)


@dataclass(frozen=True, slots=True)
class CachePlace:
    """Where the answer to one request is kept.

    Attributes:
        cache: What keeps it.
        key: By what it is found.
        answer: The answer that is there already; None without one.
    """

    cache: ResponseCache
    key: bytes
    answer: bytes | None

    def keep(self, answer: bytes) -> None:
        """Keep a new answer."""
        self.cache.keep(self.key, answer)


class ResponseCache:
    """Keeps answers of this process.

    Args:
        most_bytes: How much memory they may take; 0 keeps none.
        key_wish: What an API key says about the cache, for requests that say nothing.
    """

    def __init__(self, most_bytes: int, key_wish: Callable[[str], CacheWish | None] = lambda _: None) -> None:
        self._most_bytes = most_bytes
        self._key_wish = key_wish
        self._bytes = 0
        self._answers: OrderedDict[bytes, tuple[float, bytes]] = OrderedDict()

    def key(self, wish: CacheWish, user_id: int, model_key: int, request: bytes) -> bytes:
        """By what an answer is found: who asks, which model, and every byte that the provider would get."""
        whose = "all" if wish.shared else str(user_id)
        return hashlib.sha256(f"{whose} {model_key} ".encode() + request).digest()

    def place(
        self, wish: CacheWish | None, key_id: str, user_id: int, model_key: int, path: str, request: bytes
    ) -> CachePlace | None:
        """Where the answer to a request is kept; None when neither it nor its key asks for that.

        Args:
            wish: What the request says about the cache; None for as its key says.
            key_id: The API key of the caller; empty for a token.
            user_id: The key of the caller's row.
            model_key: Which model is asked.
            path: Below the provider's address.
            request: Every byte that the provider would get.
        """
        wish = wish or self._key_wish(key_id)
        if wish is None or not wish.ttl:
            return None
        request = path.encode() + b" " + request
        key = self.key(wish, user_id, model_key, request)
        return CachePlace(self, key, self.find(key, wish))

    def find(self, key: bytes, wish: CacheWish) -> bytes | None:
        """The kept answer; None without one, or when it is older than the request allows."""
        found = self._answers.get(key)
        if found is None or time.monotonic() - found[0] > wish.ttl:
            return None
        self._answers.move_to_end(key)
        return found[1]

    def keep(self, key: bytes, answer: bytes) -> None:
        """Keep an answer, in place of an older one."""
        size = len(answer) + _ENTRY_BYTES
        if size > self._most_bytes:
            return
        self._drop(key)
        self._answers[key] = (time.monotonic(), answer)
        self._bytes += size
        while self._bytes > self._most_bytes:
            self._drop(next(iter(self._answers)))

    def _drop(self, key: bytes) -> None:
        found = self._answers.pop(key, None)
        if found is not None:
            self._bytes -= len(found[1]) + _ENTRY_BYTES
