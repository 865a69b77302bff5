"""Choosing an endpoint: weighted, among those that work, learnt from how their requests went.

A failed endpoint rests for a while that doubles with every further failure. When the rest is over,
one request tries it (the others wait for its outcome as long as they have somewhere else to go).
When every endpoint rests, requests go on: a stale mark must never refuse what would have worked.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from jan_server.inference.provider import Endpoint, Provider
from jan_server.inference.weighted_turns import WeightedTurns

FIRST_REST_SECONDS = 1.0
LONGEST_REST_SECONDS = 60.0


@dataclass(slots=True)
class _Condition:
    """What is known of one endpoint of one provider."""

    failures: int = 0
    rests_until: float = 0.0


class EndpointSelector:
    """Chooses endpoints and remembers how they did. One a process; it is not for several threads.

    Args:
        clock: Seconds that only go forward.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._conditions: dict[tuple[str, str], _Condition] = {}
        self._turns = WeightedTurns()

    def choose(self, provider: Provider, without: Collection[str] = ()) -> Endpoint | None:
        """The endpoint for the next request.

        Args:
            provider: Whose endpoints.
            without: The URLs that are out of the question, because this request failed there.

        Returns:
            An endpoint, resting ones only when nothing else is left; None when all are out of
            the question.
        """
        endpoints = provider.endpoints
        if len(endpoints) == 1 and not without:
            return endpoints[0]
        left = [endpoint for endpoint in endpoints if endpoint.url not in without]
        if not left:
            return None
        now = self._clock()
        awake = [entry for entry in left if self._condition(provider, entry).rests_until <= now]
        chosen = self._turns.choose(
            _of_best_priority(_with_weight(awake or left)),
            key=lambda endpoint: (provider.id, endpoint.url),
            weight=lambda endpoint: endpoint.weight,
        )
        condition = self._condition(provider, chosen)
        if condition.failures and awake:
            # This request is the trial: the others leave it alone until the outcome is known.
            condition.rests_until = now + _rest_seconds(condition.failures)
        return chosen

    def succeeded(self, provider: Provider, endpoint: Endpoint) -> None:
        """The endpoint gave an answer: it works."""
        condition = self._conditions.get((provider.id, endpoint.url))
        if condition is not None and condition.failures:
            condition.failures = 0
            condition.rests_until = 0.0

    def failed(self, provider: Provider, endpoint: Endpoint) -> None:
        """The endpoint could not be reached or could not answer: it rests."""
        condition = self._condition(provider, endpoint)
        condition.failures += 1
        # Between half and all of it, so that many servers do not come back at the same moment.
        share = random.uniform(0.5, 1.0)  # noqa: S311
        condition.rests_until = self._clock() + share * _rest_seconds(condition.failures)

    def is_healthy(self, provider: Provider, endpoint: Endpoint) -> bool:
        """Whether the endpoint's last request went well, or none was made yet."""
        condition = self._conditions.get((provider.id, endpoint.url))
        return condition is None or condition.failures == 0

    def rests(self, provider: Provider) -> bool:
        """Whether every endpoint of the provider rests now."""
        if not self._conditions or not provider.endpoints:
            return False
        now = self._clock()
        return all(self._condition(provider, entry).rests_until > now for entry in provider.endpoints)

    def try_again(self, provider: Provider) -> None:
        """A request is about to try a provider whose only endpoint failed: it rests until the outcome.

        With several endpoints `choose` does the same for the one that it picks.
        """
        if len(provider.endpoints) == 1:
            condition = self._conditions.get((provider.id, provider.endpoints[0].url))
            if condition is not None and condition.failures:
                condition.rests_until = self._clock() + _rest_seconds(condition.failures)

    def forget(self, provider_ids: Collection[str]) -> None:
        """Drop what is known of every provider that is not among these."""
        self._conditions = {key: value for key, value in self._conditions.items() if key[0] in provider_ids}
        self._turns.forget(lambda key: isinstance(key, tuple) and key[0] in provider_ids)

    def _condition(self, provider: Provider, endpoint: Endpoint) -> _Condition:
        return self._conditions.setdefault((provider.id, endpoint.url), _Condition())


def _with_weight(endpoints: Sequence[Endpoint]) -> Sequence[Endpoint]:
    return [endpoint for endpoint in endpoints if endpoint.weight > 0] or endpoints


def _of_best_priority(endpoints: Sequence[Endpoint]) -> Sequence[Endpoint]:
    best = min(endpoint.priority for endpoint in endpoints)
    return [endpoint for endpoint in endpoints if endpoint.priority == best]


def _rest_seconds(failures: int) -> float:
    return min(FIRST_REST_SECONDS * 2.0 ** min(failures - 1, 16), LONGEST_REST_SECONDS)
