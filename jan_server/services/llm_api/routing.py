"""How a request for a routed name finds a model: who is asked first, and who when that one fails.

Candidates come by priority, and by weight within one; those whose providers rest after failures stand
behind the others. A failure before the first byte goes on to the next candidate when the route falls
back on it. What administrators say about routes is in `model_routes.py`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from itertools import groupby
from typing import TypeVar

from jan_server.http.errors import unavailable
from jan_server.inference.selection import EndpointSelector
from jan_server.inference.upstream_errors import FailureKind, UpstreamError
from jan_server.inference.weighted_turns import WeightedTurns
from jan_server.services.llm_api.model_registry import ModelRegistry
from jan_server.services.llm_api.models import OfferedModel, Route, RouteTarget
from jan_server.services.llm_api.sync import ModelSync

Result = TypeVar("Result")


class Candidates:
    """The models that may answer one request, in the order in which they are asked.

    Args:
        route: Whose models they are.
        models: The models, at least one.
        selector: Told who is asked, so that resting endpoints are tried by one request at a time.

    Attributes:
        tried: How many were asked.
    """

    def __init__(self, route: Route, models: list[OfferedModel], selector: EndpointSelector) -> None:
        self.tried = 0
        self._route = route
        self._models = models
        self._selector = selector

    def falls_back_on(self, kind: FailureKind) -> bool:
        """Whether the route goes on to another model for such a failure."""
        return kind in self._route.fallback_on

    def prefer(self, fits: Callable[[OfferedModel], bool]) -> None:
        """Ask those first that fit; the order stays otherwise."""
        self._models.sort(key=lambda model: not fits(model))

    def first(self) -> OfferedModel:
        """The model that is asked first."""
        return self._ask()

    def next(self, failure: UpstreamError) -> OfferedModel:
        """The model that is asked after a failure of the one before.

        Raises:
            UpstreamError: The same failure, with the number of models that were tried: there is no
                further model, or the route does not fall back on such failures.
        """
        if failure.kind is not None and self.falls_back_on(failure.kind) and self.tried < len(self._models):
            return self._ask()
        if self.tried > 1:
            failure.message += f" ({self.tried} models of {self._route.name} were tried)"
        raise failure

    def _ask(self) -> OfferedModel:
        model = self._models[self.tried]
        self.tried += 1
        self._selector.try_again(model.provider)
        return model


class Routing:
    """Finds the candidates of requests. One a process; it is not for several threads.

    Args:
        registry: Knows routes and models.
        sync: Asked for models that nobody knows yet.
        selector: Knows which endpoints rest.
    """

    def __init__(self, registry: ModelRegistry, sync: ModelSync, selector: EndpointSelector) -> None:
        self._registry = registry
        self._sync = sync
        self._selector = selector
        self._turns = WeightedTurns()

    async def candidates(self, asked: OfferedModel) -> Candidates:
        """The models behind a routed name.

        Args:
            asked: What the name stands for in the list of models; it has a route.

        Raises:
            ApiError: 503 when none of them can be called now.
        """
        route = asked.route
        assert route is not None
        if not route.targets and await self._sync.catch_up():
            found = self._registry.table.find(asked.id)
            route = (found and found.route) or route
        usable = [target for target in route.targets if not target.model.problem]
        if not usable:
            problem = next((target.model.problem for target in route.targets), "")
            raise unavailable(problem or f"no model behind {route.name} can be called now")
        models = [replace(target.model, asked=asked) for target in self._ordered(route, usable)]
        return Candidates(route, models, self._selector)

    def _ordered(self, route: Route, targets: list[RouteTarget]) -> list[RouteTarget]:
        """The targets, sorted by priority already, in the order in which they are asked."""
        ordered: list[RouteTarget] = []
        resting: list[RouteTarget] = []
        for _, group in groupby(targets, key=lambda target: target.priority):
            awake: list[RouteTarget] = []
            for target in group:
                (resting if self._selector.rests(target.model.provider) else awake).append(target)
            if awake:
                first = self._turns.choose(
                    awake,
                    key=lambda target: (route.name, target.model.key),
                    weight=lambda target: target.weight,
                )
                others = [target for target in awake if target is not first]
                ordered += [first, *sorted(others, key=lambda target: target.weight == 0)]
        return ordered + resting


async def first_answer(
    candidates: Candidates,
    ask: Callable[[OfferedModel], Awaitable[Result]],
    again: Callable[[], bool] = lambda: True,
) -> Result:
    """What the first candidate answers that does not fail.

    Args:
        candidates: The models.
        ask: Calls one.
        again: Whether the request can still be sent a second time.

    Raises:
        UpstreamError: The last failure.
    """
    model = candidates.first()
    while True:
        try:
            return await ask(model)
        except UpstreamError as failure:
            if not again():
                raise
            model = candidates.next(failure)
