"""correlation-id: gives each request an id that client, gateway and services share.

Source: Kong 3.5's plugin of the same name (priority 100001 since Kong 3.0).
"""

from __future__ import annotations

import itertools
import os
import re
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass

from jan_server.gateway.entities import Plugin
from jan_server.gateway.exchange import Exchange, ResponseHead
from jan_server.gateway.fields import Fields
from jan_server.gateway.plugins.kind import PluginKind, Surroundings
from jan_server.gateway.rejection import Reply

# What a client may choose; anything else would end up in logs and headers.
_ACCEPTED = re.compile(rb"[\x21-\x7e]{1,128}\Z")


@dataclass(frozen=True, slots=True)
class Config:
    """The plugin's settings, named as Kong names them."""

    header_name: str
    generator: str
    echo_downstream: bool


def read(fields: Fields) -> Config:
    """Read `config`."""
    config = Config(
        header_name=fields.text("header_name", "Kong-Request-ID"),
        generator=fields.text("generator", "uuid#counter", one_of=("uuid", "uuid#counter", "tracker")),
        echo_downstream=fields.flag("echo_downstream", False),
    )
    fields.end()
    return config


class CorrelationId:
    """Keeps the client's id, when it is short and printable, or makes one."""

    def __init__(self, config: Config) -> None:
        self._header = config.header_name.lower().encode()
        self._echo = config.echo_downstream
        self._make = _generator(config.generator)

    async def access(self, exchange: Exchange) -> Reply | None:
        """Set the header for the upstream and, when asked to, for the client."""
        given = exchange.given.get(self._header)
        if given is not None and _ACCEPTED.match(given):
            value = given
        else:
            value = self._make(exchange).encode()
            if given is not None:
                exchange.remove_header(self._header)
            exchange.headers.append((self._header, value))
        exchange.request_id = value.decode()
        if self._echo:
            exchange.response_headers.append((self._header, value))
        return None

    def on_response(self, exchange: Exchange, head: ResponseHead) -> None:
        """Tell the client the id of a request that was refused before it had one, for lack of a route."""
        if self._echo and exchange.request_id is exchange.kong_id:
            head.set(self._header, exchange.kong_id.encode())


def _generator(name: str) -> Callable[[Exchange], str]:
    if name == "uuid":
        return lambda _: random_uuid()
    counter = itertools.count(1)
    if name == "uuid#counter":
        process = str(uuid.uuid4())
        return lambda _: f"{process}#{next(counter)}"

    def tracker(exchange: Exchange) -> str:
        host, port = exchange.scope.get("server") or ("", 0)
        return f"{host}-{port}-{os.getpid()}-{next(counter)}-1-{time.time():.3f}"

    return tracker


def random_uuid() -> str:
    """A random UUID (version 4); the standard library's way costs several times as much."""
    digits = os.urandom(16).hex()
    variant = "89ab"[int(digits[16], 16) & 3]
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"


def build(plugin: Plugin, surroundings: Surroundings) -> CorrelationId:
    """Make the running plugin."""
    return CorrelationId(plugin.config)


KIND = PluginKind("correlation-id", 100_001, read, build)
