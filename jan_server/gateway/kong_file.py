"""The declarative Kong file (format 3.0), read into entities.

What the file says is either executed or refused by its place in the file; nothing is read
and ignored, except what only tells apart or comments (`id`, `tags`, `_comment`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from jan_server.gateway.entities import (
    Consumer,
    JwtCredential,
    KongFile,
    Plugin,
    Route,
    Service,
    Target,
    Upstream,
)
from jan_server.gateway.fields import Fields, KongFileError
from jan_server.gateway.paths import normalise, python_expression
from jan_server.gateway.plugins import KINDS

FORMAT_VERSION = "3.0"
ALGORITHMS = frozenset({"RS256", "RS384", "RS512", "ES256", "ES384"})

_METHOD = re.compile(r"[A-Z]+\Z")
_HOST = re.compile(r"(?:\*\.)?[A-Za-z0-9_.\-]+(?:\.\*)?(?::\d+)?\Z|\[[0-9A-Fa-f:]+\](?::\d+)?\Z")


def load(path: Path) -> KongFile:
    """Read a file.

    Raises:
        KongFileError: It cannot be read, is not YAML, or says something that is not executed.
    """
    return parse(read_text(path))


def read_text(path: Path) -> str:
    """The text of a file.

    Raises:
        KongFileError: It cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as failure:
        reason = getattr(failure, "strerror", None) or failure
        raise KongFileError("", f"{path} cannot be read: {reason}") from failure


def parse(text: str) -> KongFile:
    """Read the text of a file.

    Raises:
        KongFileError: As `load`.
    """
    try:
        document = yaml.load(text, Loader=_SafeLoader)  # noqa: S506 - a safe loader, in C where there is one
    except yaml.YAMLError as failure:
        raise KongFileError("", f"not YAML: {' '.join(str(failure).split())}") from failure
    return _Reader().file(Fields(document if document is not None else {}, ""))


