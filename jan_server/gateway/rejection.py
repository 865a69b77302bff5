"""What the gateway answers by itself: refusals with Kong's `message` inside the platform's envelope."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from starlette.types import Scope, Send

from jan_server.http.errors import ApiError, error_body

Header = tuple[bytes, bytes]

NO_ROUTE = "no Route matched with those values"

POLICY_VIOLATION = 1008


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole response that the gateway makes itself."""

    status: int
    body: bytes = b""
    headers: tuple[Header, ...] = ()


def refused(error: ApiError, request_id: str) -> Reply:
    """An error as a reply: `message` as Kong has it, and `error`, `code`, `request_id` beside it."""
    return json_reply(error.status, error_body(error, request_id), error.headers)


def json_reply(status: int, value: Any, headers: Mapping[str, str] | None = None) -> Reply:
    """A value as a JSON reply."""
    extra = tuple((name.lower().encode(), text.encode("latin-1")) for name, text in (headers or {}).items())
    return Reply(status, orjson.dumps(value), ((b"content-type", b"application/json; charset=utf-8"), *extra))


def no_route() -> ApiError:
    """The 404 of a path, method, host or header that no route wants (contract/gateway.md, section 7)."""
    return ApiError(404, NO_ROUTE, code="route_not_found")


async def send_reply(reply: Reply, scope: Scope, send: Send) -> None:
    """Answer a request, or the handshake of a WebSocket, with a reply.

    A server that cannot answer a handshake closes it, which the client sees as a 403.
    """
    prefix = ""
    if scope["type"] == "websocket":
        if "websocket.http.response" not in scope.get("extensions", {}):
            await send({"type": "websocket.close", "code": POLICY_VIOLATION})
            return
        prefix = "websocket."
    headers = [*reply.headers, (b"content-length", str(len(reply.body)).encode())]
    await send({"type": f"{prefix}http.response.start", "status": reply.status, "headers": headers})
    await send({"type": f"{prefix}http.response.body", "body": reply.body})
