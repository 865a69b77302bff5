"""Paths as Keycloak takes them: below its older base path `/auth` too, and with a slash at the end."""

from __future__ import annotations

import orjson
from starlette.types import ASGIApp, Receive, Scope, Send

_OLD = "/auth"


class KeycloakPaths:
    """Takes `/auth` and a last slash off a path, and refuses paths that no database can look up."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] == "http":
            path: str = scope["path"]
            if "\x00" in path or b"%00" in scope["query_string"]:
                await _refuse(send)
                return
            plain = path[len(_OLD) :] if path.startswith(("/auth/realms/", "/auth/admin/")) else path
            if plain.startswith(("/realms/", "/admin/")):
                plain = plain.rstrip("/")
            if plain != path:
                scope = {**scope, "path": plain}
        await self.app(scope, receive, send)


async def _refuse(send: Send) -> None:
    body = orjson.dumps({"error": "invalid_request", "error_description": "NUL characters are not accepted"})
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 400, "headers": headers})
    await send({"type": "http.response.body", "body": body})
