"""The plan of a start: which parts run here, which are somebody else's, and where each listens."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import urlsplit

from jan_server.launch.ports import WantedPort
from jan_server.launch.state import PartState
from jan_server.settings.loading import value_of
from jan_server.settings.tree import Settings
from jan_server.settings.tree.follow import local_host
from jan_server.stack.catalogue import IDENTITY, INFERENCE, POSTGRES
from jan_server.stack.service import Part, Service


class Kind(StrEnum):
    """How a part comes to be."""

    SERVICE = "service"
    CHILD = "child"
    EXTERNAL = "external"


@dataclass(frozen=True, slots=True)
class PlannedPart:
    """A part of the stack, as it will run.

    Attributes:
        part: Its record in the catalogue.
        kind: Whether the server process, a child, or somebody else runs it.
        port: Where it listens, or None when it has no port here.
        address: How this machine reaches it, without credentials; empty when it has no address.
        health_path: The path that tells its health, or empty.
        further_ports: Where it listens besides.
    """

    part: Part
    kind: Kind
    port: WantedPort | None = None
    address: str = ""
    health_path: str = ""
    further_ports: tuple[WantedPort, ...] = ()

    @property
    def name(self) -> str:
        """Its name in the catalogue."""
        return self.part.name


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that a start will do.

    Attributes:
        parts: The parts, in the catalogue's order.
        profiles: The names of the profiles that were used.
    """

    parts: tuple[PlannedPart, ...]
    profiles: tuple[str, ...] = ()

    def find(self, name: str) -> PlannedPart | None:
        """One part by its name, if it is planned."""
        return next((planned for planned in self.parts if planned.name == name), None)

    def ports(self) -> list[WantedPort]:
        """The ports that must be free."""
        own = (planned.port for planned in self.parts if planned.port is not None)
        return [*own, *(port for planned in self.parts for port in planned.further_ports)]

    def schemas(self) -> list[str]:
        """The database schemas of the services that run here."""
        here = (planned.part for planned in self.parts if planned.kind is Kind.SERVICE)
        services = (part for part in here if isinstance(part, Service))
        return sorted({service.schema for service in services if service.schema})

    def states(self) -> tuple[PartState, ...]:
        """The parts' states at the beginning."""
        return tuple(
            PartState(
                name=planned.name,
                kind=planned.kind.value,
                address=planned.address,
                health_path=planned.health_path,
            )
            for planned in self.parts
        )


def make_plan(settings: Settings, parts: Iterable[Part], profiles: Sequence[str] = ()) -> Plan:
    """Plan the start of `parts` with `settings`."""
    return Plan(tuple(_planned(settings, part) for part in parts), tuple(profiles))


def _planned(settings: Settings, part: Part) -> PlannedPart:
    outside = _outside(settings, part)
    if outside is not None:
        address, health_path = outside
        return PlannedPart(part, Kind.EXTERNAL, address=address, health_path=health_path)
    if part is IDENTITY and settings.identity.mode == "keycloak":
        return _managed_keycloak(settings)
    kind = Kind.SERVICE if isinstance(part, Service) else Kind.CHILD
    if part.port_setting is None:
        return PlannedPart(part, kind, health_path=part.health_path or "")
    # The engine is for the services of this machine alone, wherever they listen.
    host = settings.server.listen_address if kind is Kind.SERVICE else "127.0.0.1"
    number = int(value_of(settings, part.port_setting))
    return PlannedPart(
        part,
        kind,
        port=WantedPort(part.name, host, number, part.port_setting),
        address=f"http://{local_host(host)}:{number}",
        health_path=part.health_path or "",
    )


def _managed_keycloak(settings: Settings) -> PlannedPart:
    """A Keycloak that the server runs, in the place of the embedded issuer."""
    keycloak, name, host = (
        settings.infrastructure.auth.keycloak,
        IDENTITY.name,
        settings.server.listen_address,
    )
    further = [("infrastructure.auth.keycloak.management_port", keycloak.management_port)]
    if not settings.infrastructure.database.url.get_secret_value():
        further.append(("infrastructure.auth.keycloak.database_port", keycloak.database_port))
    return PlannedPart(
        IDENTITY,
        Kind.CHILD,
        port=WantedPort(name, host, settings.identity.http_port, "identity.http_port"),
        address=f"http://{local_host(host)}:{settings.identity.http_port}",
        health_path=f"/realms/{keycloak.realm}",
        further_ports=tuple(WantedPort(name, "127.0.0.1", port, key) for key, port in further),
    )


def _outside(settings: Settings, part: Part) -> tuple[str, str] | None:
    """Address and health path of a part that somebody else runs, or None when it is ours."""
    if part is POSTGRES:
        address = without_credentials(settings.infrastructure.database.url.get_secret_value())
        return (address, "") if address else None
    if part is IDENTITY and settings.identity.mode == "keycloak":
        keycloak = settings.infrastructure.auth.keycloak
        if keycloak.managed:
            return None
        return keycloak.base_url.rstrip("/"), f"/realms/{keycloak.realm}"
    if part is INFERENCE and settings.inference.provider != "builtin":
        remote = settings.inference.provider == "remote"
        return settings.inference.remote.url if remote else settings.inference.vllm.url, ""
    return None


def without_credentials(url: str) -> str:
    """An address without user, password and query."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{parts.path}" if parts.scheme else ""
