"""request-termination: answers a route without asking any upstream.

Source: Kong 3.5's plugin of the same name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson

from jan_server.gateway.entities import Plugin
from jan_server.gateway.exchange import Exchange
from jan_server.gateway.fields import Fields, KongFileError
from jan_server.gateway.plugins.kind import PluginKind, Surroundings
from jan_server.gateway.rejection import Reply, json_reply, refused
from jan_server.http.errors import ApiError

MESSAGES = {
    401: "Unauthorized",
    404: "Not found",
    405: "Method not allowed",
    500: "An unexpected error occurred",
    502: "Bad Gateway",
    503: "Service unavailable",
}


@dataclass(frozen=True, slots=True)
class Config:
    """The plugin's settings, named as Kong names them."""

    status_code: int
    message: str
    content_type: str
    body: str
    echo: bool
    trigger: str


def read(fields: Fields) -> Config:
    """Read `config`."""
    config = Config(
        status_code=fields.whole("status_code", 503, least=100, most=599),
        message=fields.text("message"),
        content_type=fields.text("content_type"),
        body=fields.text("body"),
        echo=fields.flag("echo", False),
        trigger=fields.text("trigger"),
    )
    fields.end()
    if config.message and (config.body or config.content_type):
        raise KongFileError(fields.path, "message cannot stand beside body or content_type")
    if config.content_type and not config.body:
        raise fields.error("content_type", "it needs a body")
    if config.echo and (config.body or config.content_type):
        raise KongFileError(fields.path, "echo cannot stand beside body or content_type")
    return config


class RequestTermination:
    """Answers every request, or those that carry the trigger."""

    def __init__(self, config: Config) -> None:
        self._config = config

    async def access(self, exchange: Exchange) -> Reply | None:
        """Answer the request."""
        config = self._config
        if config.trigger and not self._triggered(exchange):
            return None
        message = config.message or MESSAGES.get(config.status_code, "")
        if config.echo:
            return json_reply(config.status_code, await self._echo(exchange, message))
        if config.body:
            kind = config.content_type or "application/json; charset=utf-8"
            return Reply(config.status_code, config.body.encode(), ((b"content-type", kind.encode()),))
        if config.status_code >= 400:
            words = message or "Request terminated"
            return refused(ApiError(config.status_code, words, code="terminated"), exchange.request_id)
        return json_reply(config.status_code, {"message": message}) if message else Reply(config.status_code)

    def _triggered(self, exchange: Exchange) -> bool:
        if self._config.trigger.lower().encode() in exchange.given:
            return True
        return any(name == self._config.trigger for name, _ in exchange.query_parameters())

    async def _echo(self, exchange: Exchange, message: str) -> dict[str, Any]:
        body = b"" if exchange.is_websocket else await exchange.body()
        try:
            parsed = orjson.loads(body)
        except orjson.JSONDecodeError:
            parsed = None
        match = exchange.match
        return {
            "message": message,
            "request": {
                "scheme": exchange.scheme,
                "method": exchange.method,
                "host": exchange.given.get(b"host", b"").decode("latin-1"),
                "path": match.path,
                "headers": {
                    name.decode("latin-1"): value.decode("latin-1") for name, value in exchange.given.items()
                },
                "query": dict(exchange.query_parameters()),
                "uri_captures": dict(match.captures),
                "body": parsed,
                "raw_body": body.decode("utf-8", "replace"),
            },
            "matched_route": {"name": match.route.name},
            "matched_service": {"name": match.service.name} if match.service else None,
        }


def build(plugin: Plugin, surroundings: Surroundings) -> RequestTermination:
    """Make the running plugin."""
    return RequestTermination(plugin.config)


KIND = PluginKind("request-termination", 2, read, build)