_SafeLoader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Reader:
    """Collects the entities of one file while walking through it."""

    def __init__(self) -> None:
        self.services: dict[str, Service] = {}
        self.routes: dict[str, Route] = {}
        self.consumers: dict[str, Consumer] = {}
        self.credentials: list[JwtCredential] = []
        self.plugins: list[Plugin] = []
        self.upstreams: dict[str, Upstream] = {}
        self._ids: dict[tuple[str, str], str] = {}
        # A plugin may refer to what stands further down, so plugins are read last.
        self._plugins_to_read: list[tuple[Fields, str, str, str]] = []

    def file(self, fields: Fields) -> KongFile:
        version = fields.take("_format_version")
        if str(version) != FORMAT_VERSION:
            raise fields.error("_format_version", f'this gateway executes format "{FORMAT_VERSION}"')
        fields.flag("_transform", True)
        fields.take("_comment")
        top_level_routes = fields.sections("routes")
        top_level_plugins = fields.sections("plugins")
        top_level_credentials = fields.sections("jwt_secrets")
        for consumer in fields.sections("consumers"):
            self.consumer(consumer)
        for upstream in fields.sections("upstreams"):
            self.upstream(upstream)
        for service in fields.sections("services"):
            self.service(service)
        for route in top_level_routes:
            self.route(route, self.resolve(route, "service", self.services))
        for credential in top_level_credentials:
            self.credential(credential, self.resolve(credential, "consumer", self.consumers))
        for plugin in top_level_plugins:
            self.attach(plugin)
        fields.end()
        for plugin, service_name, route_name, consumer_name in self._plugins_to_read:
            self.plugin(plugin, service_name, route_name, consumer_name)
        self.check_credentials()
        return KongFile(
            services=self.services,
            routes=tuple(self.routes.values()),
            consumers=self.consumers,
            jwt_credentials=tuple(self.credentials),
            plugins=tuple(self.plugins),
            upstreams=self.upstreams,
        )

    def service(self, fields: Fields) -> None:
        url = fields.text("url")
        if url:
            parts = urlsplit(url)
            if parts.scheme not in ("http", "https") or not parts.hostname:
                raise fields.error("url", f"{url!r} is not an http or https address")
            protocol, host = parts.scheme, parts.hostname
            port, path = parts.port or (443 if protocol == "https" else 80), parts.path or "/"
            fields.refuse("protocol", "host", "port", "path", reason="`url` already says it")
        else:
            protocol = fields.text("protocol", "http", one_of=("http", "https"))
            host = fields.required_text("host")
            port, path = fields.whole("port", 80, least=1, most=65535), fields.text("path", "/")
        if not path.startswith("/"):
            raise fields.error("path", "a path begins with /")
        name = self.named(fields, "service", self.services, fallback=host)
        self.services[name] = Service(
            name=name,
            host=host.lower(),
            port=port,
            protocol="https" if protocol == "https" else "http",
            path=normalise(path.encode()),
            retries=fields.whole("retries", 5, most=32767),
            connect_seconds=fields.whole("connect_timeout", 60_000, least=1) / 1000,
            write_seconds=fields.whole("write_timeout", 60_000, least=1) / 1000,
            read_seconds=fields.whole("read_timeout", 60_000, least=1) / 1000,
            verify_tls=fields.flag("tls_verify", True),
        )
        fields.texts("tags")
        fields.refuse(
            "client_certificate",
            "ca_certificates",
            "tls_verify_depth",
            reason="certificates are not kept here",
        )
        enabled = fields.flag("enabled", True)
        routes, plugins = fields.sections("routes"), fields.sections("plugins")
        fields.end()
        if not enabled:
            del self.services[name]
            return
        for plugin in plugins:
            self.attach(plugin, service=name)
        for route in routes:
            self.route(route, name)

    def route(self, fields: Fields, service: str) -> None:
        name = self.named(fields, "route", self.routes, fallback=fields.path)
        route = Route(
            name=name,
            service=service,
            protocols=fields.texts("protocols", ("http", "https"), one_of=("http", "https")),
            methods=self.methods(fields),
            hosts=self.hosts(fields),
            paths=self.paths(fields),
            headers=self.headers(fields),
            regex_priority=fields.whole("regex_priority", 0),
            strip_path=fields.flag("strip_path", True),
            path_handling="v1" if fields.text("path_handling", "v0", one_of=("v0", "v1")) == "v1" else "v0",
            preserve_host=fields.flag("preserve_host", False),
            https_status=fields.whole("https_redirect_status_code", 426, least=301, most=426),
        )
        if route.https_status not in (301, 302, 307, 308, 426):
            raise fields.error("https_redirect_status_code", "use 301, 302, 307, 308 or 426")
        if not (route.methods or route.hosts or route.paths or route.headers):
            raise KongFileError(fields.path, "a route needs at least one of methods, hosts, paths or headers")
        # Bodies always stream in both directions, whatever these two say.
        fields.flag("request_buffering", True)
        fields.flag("response_buffering", True)
        fields.texts("tags")
        fields.refuse("snis", reason="the listener does not see TLS server names")
        fields.refuse("sources", "destinations", reason="only http and https routes are executed")
        plugins = fields.sections("plugins")
        fields.end()
        self.routes[name] = route
        for plugin in plugins:
            self.attach(plugin, route=name)

    def consumer(self, fields: Fields) -> None:
        custom_id = fields.text("custom_id")
        if not custom_id and not fields.has("username"):
            raise KongFileError(fields.path, "a consumer needs a username or a custom_id")
        identifier = fields.text("id")
        name = self.named(fields, "consumer", self.consumers, fallback=custom_id, field="username")
        self.consumers[name] = Consumer(name=name, id=identifier or name, custom_id=custom_id)
        credentials, plugins = fields.sections("jwt_secrets"), fields.sections("plugins")
        fields.texts("tags")
        fields.end()
        for credential in credentials:
            self.credential(credential, name)
        for plugin in plugins:
            self.attach(plugin, consumer=name)

    def credential(self, fields: Fields, consumer: str) -> None:
        algorithm = fields.text("algorithm", "HS256")
        if algorithm not in ALGORITHMS:
            raise fields.error(
                "algorithm",
                f"{algorithm!r} is not supported (HS256 when absent): a secret shared with the signer "
                f"proves nothing; use one of {', '.join(sorted(ALGORITHMS))}",
            )
        fields.refuse("secret", reason="only tokens signed with a private key are accepted")
        public_key = fields.text("rsa_public_key")
        if public_key:
            _check_public_key(fields, public_key, algorithm)
        self.credentials.append(
            JwtCredential(
                consumer=consumer,
                key=fields.required_text("key"),
                algorithm=algorithm,
                public_key=public_key,
            )
        )
        fields.text("id")
        fields.texts("tags")
        fields.end()

    def upstream(self, fields: Fields) -> None:
        name = self.named(fields, "upstream", self.upstreams)
        fields.text("algorithm", "round-robin", one_of=("round-robin",))
        fields.text("hash_on", "none", one_of=("none",))
        fields.whole("slots", 10_000, least=10, most=65_536)
        fields.texts("tags")
        fields.refuse("healthchecks", reason="a target that refuses a connection is skipped for the next one")
        targets = []
        for target in fields.sections("targets"):
            address = target.required_text("target")
            host, _, port = address.rpartition(":") if address.count(":") == 1 else (address, "", "8000")
            if not host or not port.isdigit():
                raise target.error("target", f"{address!r} is not host:port")
            weight = target.whole("weight", 100, most=65_535)
            targets.append(Target(host=host.lower(), port=int(port), weight=weight))
            target.text("id")
            target.texts("tags")
            target.end()
        fields.end()
        if not any(target.weight for target in targets):
            raise fields.error("targets", "at least one target with a weight above 0 is required")
        self.upstreams[name.lower()] = Upstream(name=name.lower(), targets=tuple(targets))

    def attach(self, fields: Fields, *, service: str = "", route: str = "", consumer: str = "") -> None:
        self._plugins_to_read.append((fields, service, route, consumer))

    def plugin(self, fields: Fields, service: str, route: str, consumer: str) -> None:
        name = fields.required_text("name")
        kind = KINDS.get(name)
        if kind is None:
            raise fields.error(
                "name", f"the plugin {name!r} is not supported; there are {', '.join(sorted(KINDS))}"
            )
        service = self.resolve(fields, "service", self.services) or service
        route = self.resolve(fields, "route", self.routes) or route
        consumer = self.resolve(fields, "consumer", self.consumers) or consumer
        if consumer and not kind.by_consumer:
            raise KongFileError(fields.path, f"{name} cannot be attached to a consumer")
        config = kind.read(fields.section("config") or Fields({}, fields.place("config")))
        enabled = fields.flag("enabled", True)
        protocols = fields.texts("protocols", ("http", "https"))
        if not {"http", "https"} <= set(protocols):
            raise fields.error("protocols", "a plugin runs on http and https alike; name both or none")
        fields.text("id")
        fields.text("instance_name")
        fields.texts("tags")
        fields.refuse("ordering", "consumer_group", reason="plugins run in Kong's own order")
        fields.end()
        if not enabled:
            return
        plugin = Plugin(name, config, service, route, consumer, fields.path)
        for other in self.plugins:
            if (other.name, other.service, other.route, other.consumer) == (name, service, route, consumer):
                raise KongFileError(fields.path, f"{name} is already attached there, at {other.place}")
        self.plugins.append(plugin)

    def check_credentials(self) -> None:
        seen: set[str] = set()
        for credential in self.credentials:
            if credential.key in seen:
                raise KongFileError("jwt_secrets", f"the key {credential.key!r} is used twice")
            seen.add(credential.key)
        for plugin in self.plugins:
            check = KINDS[plugin.name].check
            if check is not None:
                check(plugin.config, self.consumers, self.credentials, plugin.place)

    def named(
        self,
        fields: Fields,
        entity: str,
        known: Mapping[str, Any],
        *,
        fallback: str = "",
        field: str = "name",
    ) -> str:
        """The name of an entity, or its id, or the fallback; each at most once."""
        identifier = fields.text("id")
        name = fields.text(field) or identifier or fallback
        if not name:
            raise fields.error(field, "a name is required here")
        if name in known:
            raise fields.error(field, f"there is already a {entity} of the name {name!r}")
        if identifier:
            self._ids[entity, identifier] = name
        return name

    def resolve(self, fields: Fields, entity: str, known: Mapping[str, Any]) -> str:
        reference = fields.reference(entity)
        name = self._ids.get((entity, reference), reference)
        if name and name not in known:
            raise fields.error(entity, f"there is no {entity} {reference!r} in this file")
        return name

    def methods(self, fields: Fields) -> tuple[str, ...]:
        methods = fields.texts("methods")
        for index, method in enumerate(methods):
            if not _METHOD.match(method):
                raise fields.error(f"methods[{index}]", f"{method!r} is not an HTTP method in capitals")
        return methods

    def hosts(self, fields: Fields) -> tuple[str, ...]:
        hosts = fields.texts("hosts")
        for index, host in enumerate(hosts):
            if not _HOST.match(host) or (host.startswith("*.") and host.endswith(".*")):
                raise fields.error(
                    f"hosts[{index}]",
                    f"{host!r} is not a host name, `*.name` or `name.*`, with or without a port",
                )
        return tuple(host.lower() for host in hosts)

    def paths(self, fields: Fields) -> tuple[str, ...]:
        paths = []
        for index, path in enumerate(fields.texts("paths")):
            place = f"paths[{index}]"
            if path.startswith("~/"):
                expression = python_expression(path[1:])
                try:
                    re.compile(expression)
                except re.error as failure:
                    raise fields.error(place, f"{path!r} is not a regular expression: {failure}") from failure
                paths.append("~" + expression)
            elif path.startswith("/"):
                paths.append(normalise(path.encode()))
            else:
                raise fields.error(place, f"{path!r} must begin with / (a prefix) or ~/ (an expression)")
        return tuple(paths)

    def headers(self, fields: Fields) -> tuple[tuple[str, tuple[str, ...]], ...]:
        section = fields.section("headers")
        if section is None:
            return ()
        found = []
        for name in dict(fields.take("headers")):
            if str(name).lower() == "host":
                raise section.error(str(name), "use `hosts` for the host")
            values = section.texts(str(name))
            for index, value in enumerate(values):
                if value.startswith("~*"):
                    try:
                        re.compile(python_expression(value[2:]))
                    except re.error as failure:
                        raise section.error(
                            f"{name}[{index}]", f"not a regular expression: {failure}"
                        ) from failure
            found.append((str(name).lower(), values))
        return tuple(found)


def _check_public_key(fields: Fields, pem: str, algorithm: str) -> None:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key = load_pem_public_key(pem.encode())
    except ValueError as failure:
        raise fields.error("rsa_public_key", "not a public key in PEM") from failure
    wanted = RSAPublicKey if algorithm.startswith("RS") else EllipticCurvePublicKey
    if not isinstance(key, wanted):
        raise fields.error("rsa_public_key", f"this key does not fit the algorithm {algorithm}")
