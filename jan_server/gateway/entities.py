"""The entities of a declarative Kong file, as frozen records with their references resolved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from jan_server.gateway.paths import PathHandling


@dataclass(frozen=True, slots=True)
class Plugin:
    """A plugin with its settings, and what it is attached to (empty texts: everything).

    Attributes:
        name: Kong's name of the plugin, for example `rate-limiting`.
        config: The plugin's own frozen record.
        service: Name of the service it is attached to.
        route: Name of the route it is attached to.
        consumer: Name of the consumer it is attached to.
        place: Where in the file it stands.
    """

    name: str
    config: Any
    service: str = ""
    route: str = ""
    consumer: str = ""
    place: str = ""


@dataclass(frozen=True, slots=True)
class Service:
    """An upstream as routes know it; times are in seconds.

    Attributes:
        verify_tls: Whether the certificate of an `https` upstream is checked.
    """

    name: str
    host: str
    port: int
    protocol: Literal["http", "https"] = "http"
    path: str = "/"
    retries: int = 5
    connect_seconds: float = 60.0
    write_seconds: float = 60.0
    read_seconds: float = 60.0
    verify_tls: bool = True


@dataclass(frozen=True, slots=True)
class Route:
    """What requests a service gets, and how its path is made from theirs.

    Attributes:
        service: Name of the service, empty for a route that only plugins answer.
        paths: Prefixes (`/v1`) and regular expressions (`~/v1/[0-9]+`).
        headers: Values that a header must have one of, by lower-case name; `~*` begins an expression.
        https_status: What a plain-http request gets on a route that is only for https.
    """

    name: str
    service: str = ""
    protocols: tuple[str, ...] = ("http", "https")
    methods: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    headers: tuple[tuple[str, tuple[str, ...]], ...] = ()
    regex_priority: int = 0
    strip_path: bool = True
    path_handling: PathHandling = "v0"
    preserve_host: bool = False
    https_status: int = 426


@dataclass(frozen=True, slots=True)
class Consumer:
    """Somebody whom credentials belong to and plugins can be attached to."""

    name: str
    id: str = ""
    custom_id: str = ""


@dataclass(frozen=True, slots=True)
class JwtCredential:
    """A key that signs a consumer's tokens.

    Attributes:
        key: The value of the claim that selects this credential, usually an issuer.
        public_key: PEM; empty where the jwt plugin has a JWKS address.
    """

    consumer: str
    key: str
    algorithm: str
    public_key: str = ""


@dataclass(frozen=True, slots=True)
class Target:
    """One address behind an upstream name, and its share of the requests."""

    host: str
    port: int
    weight: int = 100


@dataclass(frozen=True, slots=True)
class Upstream:
    """A name that services may use as their host, and the addresses behind it."""

    name: str
    targets: tuple[Target, ...]


@dataclass(frozen=True, slots=True)
class KongFile:
    """A whole file, its references resolved."""

    services: Mapping[str, Service]
    routes: tuple[Route, ...]
    consumers: Mapping[str, Consumer]
    jwt_credentials: tuple[JwtCredential, ...]
    plugins: tuple[Plugin, ...]
    upstreams: Mapping[str, Upstream]
