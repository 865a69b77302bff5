"""The settings tree: every key that Jan Server knows, typed, described and with its environment names."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, model_validator

from jan_server.settings.tree.fields import Section
from jan_server.settings.tree.follow import followed
from jan_server.settings.tree.identity import Identity
from jan_server.settings.tree.inference import Inference
from jan_server.settings.tree.infrastructure import Infrastructure
from jan_server.settings.tree.meta import Meta
from jan_server.settings.tree.monitoring import Monitoring
from jan_server.settings.tree.server import Server
from jan_server.settings.tree.services import Services


class Settings(Section):
    """All settings. `Settings()` is the in-process stack on 127.0.0.1 without any secret.

    Addresses follow their ports: `Settings(services={"llm_api": {"http_port": 9000}})` also moves
    every address of llm-api that was not given.
    """

    meta: Meta = Meta()
    server: Server = Server()
    infrastructure: Infrastructure = Infrastructure()
    identity: Identity = Identity()
    services: Services = Services()
    inference: Inference = Inference()
    monitoring: Monitoring = Monitoring()

    @model_validator(mode="before")
    @classmethod
    def _follow(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        tree = plain(data)
        for key, value in followed(cls, flat(tree)).items():
            plant(tree, key, value)
        return tree


def plain(value: Any) -> Any:
    """Turn sections inside nested mappings into mappings of what was set in them."""
    if isinstance(value, Section):
        return {name: plain(getattr(value, name)) for name in sorted(value.model_fields_set)}
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    return value


def flat(tree: Any, section: type[BaseModel] = Settings, prefix: str = "") -> dict[str, Any]:
    """List the values of nested mappings by dotted key; what is no section of the tree is a value."""
    found: dict[str, Any] = {}
    for name, value in tree.items():
        field = section.model_fields.get(name)
        inner = field.annotation if field else None
        if isinstance(inner, type) and issubclass(inner, BaseModel) and isinstance(value, dict):
            found.update(flat(value, inner, f"{prefix}{name}."))
        else:
            found[f"{prefix}{name}"] = value
    return found


def plant(tree: dict[str, Any], key: str, value: Any) -> None:
    """Put a value into nested mappings by its dotted key; a place that holds no mapping stays as it is."""
    *parents, name = key.split(".")
    for parent in parents:
        inner = tree.setdefault(parent, {})
        if not isinstance(inner, dict):
            return
        tree = inner
    tree[name] = value


__all__ = ["Settings", "flat", "plain", "plant"]
