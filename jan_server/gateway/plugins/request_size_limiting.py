"""request-size-limiting: refuses bodies that are too large, announced or streamed.

Source: Kong 3.5's plugin of the same name. A body without `Content-Length` is counted as it
streams, not gathered first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from jan_server.gateway.entities import Plugin
from jan_server.gateway.exchange import Exchange
from jan_server.gateway.fields import Fields
from jan_server.gateway.plugins.kind import PluginKind, Surroundings
from jan_server.gateway.rejection import Reply, refused
from jan_server.http.errors import ApiError

UNITS = {"megabytes": 2**20, "kilobytes": 2**10, "bytes": 1}


@dataclass(frozen=True, slots=True)
class Config:
    """The plugin's settings, named as Kong names them."""

    allowed_payload_size: int
    size_unit: str
    require_content_length: bool

    @property
    def bytes(self) -> int:
        """The largest body in bytes."""
        return self.allowed_payload_size * UNITS[self.size_unit]


def read(fields: Fields) -> Config:
    """Read `config`."""
    config = Config(
        allowed_payload_size=fields.whole("allowed_payload_size", 128),
        size_unit=fields.text("size_unit", "megabytes", one_of=tuple(UNITS)),
        require_content_length=fields.flag("require_content_length", False),
    )
    fields.end()
    return config


class RequestSizeLimiting:
    """Compares a body's size with the limit before, or while, it is read."""

    def __init__(self, config: Config) -> None:
        self._limit = config.bytes
        self._require_length = config.require_content_length
        self._words = f"Request size limit exceeded: at most {config.allowed_payload_size} {config.size_unit}"

    async def access(self, exchange: Exchange) -> Reply | None:
        """Refuse an announced body that is too large; watch one that is not announced."""
        length = exchange.given.get(b"content-length")
        if length is not None and length.isdigit():
            if int(length) > self._limit:
                expects = exchange.given.get(b"expect", b"").strip().lower() == b"100-continue"
                raise self._too_large(417 if expects else 413)
        elif b"transfer-encoding" in exchange.given:
            if self._require_length:
                raise ApiError(411, "A valid Content-Length header is required", code="length_required")
            self._watch(exchange)
        return None

    def _watch(self, exchange: Exchange) -> None:
        source = exchange.receive
        seen = 0

        async def counted() -> Any:
            nonlocal seen
            message = await source()
            if message["type"] == "http.request":
                seen += len(message.get("body", b""))
                if seen > self._limit:
                    exchange.refusal = refused(self._too_large(413), exchange.request_id)
                    # To the upstream it looks as if the client went away, so it stops reading.
                    return {"type": "http.disconnect"}
            return message

        exchange.receive = counted

    def _too_large(self, status: int) -> ApiError:
        return ApiError(status, self._words, code="request_too_large")


def build(plugin: Plugin, surroundings: Surroundings) -> RequestSizeLimiting:
    """Make the running plugin."""
    return RequestSizeLimiting(plugin.config)


KIND = PluginKind("request-size-limiting", 951, read, build)
