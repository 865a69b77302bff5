"""Takes turns among the targets of an upstream, by weight.

The turns are smooth (nginx's weighted round robin): of weights 5, 1, 1 the heavy one is not
taken five times in a row.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence


class RoundRobin:
    """Chooses positions from 0 to the number of weights less one."""

    def __init__(self, weights: Sequence[int]) -> None:
        self._weights = tuple(weights)
        self._current = [0] * len(self._weights)

    def next(self, tried: Collection[int] = ()) -> int:
        """The position whose turn it is, among those not yet tried where there are any."""
        usable = [position for position, weight in enumerate(self._weights) if weight]
        fresh = [position for position in usable if position not in tried] or usable
        for position in fresh:
            self._current[position] += self._weights[position]
        chosen = max(fresh, key=lambda position: self._current[position])
        self._current[chosen] -= sum(self._weights[position] for position in fresh)
        return chosen
