"""How often one caller may ask: a bucket of tokens each, counted in this process.

Source: contract/llm-api.md, section 1 (the rate limit inside the service).
"""

from __future__ import annotations

import time

FULL_AGAIN_SECONDS = 60
"""A bucket that is left alone for this long is full."""

REMEMBERED = 10_000


class RequestLimit:
    """A bucket for each caller: `per_minute` requests at once, refilled evenly.

    Args:
        per_minute: Size of a bucket, and what it regains in a minute; 0 for no limit.
    """

    def __init__(self, per_minute: int) -> None:
        self.per_minute = per_minute
        self._buckets: dict[str, tuple[float, float]] = {}

    def take(self, caller: str) -> bool:
        """Count one request; False, and nothing is counted, when the caller's bucket is empty."""
        if self.per_minute <= 0:
            return True
        moment = time.monotonic()
        left, since = self._buckets.get(caller, (float(self.per_minute), moment))
        left = min(self.per_minute, left + (moment - since) * self.per_minute / FULL_AGAIN_SECONDS)
        if left < 1:
            return False
        self._buckets[caller] = (left - 1, moment)
        if len(self._buckets) > REMEMBERED:
            self._forget_full(moment)
        return True

    def _forget_full(self, moment: float) -> None:
        # Forgetting a full bucket changes nothing.
        self._buckets = {
            caller: bucket
            for caller, bucket in self._buckets.items()
            if bucket[1] > moment - FULL_AGAIN_SECONDS
        }
