"""cors: says which web pages may call, and answers their preflight requests.

Source: Kong 3.5's plugin of the same name; the Fetch standard.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from jan_server.gateway.entities import Plugin
from jan_server.gateway.exchange import Exchange, ResponseHead
from jan_server.gateway.fields import Fields
from jan_server.gateway.plugins.kind import PluginKind, Surroundings
from jan_server.gateway.rejection import Reply

METHODS = ("GET", "HEAD", "PUT", "PATCH", "POST", "DELETE", "OPTIONS", "TRACE", "CONNECT")
CACHED_ORIGINS = 1_000

_PLAIN = re.compile(r"[A-Za-z0-9.:/-]+\Z")
_ALLOW_ORIGIN = b"access-control-allow-origin"
_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Config:
    """The plugin's settings, named as Kong names them."""

    origins: tuple[str, ...]
    methods: tuple[str, ...]
    headers: tuple[str, ...]
    exposed_headers: tuple[str, ...]
    credentials: bool
    max_age: int | None
    preflight_continue: bool
    private_network: bool


def read(fields: Fields) -> Config:
    """Read `config`."""
    for index, origin in enumerate(fields.texts("origins")):
        if origin != "*" and not _PLAIN.match(origin):
            try:
                re.compile(origin)
            except re.error as failure:
                raise fields.error(f"origins[{index}]", f"not a regular expression: {failure}") from failure
    config = Config(
        origins=fields.texts("origins"),
        methods=fields.texts("methods", METHODS, one_of=METHODS),
        headers=fields.texts("headers"),
        exposed_headers=fields.texts("exposed_headers"),
        credentials=fields.flag("credentials", False),
        max_age=fields.whole("max_age", 0) if fields.has("max_age") else None,
        preflight_continue=fields.flag("preflight_continue", False),
        private_network=fields.flag("private_network", False),
    )
    fields.take("max_age")
    fields.end()
    return config


class Cors:
    """Writes the Access-Control headers; for listed origins they replace the upstream's."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._any_origin = not config.origins or "*" in config.origins
        self._fixed = (
            config.origins[0] if len(config.origins) == 1 and _PLAIN.match(config.origins[0]) else ""
        )
        self._rules = tuple(_rule(origin) for origin in config.origins if origin != "*")
        self._allowed: dict[bytes, bytes | None] = {}
        self._exposed = ",".join(config.exposed_headers).encode()

    async def access(self, exchange: Exchange) -> Reply | None:
        """Answer a preflight request."""
        given = exchange.given
        origin = given.get(b"origin")
        if exchange.method != "OPTIONS" or origin is None or b"access-control-request-method" not in given:
            return None
        exchange.notes[self] = True
        if self._config.preflight_continue:
            return None
        head = ResponseHead(200, [])
        self._write_origin(head, origin)
        wanted = ",".join(self._config.headers).encode() or given.get(b"access-control-request-headers")
        if wanted:
            head.set(b"access-control-allow-headers", wanted)
        head.set(b"access-control-allow-methods", ",".join(self._config.methods).encode())
        if self._config.max_age is not None:
            head.set(b"access-control-max-age", str(self._config.max_age).encode())
        if self._config.private_network and given.get(b"access-control-request-private-network") == b"true":
            head.set(b"access-control-allow-private-network", b"true")
        return Reply(200, b"", tuple(head.headers))

    def on_response(self, exchange: Exchange, head: ResponseHead) -> None:
        """Write the headers of an actual request's response."""
        origin = exchange.given.get(b"origin")
        if origin is None or self in exchange.notes:
            return
        self._write_origin(head, origin)
        if self._exposed:
            head.set(b"access-control-expose-headers", self._exposed)

    def _write_origin(self, head: ResponseHead, origin: bytes) -> None:
        if self._any_origin and not self._config.credentials:
            head.set(_ALLOW_ORIGIN, b"*")
            return
        head.add(b"vary", b"Origin")
        allowed = origin if self._any_origin else self._allowed_value(origin)
        if allowed is None:
            head.remove(_ALLOW_ORIGIN)
            head.remove(b"access-control-allow-credentials")
            return
        head.set(_ALLOW_ORIGIN, allowed)
        if self._config.credentials:
            head.set(b"access-control-allow-credentials", b"true")

    def _allowed_value(self, origin: bytes) -> bytes | None:
        if self._fixed:
            return self._fixed.encode()
        if origin in self._allowed:
            return self._allowed[origin]
        name, host = _normal_origin(origin.decode("latin-1"))
        matches = any(rule.fits(name, host) for rule in self._rules)
        if len(self._allowed) >= CACHED_ORIGINS:
            self._allowed.clear()
        self._allowed[origin] = name.encode("latin-1") if matches else None
        return self._allowed[origin]


@dataclass(frozen=True, slots=True)
class _Rule:
    """One entry of `origins`: an origin, a host, or an expression for either."""

    text: str
    expression: re.Pattern[str] | None
    by_host: bool

    def fits(self, origin: str, host: str) -> bool:
        subject = host if self.by_host else origin
        return bool(self.expression.fullmatch(subject)) if self.expression else subject == self.text


def _rule(written: str) -> _Rule:
    by_host = ":" not in written
    if _PLAIN.match(written):
        return _Rule(written if by_host else _normal_origin(written)[0], None, by_host)
    return _Rule(written, re.compile(written.removeprefix("^").removesuffix("$")), by_host)


def _normal_origin(origin: str) -> tuple[str, str]:
    """An origin without a default port, and its host."""
    try:
        parts = urlsplit(origin)
        port = parts.port
    except ValueError:
        return origin, origin
    if not parts.hostname:
        return origin, origin
    shown = "" if port is None or port == _DEFAULT_PORTS.get(parts.scheme) else f":{port}"
    return f"{parts.scheme}://{parts.hostname}{shown}", parts.hostname


def build(plugin: Plugin, surroundings: Surroundings) -> Cors:
    """Make the running plugin."""
    return Cors(plugin.config)


KIND = PluginKind("cors", 2000, read, build, by_consumer=False)
