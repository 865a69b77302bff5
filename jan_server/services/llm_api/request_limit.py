"""How often one caller may ask: a bucket of tokens each, counted in this process.

Source: contract/llm-api.md, section 1 (the rate limit inside the service).
"""

from __future__ import annotations

import time
from collections import OrderedDict

FULL_AGAIN_SECONDS = 60
"""A bucket that is left alone for this long is full."""

REMEMBERED = 10_000
"""How many callers are remembered; beyond, the one who was quiet longest is forgotten."""


class RequestLimit:
    """A bucket for each caller: `per_minute` requests at once, refilled evenly.

    Args:
        per_minute: Size of a bucket, and what it regains in a minute; 0 for no limit.
    """

    def __init__(self, per_minute: int) -> None:
        self.per_minute = per_minute
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, caller: str) -> bool:
        """Count one request; False, and nothing is counted, when the caller's bucket is empty."""
        if self.per_minute <= 0:
            return True
        moment = time.monotonic()
        left, since = self._buckets.get(caller, (float(self.per_minute), moment))
        left = min(self.per_minute, left + (moment - since) * self.per_minute / FULL_AGAIN_SECONDS)
        taken = left >= 1
        self._buckets[caller] = (left - 1 if taken else left, moment)
        self._buckets.move_to_end(caller)
        if len(self._buckets) > REMEMBERED:
            self._buckets.popitem(last=False)
        return taken
