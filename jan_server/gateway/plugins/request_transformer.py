"""request-transformer: changes headers, query, body, method and path on the way to the upstream.

Source: Kong 3.5's plugin of the same name. Bodies are changed where they are JSON objects or
forms; they are gathered for that, so such a route does not stream uploads.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlencode

from jan_server.gateway.entities import Plugin
from jan_server.gateway.exchange import Exchange
from jan_server.gateway.fields import Fields
from jan_server.gateway.paths import normalise
from jan_server.gateway.plugins.kind import PluginKind, Surroundings
from jan_server.gateway.plugins.transformations import (
    OPERATIONS,
    Changes,
    Lookup,
    Value,
    change_form,
    change_object,
    change_pairs,
    read_changes,
    read_value,
)
from jan_server.gateway.rejection import Reply

_METHOD = re.compile(r"[A-Za-z]+\Z")


@dataclass(frozen=True, slots=True)
class Config:
    """The plugin's settings."""

    http_method: str
    uri: Value | None
    headers: Changes
    querystring: Changes
    body: Changes


def read(fields: Fields) -> Config:
    """Read `config`."""
    http_method = fields.text("http_method").upper()
    if http_method and not _METHOD.match(http_method):
        raise fields.error("http_method", f"{http_method!r} is not an HTTP method")
    sections = {name: section for name in OPERATIONS if (section := fields.section(name)) is not None}
    uri = None
    if (replacing := sections.get("replace")) is not None and (text := replacing.text("uri")):
        uri = read_value(replacing, "uri", text, templates=True)
    config = Config(
        http_method=http_method,
        uri=uri,
        headers=read_changes(sections, "headers", templates=True),
        querystring=read_changes(sections, "querystring", templates=True),
        body=read_changes(sections, "body", templates=True),
    )
    for section in sections.values():
        section.end()
    fields.end()
    return config


class RequestTransformer:
    """Makes the changes; what only adds constant headers costs no more than that."""

    def __init__(self, config: Config) -> None:
        self._config = config
        headers = config.headers
        simple = not (headers.remove or headers.rename or headers.replace or headers.append)
        constants = [value.parts for _, value in headers.add]
        self._only_adds = simple and all(len(parts) == 1 and isinstance(parts[0], str) for parts in constants)
        self._added = tuple(
            (name.lower().encode(), str(value.parts[0]).encode())
            for name, value in headers.add
            if value.parts
        )

    async def access(self, exchange: Exchange) -> Reply | None:
        """Change the request."""
        config = self._config
        if self._only_adds:
            given = exchange.given
            exchange.headers += [header for header in self._added if header[0] not in given]
        else:
            _change_headers(exchange, config.headers, lookup_in(exchange))
        if config.querystring:
            pairs = change_pairs(exchange.query_parameters(), config.querystring, lookup_in(exchange))
            exchange.query = urlencode(pairs).encode()
        if config.body and not exchange.is_websocket:
            await _change_body(exchange, config.body)
        if config.http_method:
            exchange.method = config.http_method
        if config.uri is not None:
            exchange.upstream_path = normalise(config.uri.filled(lookup_in(exchange)).encode())
        return None


def lookup_in(exchange: Exchange) -> Lookup:
    """Looks up what a template asks for in this request."""

    def lookup(place: str, name: str) -> str:
        if place == "headers":
            # Lua names cannot hold a dash, so an underscore stands for one.
            for known in (name, name.replace("_", "-")):
                value = exchange.given.get(known.lower().encode())
                if value is not None:
                    return value.decode("latin-1")
            return ""
        if place == "query_params":
            return next((value for known, value in exchange.query_parameters() if known == name), "")
        return exchange.match.captures.get(name, "")

    return lookup


def _change_headers(exchange: Exchange, changes: Changes, lookup: Lookup) -> None:
    removed = {name.lower().encode() for name in changes.remove}
    headers = [header for header in exchange.headers if header[0] not in removed]
    for old, new in changes.rename:
        before, after = old.lower().encode(), new.lower().encode()
        headers = [(after if name == before else name, value) for name, value in headers]

    def has(name: bytes) -> bool:
        return any(known == name for known, _ in headers)

    for name, value in changes.replace:
        key = name.lower().encode()
        if has(key):
            headers = [*(header for header in headers if header[0] != key), (key, _bytes(value, lookup))]
    for name, value in changes.add:
        key = name.lower().encode()
        if not has(key) and key != b"host":
            headers.append((key, _bytes(value, lookup)))
    headers += [(name.lower().encode(), _bytes(value, lookup)) for name, value in changes.append]
    exchange.headers[:] = headers


def _bytes(value: Value, lookup: Lookup) -> bytes:
    # A decoded query may hold line breaks, which would begin a header of their own.
    return re.sub(r"[\r\n\0]", " ", value.filled(lookup)).encode("latin-1", "replace")


async def _change_body(exchange: Exchange, changes: Changes) -> None:
    kind = exchange.given.get(b"content-type", b"").lower()
    is_json = b"application/json" in kind
    if not is_json and b"application/x-www-form-urlencoded" not in kind:
        return
    before = await exchange.body()
    if exchange.refusal is not None:
        return
    lookup = lookup_in(exchange)
    after = change_object(before, changes, lookup) if is_json else change_form(before, changes, lookup)
    exchange.replace_body(after)
    exchange.remove_header(b"transfer-encoding")
    exchange.set_header(b"content-length", str(len(after)).encode())


def build(plugin: Plugin, surroundings: Surroundings) -> RequestTransformer:
    """Make the running plugin."""
    return RequestTransformer(plugin.config)


KIND = PluginKind("request-transformer", 801, read, build)
