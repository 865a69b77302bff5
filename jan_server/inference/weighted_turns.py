"""Taking turns by weight: smooth weighted round robin, for endpoints of a provider and models of a route."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import TypeVar

Entry = TypeVar("Entry")


class WeightedTurns:
    """Remembers whose turn it is: 2 to 1 gives a, b, a and never a, a, b. It is not for several threads."""

    def __init__(self) -> None:
        self._credits: dict[Hashable, int] = {}

    def choose(
        self, entries: Sequence[Entry], key: Callable[[Entry], Hashable], weight: Callable[[Entry], int]
    ) -> Entry:
        """Whose turn it is among these, which are at least one.

        Args:
            entries: Who is in question now.
            key: By what an entry is known again.
            weight: Its share; entries of no weight get a turn only when no entry has any.
        """
        entries = [entry for entry in entries if weight(entry) > 0] or entries
        if len(entries) == 1:
            return entries[0]
        total = 0
        best = entries[0]
        for entry in entries:
            share = max(weight(entry), 1)
            self._credits[key(entry)] = self._credits.get(key(entry), 0) + share
            total += share
            if self._credits[key(entry)] > self._credits[key(best)]:
                best = entry
        self._credits[key(best)] -= total
        return best

    def forget(self, stays: Callable[[Hashable], bool]) -> None:
        """Drop what is remembered of every entry whose key does not stay."""
        self._credits = {key: credit for key, credit in self._credits.items() if stays(key)}
