"""How often one address may present credentials that are refused.

Rate limits count requests of those who were let in; without this, nothing would count guesses at keys
and tokens, and each would cost a signature check or a question to the key validator.
"""

from __future__ import annotations

import math
import time
from collections import OrderedDict

from jan_server.http.client_address import limit_key
from jan_server.http.errors import ApiError

REMEMBERED_ADDRESSES = 10_000
"""How many addresses are remembered; beyond, the one that was quiet longest is forgotten."""

_FULL_AGAIN_SECONDS = 60.0


class RefusedCredentials:
    """A bucket for every address, which refused credentials empty and time fills again.

    An IPv6 address counts as its network of 64 bits.

    Args:
        per_minute: Refusals that a bucket holds, and that it regains in a minute; 0 counts nothing.
    """

    def __init__(self, per_minute: int = 0) -> None:
        self.per_minute = per_minute
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def check(self, address: str) -> None:
        """Refuse to look at one more credential from an address that was refused too often.

        Raises:
            ApiError: 429 with `Retry-After`.
        """
        if not self._buckets:
            return
        left = self._left(limit_key(address))
        if left < 1:
            seconds = math.ceil((1 - left) * _FULL_AGAIN_SECONDS / self.per_minute)
            raise ApiError(
                429,
                "too many refused credentials from this address",
                code="rate_limit_exceeded",
                headers={"Retry-After": str(max(1, seconds))},
            )

    def count(self, address: str) -> None:
        """Note that a credential from this address was refused."""
        if self.per_minute <= 0:
            return
        key = limit_key(address)
        self._buckets[key] = (self._left(key) - 1, time.monotonic())
        self._buckets.move_to_end(key)
        if len(self._buckets) > REMEMBERED_ADDRESSES:
            self._buckets.popitem(last=False)

    def _left(self, key: str) -> float:
        full = float(self.per_minute)
        known = self._buckets.get(key)
        if known is None:
            return full
        left, since = known
        return min(full, left + (time.monotonic() - since) * full / _FULL_AGAIN_SECONDS)
