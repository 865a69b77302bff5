"""Writes every write of an administrator into the audit log, for all routes below `/v1/admin`.

It stands around the routes, so that no route can forget it, and writes before the answer goes
out: who has an answer finds its entry. What was refused for want of a right changed nothing and
is left to the access log.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

import orjson
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from jan_server.authentication.principal import Principal
from jan_server.services.llm_api.audit import masked
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
        given = bytearray()
        start: Message | None = None
        written = False

        async def receive_and_keep() -> Message:
            message = await receive()
            if len(given) <= KEPT_BYTES:
                given.extend(message.get("body", b""))
            return message

        async def write(status: int, answer: bytes, made_at: str = "") -> None:
            nonlocal written
            written = True
            await _write(scope, bytes(given), status, answer, made_at)

        async def send_when_written(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start":
                start = message
                return
            if start is not None:
                made_at = Headers(raw=start["headers"]).get("location", "")
                await write(start["status"], message.get("body", b""), made_at)
                await send(start)
                start = None
            await send(message)

        try:
            await self.app(scope, receive_and_keep, send_when_written)
        except BaseException as failure:
            if not written:
                await write(CLIENT_LEFT if isinstance(failure, asyncio.CancelledError) else 500, b"")
            raise


async def _write(scope: Scope, given: bytes, status: int, answer: bytes, made_at: str) -> None:
    principal = scope["state"].get("principal")
    route = scope.get("route")
    if route is None or not isinstance(principal, Principal) or status in _UNDONE:
        return
    entry = _entry(Request(scope), principal, given, status, _parsed(answer), made_at)
    task = asyncio.create_task(_store(scope, entry))
    _writing.add(task)
    task.add_done_callback(_writing.discard)
    await asyncio.shield(task)


async def _store(scope: Scope, entry: AuditLog) -> None:
    told = entry.model_dump(mode="json")
    try:
        async with resources(Request(scope)).database.session() as session:
            session.add(entry)
    except Exception as failure:
        # The deed is done: its entry must not be lost with the database.
        logger.error("an entry of the audit log could not be stored: %s", failure, extra={"entry": told})


def _entry(
    request: Request, principal: Principal, given: bytes, status: int, answer: Any, made_at: str
) -> AuditLog:
    route = request.scope["route"]
    resource_type, resource_id = _resource(route.path, request.path_params)
    told: Mapping[str, Any] = answer if isinstance(answer, dict) else {}
    if status == 201 and not resource_id:
        resource_id = str(told.get("public_id") or told.get("id") or made_at.rpartition("/")[2])
    return AuditLog(
        admin_user_id=principal.subject[:255],
        admin_email=principal.email[:320],
        action=str(route.name)[:100],
        resource_type=resource_type[:100],
        resource_id=resource_id[:255],
        payload=masked(_parsed(given)) if len(given) <= KEPT_BYTES else {"omitted": "longer than 64 KiB"},
        ip_address=client_address(request)[:64],
        user_agent=request.headers.get("user-agent", "")[:512],
        status_code=status,
        error_message=_reason(status, told),
        request_id=str(request.scope["state"].get("request_id", ""))[:128],
    )


def _resource(template: str, parameters: Mapping[str, Any]) -> tuple[str, str]:
    """What a route is about: `users` and an id, say, for `/v1/admin/users/{user_id}/roles/{role}`."""
    below = template.partition(ADMINISTRATION)[2]
    kind, _, rest = below.partition("/{")
    name = rest.partition("}")[0].partition(":")[0]
    return kind, str(parameters.get(name, ""))


def _reason(status: int, answer: Mapping[str, Any]) -> str:
    if status == CLIENT_LEFT:
        return "the caller left before the answer"
    return str(answer.get("message", "")) if status >= 400 else ""


def _parsed(content: bytes) -> Any:
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError:
        return None
