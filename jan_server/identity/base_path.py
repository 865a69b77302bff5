"""Keycloak's older base path: what lies below `/auth` is served like what lies at the root."""

from __future__ import annotations

import orjson
from starlette.types import ASGIApp, Receive, Scope, Send

_OLD = "/auth"


class OlderBasePath:
    """Takes `/auth` off the paths below it, and refuses paths that no database can look up."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] == "http":
            path: str = scope["path"]
            if "\x00" in path or b"%00" in scope["query_string"]:
                await _refuse(send)
                return
            if path.startswith(("/auth/realms/", "/auth/admin/")):
                scope = {**scope, "path": path[len(_OLD) :]}
        await self.app(scope, receive, send)


async def _refuse(send: Send) -> None:
    body = orjson.dumps({"error": "invalid_request", "error_description": "NUL characters are not accepted"})
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 400, "headers": headers})
    await send({"type": "http.response.body", "body": body})
