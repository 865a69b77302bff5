"""Writes every write of an administrator into the audit log, for all routes below `/v1/admin`.

It stands around the routes, so that no route can forget it, and writes before the answer goes
out: who has an answer finds its entry. What was refused for want of a right changed nothing and
is left to the access log.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from jan_server.authentication.principal import Principal
from jan_server.http.errors import ApiError
from jan_server.http.json_body import first_value
from jan_server.services.llm_api.audit import masked, without_user_info
from jan_server.services.llm_api.client_address import client_address
from jan_server.services.llm_api.resources import resources
from jan_server.services.llm_api.tables.audit_log import AuditLog

logger = logging.getLogger("jan.llm-api.audit")

ADMINISTRATION = "/v1/admin/"
KEPT_BYTES = 64 * 1024
"""Longer bodies are not kept in the log."""

CLIENT_LEFT = 499

_MIRRORED = "/llm" + ADMINISTRATION
_READING = frozenset({"GET", "HEAD", "OPTIONS"})
_UNDONE = frozenset({401, 403, 429})

# A caller that leaves ends its request, not the writing of its entry.
_writing: set[asyncio.Task[None]] = set()


@dataclass(slots=True)
class _Exchange:
    """A request that writes, and what is known of its answer.

    Attributes:
        given: The request's body, as far as it is kept.
        start: The head of the answer, held back until the entry is written.
        written: Whether the writing of the entry began.
    """

    request: Request
    given: bytearray = field(default_factory=bytearray)
    start: Message | None = None
    written: bool = False


class AuditTrail:
    """Adds one entry for each request that writes below `/v1/admin`, with its outcome."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if (
            scope["type"] != "http"
            or scope["method"] in _READING
            or not scope["path"].startswith((ADMINISTRATION, _MIRRORED))
        ):
            await self.app(scope, receive, send)
            return
        exchange = _Exchange(Request(scope))

        async def receive_and_keep() -> Message:
            message = await receive()
            if len(exchange.given) <= KEPT_BYTES:
                exchange.given.extend(message.get("body", b""))
            return message

        async def send_when_written(message: Message) -> None:
            if message["type"] == "http.response.start":
                exchange.start = message
                return
            if exchange.start is not None:
                start, exchange.start = exchange.start, None
                headers = Headers(raw=start["headers"])
                await _write(exchange, start["status"], headers, message.get("body", b""))
                await send(start)
            await send(message)

        try:
            await self.app(scope, receive_and_keep, send_when_written)
        except BaseException as failure:
            if not exchange.written:
                await _write(exchange, CLIENT_LEFT if isinstance(failure, asyncio.CancelledError) else 500)
            raise


async def _write(
    exchange: _Exchange, status: int, headers: Mapping[str, str] | None = None, answer: bytes = b""
) -> None:
    exchange.written = True
    scope = exchange.request.scope
    principal = scope["state"].get("principal")
    if scope.get("route") is None or not isinstance(principal, Principal) or status in _UNDONE:
        return
    told = _parsed(answer)
    entry = _entry(exchange, principal, status, headers or {}, told if isinstance(told, dict) else {})
    task = asyncio.create_task(_store(exchange.request, entry))
    _writing.add(task)
    task.add_done_callback(_writing.discard)
    await asyncio.shield(task)


async def _store(request: Request, entry: AuditLog) -> None:
    told = entry.model_dump(mode="json")
    try:
        async with resources(request).database.session() as session:
            session.add(entry)
    except Exception as failure:
        # The deed is done: its entry must not be lost with the database.
        logger.error("an entry of the audit log could not be stored: %s", failure, extra={"entry": told})


def _entry(
    exchange: _Exchange,
    principal: Principal,
    status: int,
    headers: Mapping[str, str],
    answer: Mapping[str, Any],
) -> AuditLog:
    request, given = exchange.request, exchange.given
    route = request.scope["route"]
    resource_type, resource_id, further = _resource(route.path, request.path_params)
    if status == 201 and not resource_id:
        made = answer.get("public_id") or answer.get("id") or headers.get("location", "").rpartition("/")[2]
        resource_id = str(made)
    reason = without_user_info(str(answer.get("message", ""))) if status >= 400 else ""
    return AuditLog(
        admin_user_id=_text(principal.subject, 255),
        admin_email=_text(principal.email, 320),
        action=_text(str(route.name), 100),
        resource_type=_text(resource_type, 100),
        resource_id=_text(resource_id, 255),
        payload=_payload(bytes(given), further),
        ip_address=_text(client_address(request), 64),
        user_agent=_text(request.headers.get("user-agent", ""), 512),
        status_code=status,
        error_message=_text("the caller left before the answer" if status == CLIENT_LEFT else reason, 4096),
        request_id=_text(str(request.scope["state"].get("request_id", "")), 128),
    )


def _payload(given: bytes, further: Mapping[str, str]) -> Any:
    if len(given) > KEPT_BYTES:
        return {**further, "omitted": "longer than 64 KiB"}
    body = masked(_parsed(given))
    return {**further, **(body or {})} if further and (body is None or isinstance(body, dict)) else body


def _resource(template: str, parameters: Mapping[str, Any]) -> tuple[str, str, dict[str, str]]:
    """What a path is about: for `/v1/admin/users/{user_id}/roles/{role}`, `users`, the id, and the role."""
    below = template.partition(ADMINISTRATION)[2]
    kind, _, rest = below.partition("/{")
    name = rest.partition("}")[0].partition(":")[0]
    further = {other: _text(str(value), 255) for other, value in parameters.items() if other != name}
    return kind, str(parameters.get(name, "")), further


def _text(text: str, length: int) -> str:
    # PostgreSQL keeps no NUL, and an id in a path may hold one.
    return text.replace("\0", "\ufffd")[:length]


def _parsed(content: bytes) -> Any:
    try:
        return first_value(content)
    except ApiError:
        return None
