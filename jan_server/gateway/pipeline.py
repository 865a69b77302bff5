"""Which plugins run on a route, in which order, and running them.

Source: Kong 3.5: plugins run by priority; of the entities of one plugin the most narrowly
attached one runs, and the others do not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from jan_server.gateway.entities import KongFile, Plugin, Route
from jan_server.gateway.exchange import Exchange, ResponseHead
from jan_server.gateway.plugins import KINDS
from jan_server.gateway.plugins.kind import (
    AccessPlugin,
    BodyPlugin,
    ResponsePlugin,
    RunningPlugin,
    Surroundings,
)
from jan_server.gateway.rejection import Reply, refused
from jan_server.http.errors import ApiError


class Step:
    """One plugin of a route: the running plugin for everybody, and those for single consumers."""

    __slots__ = ("by_consumer", "default", "entity", "name")

    def __init__(
        self,
        name: str,
        entity: Plugin | None,
        default: RunningPlugin | None,
        by_consumer: Mapping[str, RunningPlugin],
    ) -> None:
        self.name = name
        self.entity = entity
        self.default = default
        self.by_consumer = by_consumer

    def chosen(self, exchange: Exchange) -> RunningPlugin | None:
        """The running plugin for this request, as far as its consumer is known by now."""
        if self.by_consumer and exchange.consumer is not None:
            return self.by_consumer.get(exchange.consumer.name, self.default)
        return self.default


class Plan:
    """The plugins of a route.

    Attributes:
        names: The names of the plugins, in the order in which they run.
        steps: The same plugins.
    """

    def __init__(self, steps: Sequence[Step]) -> None:
        self.steps = tuple(steps)
        self.names = tuple(step.name for step in steps)
        self._same_for_all = not any(step.by_consumer for step in steps)
        everybody = [step.default for step in steps if step.default is not None]
        self._access = tuple(plugin for plugin in everybody if isinstance(plugin, AccessPlugin))
        self._response = tuple(plugin for plugin in everybody if isinstance(plugin, ResponsePlugin))
        self._body = tuple(plugin for plugin in everybody if isinstance(plugin, BodyPlugin))

    async def access(self, exchange: Exchange) -> Reply | None:
        """Run the plugins before the upstream is asked.

        Returns:
            The reply that replaces the upstream's, when a plugin refuses or answers the request.
        """
        try:
            if self._same_for_all:
                for plugin in self._access:
                    reply = await plugin.access(exchange)
                    if reply is not None:
                        return reply
                return exchange.refusal
            for step in self.steps:
                chosen = step.chosen(exchange)
                if isinstance(chosen, AccessPlugin):
                    reply = await chosen.access(exchange)
                    if reply is not None:
                        return reply
        except ApiError as error:
            return refused(error, exchange.request_id)
        return exchange.refusal

    def on_response(self, exchange: Exchange, head: ResponseHead) -> None:
        """Run the plugins on the head of a response."""
        if self._same_for_all:
            for plugin in self._response:
                plugin.on_response(exchange, head)
        else:
            for step in self.steps:
                chosen = step.chosen(exchange)
                if isinstance(chosen, ResponsePlugin):
                    chosen.on_response(exchange, head)
        if exchange.response_headers:
            head.set_all(exchange.response_headers)

    def body_plugins(self, exchange: Exchange, head: ResponseHead) -> list[BodyPlugin]:
        """The plugins that want to rewrite the body of this response."""
        if self._same_for_all:
            return [plugin for plugin in self._body if plugin.wants_body(head)] if self._body else []
        chosen = [step.chosen(exchange) for step in self.steps]
        return [plugin for plugin in chosen if isinstance(plugin, BodyPlugin) and plugin.wants_body(head)]


class Plans:
    """The plans of all routes of a file; an entity attached to several of them runs as one."""

    def __init__(self, file: KongFile, surroundings: Surroundings) -> None:
        self._file = file
        self._surroundings = surroundings
        self._running: dict[int, RunningPlugin] = {}
        self.of_route = {route.name: self._plan(route) for route in file.routes}
        # Kong runs the global plugins on the response of a request that no route wants.
        self.of_nothing = self._plan(None)

    def _plan(self, route: Route | None) -> Plan:
        steps = []
        for name, entities in entities_of(self._file, route).items():
            default = narrowest(entities, "")
            consumers = {entity.consumer for entity in entities if entity.consumer}
            by_consumer = {
                consumer: self._run(entity)
                for consumer in consumers
                if (entity := narrowest(entities, consumer)) is not None
            }
            steps.append(Step(name, default, self._run(default) if default else None, by_consumer))
        return Plan(steps)

    def _run(self, entity: Plugin) -> RunningPlugin:
        key = id(entity)
        if key not in self._running:
            self._running[key] = KINDS[entity.name].build(entity, self._surroundings)
        return self._running[key]


def entities_of(file: KongFile, route: Route | None) -> dict[str, list[Plugin]]:
    """The entities that may run on a route, by plugin, in the order in which the plugins run.

    Args:
        file: The file.
        route: The route; None for a request that no route wants.
    """
    found: dict[str, list[Plugin]] = {}
    for name in sorted(KINDS, key=lambda name: -KINDS[name].priority):
        entities = [entity for entity in file.plugins if entity.name == name and _covers(entity, route)]
        if entities:
            found[name] = entities
    return found


def _covers(entity: Plugin, route: Route | None) -> bool:
    if route is None:
        return not entity.route and not entity.service and not entity.consumer
    return entity.route in ("", route.name) and entity.service in ("", route.service)


def narrowest(entities: Sequence[Plugin], consumer: str) -> Plugin | None:
    """The entity that runs for a consumer (empty: nobody in particular), None where none does.

    Kong's order is consumer before route before service, and more of them before fewer.
    """
    fitting = [entity for entity in entities if entity.consumer in ("", consumer)]

    def narrowness(entity: Plugin) -> tuple[int, bool, bool, bool]:
        attached = (bool(entity.consumer), bool(entity.route), bool(entity.service))
        return (sum(attached), *attached)

    return max(fitting, key=narrowness, default=None)
