"""response-transformer: changes headers and JSON bodies on the way to the client.

Source: Kong 3.5's plugin of the same name. A JSON body that is to be changed is gathered
first; every other response streams as ever.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from jan_server.gateway.entities import Plugin
from jan_server.gateway.exchange import Exchange, ResponseHead
from jan_server.gateway.fields import Fields
from jan_server.gateway.plugins.kind import BodyPlugin, PluginKind, ResponsePlugin, Surroundings
from jan_server.gateway.plugins.transformations import (
    OPERATIONS,
    Changes,
    change_object,
    read_changes,
)

TYPES = ("boolean", "number", "string")


@dataclass(frozen=True, slots=True)
class Config:
    """The plugin's settings.

    Attributes:
        types: `json_types` by operation: the JSON type of each value of its `json`.
    """

    headers: Changes
    json: Changes
    types: dict[str, tuple[str, ...]] = field(default_factory=dict)


def read(fields: Fields) -> Config:
    """Read `config`."""
    sections = {name: section for name in OPERATIONS if (section := fields.section(name)) is not None}
    types = {}
    for name, section in sections.items():
        if name in ("replace", "add", "append"):
            types[name] = section.texts("json_types", one_of=TYPES)
            if types[name] and len(types[name]) != len(section.texts("json")):
                raise section.error("json_types", "it needs as many entries as json")
    config = Config(
        headers=read_changes(sections, "headers", templates=False),
        json=read_changes(sections, "json", templates=False),
        types=types,
    )
    for section in sections.values():
        section.end()
    fields.end()
    return config


class HeaderTransformer:
    """Changes the headers of every response."""

    def __init__(self, config: Config) -> None:
        self._changes = config.headers

    def on_response(self, exchange: Exchange, head: ResponseHead) -> None:
        """Change the headers."""
        changes = self._changes
        for name in changes.remove:
            head.remove(name.lower().encode())
        for old, new in changes.rename:
            value = head.get(old.lower().encode())
            if value is not None:
                head.remove(old.lower().encode())
                head.set(new.lower().encode(), value)
        for name, wanted in changes.replace:
            if head.get(name.lower().encode()) is not None:
                head.set(name.lower().encode(), wanted.filled(_nothing).encode("latin-1", "replace"))
        for name, wanted in changes.add:
            if head.get(name.lower().encode()) is None:
                head.set(name.lower().encode(), wanted.filled(_nothing).encode("latin-1", "replace"))
        for name, wanted in changes.append:
            head.add(name.lower().encode(), wanted.filled(_nothing).encode("latin-1", "replace"))


class BodyTransformer(HeaderTransformer):
    """Changes the headers of every response, and the body of those that are JSON."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self._json = config.json
        self._types = config.types

    def wants_body(self, head: ResponseHead) -> bool:
        """Whether this response is plain JSON."""
        kind = head.get(b"content-type") or b""
        return b"application/json" in kind.lower() and head.get(b"content-encoding") is None

    def rewrite(self, body: bytes) -> bytes:
        """The changed body."""
        return change_object(body, self._json, _nothing, self._cast)

    def _cast(self, operation: str, index: int, text: str) -> Any:
        types = self._types.get(operation, ())
        kind = types[index] if index < len(types) else "string"
        if kind == "boolean":
            return text == "true"
        if kind == "number":
            try:
                return int(text) if text.lstrip("-").isdigit() else float(text)
            except ValueError:
                return text
        return text


def _nothing(place: str, name: str) -> str:
    return ""


def build(plugin: Plugin, surroundings: Surroundings) -> ResponsePlugin | BodyPlugin:
    """Make the running plugin; without changes to bodies it never looks at one."""
    config: Config = plugin.config
    return BodyTransformer(config) if config.json else HeaderTransformer(config)


KIND = PluginKind("response-transformer", 800, read, build)
