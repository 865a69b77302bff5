"""The routes of a Kong file as people and programs want to read them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from jan_server.gateway.entities import KongFile, Plugin, Service
from jan_server.gateway.pipeline import entities_of, narrowest
from jan_server.gateway.plugins.rate_limiting import Config as RateLimit
from jan_server.gateway.router import best_rank

CREDENTIALS = {"jwt": "token", "keycloak-apikey": "key"}


@dataclass(frozen=True, slots=True)
class RouteLine:
    """One route.

    Attributes:
        name: Its name in the file.
        methods: The methods it takes; none means all.
        hosts: The hosts it takes; none means all.
        paths: Its prefixes and expressions.
        service: The name of its service, empty where only plugins answer.
        upstream: The addresses that are asked.
        strips: Whether the matched path is taken off.
        credentials: What opens it, for example `token or key`; empty for a public route.
        limit: Its rate limit, for example `120/minute by ip`.
        plugins: The names of the plugins that run on it, in their order.
    """

    name: str
    methods: tuple[str, ...]
    hosts: tuple[str, ...]
    paths: tuple[str, ...]
    service: str
    upstream: tuple[str, ...]
    strips: bool
    credentials: str
    limit: str
    plugins: tuple[str, ...]


def route_lines(
    file: KongFile, local_ports: Mapping[str, int], local_host: str = "127.0.0.1"
) -> list[RouteLine]:
    """The routes in the order in which they are tried, the most specific first.

    Args:
        file: The file.
        local_ports: Ports of this stack's services, by host name.
        local_host: Where those services listen.
    """
    lines = []
    for route in sorted(file.routes, key=lambda route: -best_rank(route)):
        running = {
            name: entity
            for name, entities in entities_of(file, route).items()
            if (entity := narrowest(entities, "")) is not None
        }
        service = file.services.get(route.service)
        lines.append(
            RouteLine(
                name=route.name,
                methods=route.methods,
                hosts=route.hosts,
                paths=route.paths,
                service=route.service,
                upstream=addresses(service, file, local_ports, local_host) if service else (),
                strips=route.strip_path,
                credentials=_credentials(running),
                limit=_limit(running.get("rate-limiting")),
                plugins=tuple(running),
            )
        )
    return lines


def addresses(
    service: Service, file: KongFile, local_ports: Mapping[str, int], local_host: str
) -> tuple[str, ...]:
    """Where a service is asked."""
    balanced = file.upstreams.get(service.host)
    places = (
        [(target.host, target.port) for target in balanced.targets]
        if balanced
        else [(service.host, service.port)]
    )
    path = "" if service.path == "/" else service.path
    found = []
    for host, port in places:
        if host in local_ports:
            host, port = local_host, local_ports[host]
        found.append(f"{service.protocol}://{host}:{port}{path}")
    return tuple(found)


def _credentials(running: Mapping[str, Plugin]) -> str:
    asking = (
        word
        for name, word in CREDENTIALS.items()
        if name in running and not getattr(running[name].config, "optional", False)
    )
    return " or ".join(asking)


def _limit(entity: Plugin | None) -> str:
    if entity is None or not isinstance(entity.config, RateLimit) or entity.config.hide_client_headers:
        return ""
    windows = ", ".join(f"{limit:g}/{name}" for name, limit in entity.config.limits)
    return f"{windows} by {entity.config.limit_by}"
