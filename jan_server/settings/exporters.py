"""Writing settings out: as a tree (YAML, JSON), as variables for a shell, as an env file for Docker."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

from pydantic import BaseModel, SecretStr

from jan_server.settings.durations import format_duration
from jan_server.settings.generated_secrets import masked
from jan_server.settings.keys import all_keys
from jan_server.settings.loading import value_of
from jan_server.settings.tree import Settings

FORMATS = ("env", "docker-env", "json", "yaml")
"""What `export` can write."""


def export(settings: Settings, form: str, *, reveal: bool = False, prefix: str = "") -> str:
    """Write all settings.

    Args:
        settings: The tree.
        form: One of FORMATS.
        reveal: Whether secrets are written; without it a tree shows a mask and variables leave them out.
        prefix: What stands before every variable's name.

    Raises:
        ValueError: The form is unknown, or a value cannot be written in it.
    """
    if form == "json":
        return as_json(plain(settings, reveal=reveal))
    if form == "yaml":
        return as_yaml(plain(settings, reveal=reveal))
    if form in ("env", "docker-env"):
        return "".join(_lines(settings, docker=form == "docker-env", reveal=reveal, prefix=prefix))
    raise ValueError(f"unknown format {form!r}; there are {', '.join(FORMATS)}")


def plain(value: Any, *, reveal: bool = False) -> Any:
    """Turn a value or a whole section into what JSON and YAML know: durations and secrets become text."""
    if isinstance(value, SecretStr):
        return value.get_secret_value() if reveal else masked(value.get_secret_value())
    if isinstance(value, timedelta):
        return format_duration(value)
    if isinstance(value, BaseModel):
        return {name: plain(getattr(value, name), reveal=reveal) for name in type(value).model_fields}
    if isinstance(value, Mapping):
        return {str(name): plain(item, reveal=reveal) for name, item in value.items()}
    if isinstance(value, tuple | list):
        return [plain(item, reveal=reveal) for item in value]
    return value


def as_json(value: Any) -> str:
    """Write plain values as indented JSON."""
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def as_yaml(value: Any) -> str:
    """Write plain values as YAML, in their order."""
    import yaml

    text = yaml.safe_dump(value, sort_keys=False, allow_unicode=True, default_flow_style=False, width=110)
    return text.removesuffix("...\n")


def as_text(value: Any, *, reveal: bool = False) -> str:
    """Write one value as a variable holds it: the text that the loader reads back."""
    if isinstance(value, bool):
        return "true" if value else "false"
    simple = plain(value, reveal=reveal)
    if isinstance(simple, list):
        if all(isinstance(item, str) for item in simple) and simple:
            return ",".join(simple)
        return json.dumps(simple, ensure_ascii=False) if simple else ""
    if isinstance(simple, dict):
        return ",".join(f"{name}={item}" for name, item in simple.items())
    return str(simple)


def _lines(settings: Settings, *, docker: bool, reveal: bool, prefix: str) -> Iterator[str]:
    for setting in all_keys().values():
        value = value_of(settings, setting.key)
        text = as_text(value, reveal=True)
        name = prefix + setting.variable
        if setting.secret and text and not reveal:
            yield f"# {name} is set; --reveal writes it\n"
        elif docker:
            if "\n" in text or "\r" in text:
                raise ValueError(f"{setting.key} has several lines, which an env file of Docker cannot hold")
            yield f"{name}={text}\n"
        else:
            yield f"export {name}={shlex.quote(text)}\n"
