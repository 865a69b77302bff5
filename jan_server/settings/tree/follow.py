"""Settings that follow others: an address follows its port, the issuer follows the public address."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

_NAME = re.compile(r"\{([a-z0-9_.]+)\}")
_LOCAL_HOST = "local_host"
# Addresses that cannot be called, or that loopback reaches as well.
_WILDCARDS = ("0.0.0.0", "::", "localhost", "127.0.0.1")  # noqa: S104


def leaves(section: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Walk all settings of a section and of its inner sections, each with its dotted key."""
    for name, field in section.model_fields.items():
        key = f"{prefix}{name}"
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from leaves(field.annotation, f"{key}.")
        else:
            yield key, field


def local_host(listen_address: str) -> str:
    """Give the address at which this machine reaches a listener that was bound to `listen_address`."""
    if listen_address in _WILDCARDS:
        return "127.0.0.1"
    return f"[{listen_address}]" if ":" in listen_address else listen_address


def template_keys(template: str) -> tuple[str, ...]:
    """Name the keys that a template refers to; `local_host` stands for server.listen_address."""
    return tuple("server.listen_address" if name == _LOCAL_HOST else name for name in _NAME.findall(template))


def followed(root: type[BaseModel], given: Mapping[str, Any]) -> dict[str, Any]:
    """Make the values that nobody gave but that follow from values that somebody gave.

    Args:
        root: The settings tree.
        given: What the sources say, by dotted key.

    Returns:
        The further values, by dotted key.
    """
    fields = dict(leaves(root))
    made: dict[str, Any] = {}

    def template_of(key: str) -> str:
        extra = fields[key].json_schema_extra
        return str(extra.get("follows", "")) if isinstance(extra, dict) else ""

    def moved(key: str) -> bool:
        return key in given or any(moved(source) for source in template_keys(template_of(key)))

    def value(key: str) -> Any:
        if key in given:
            return given[key]
        template = template_of(key)
        if not template or not moved(key):
            return fields[key].get_default(call_default_factory=True)
        return _NAME.sub(lambda match: word(match[1]), template)

    def word(name: str) -> str:
        if name == _LOCAL_HOST:
            return local_host(str(value("server.listen_address")))
        return str(value(name))

    for key in fields:
        if key not in given and template_of(key) and moved(key):
            made[key] = value(key)
    return made
