"""What a field of the settings tree is made of: its types, its description and its environment names."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, SecretStr

from jan_server.settings.durations import format_duration, parse_duration


class Section(BaseModel):
    """A frozen group of settings; a key that it does not know is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


def setting(
    default: Any,
    description: str,
    *env: str,
    follows: str = "",
    inverse: tuple[str, ...] = (),
    **limits: Any,
) -> Any:
    """Declare one setting.

    Args:
        default: The value when no source gives one.
        description: What the setting does, for people; units included.
        env: The environment variables that set it, the strongest first. Some names set several
            settings (LOG_LEVEL).
        follows: A template such as "http://{local_host}:{services.llm_api.http_port}". When no source
            gives this setting but one gives a key that is named here, the value is made from the template.
        inverse: Variables that switch this off; they win over those in `env`.
        limits: Limits of pydantic's Field (ge, le, gt, lt, min_length, pattern).
    """
    extra: dict[str, Any] = {"env": list(env)}
    if inverse:
        extra["inverse"] = list(inverse)
    if follows:
        extra["follows"] = follows
    return Field(default, description=description, json_schema_extra=extra, **limits)


def _duration(value: object) -> object:
    if isinstance(value, str):
        return parse_duration(value)
    if isinstance(value, timedelta):
        return value
    raise ValueError(f"not a duration: {value!r} (write a number and a unit, as in 30s, 5m or 2160h)")


def _comma_separated(value: object) -> object:
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


def _pairs(value: object) -> object:
    if not isinstance(value, str):
        return value
    pairs = {}
    for part in value.split(","):
        if not part.strip():
            continue
        name, found, text = part.partition("=")
        if not found or not name.strip():
            raise ValueError("not a list of name=value pairs, separated by commas")
        pairs[name.strip()] = text.strip()
    return pairs


def json_text(value: object) -> object:
    """Read text as JSON; for fields whose value has a structure that one variable must carry."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        raise ValueError("not valid JSON") from None


def _address(*schemes: str) -> AfterValidator:
    def check(value: str) -> str:
        if not value:
            return value
        parts = urlsplit(value)
        if parts.scheme not in schemes or not parts.hostname:
            wanted = " or ".join(f"{scheme}://host" for scheme in schemes)
            raise ValueError(f"not an address: it must look like {wanted}")
        return value

    return AfterValidator(check)


Duration = Annotated[
    timedelta,
    BeforeValidator(_duration, json_schema_input_type=str),
    Field(ge=timedelta()),
    PlainSerializer(format_duration, return_type=str, when_used="json"),
]
"""A timedelta, written as Go writes it: "30m", "2160h"."""

TextList = Annotated[tuple[str, ...], BeforeValidator(_comma_separated)]
"""A tuple of texts; one text with commas is split."""

SecretMap = Annotated[Mapping[str, SecretStr], BeforeValidator(_pairs)]
"""Names with secret values, as HTTP headers; the text form is "name=value,name=value"."""

Port = Annotated[int, Field(ge=1, le=65535)]
"""A TCP port."""

HttpUrl = Annotated[str, _address("http", "https")]
"""An http or https address without surprises added by a parser; empty means "none"."""

WebSocketUrl = Annotated[str, _address("ws", "wss", "http", "https")]
"""A ws or wss address (http forms are understood too); empty means "none"."""

RedisUrl = Annotated[str, _address("redis", "rediss", "unix")]
"""A Redis address; empty means "none"."""

LogLevel = Annotated[
    Literal["debug", "info", "warn", "error"],
    BeforeValidator(lambda value: {"warning": "warn"}.get(str(value).lower(), str(value).lower())),
]
"""How much is logged."""

LogFormat = Literal["json", "console"]
"""How a log line looks on the screen; the files are JSON lines always."""
