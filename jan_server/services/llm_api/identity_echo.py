"""Tells callers whom the service took them for, in headers of every authenticated response.

Source: contract/llm-api.md, section 2.1.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import quote

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from jan_server.authentication.principal import Principal


class IdentityEcho:
    """Adds `X-Principal-Id`, `X-Auth-Method`, `X-User-…` and `X-Scopes` where a caller is known."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_with_identity(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = identity_headers(scope["state"])
                if headers:
                    message["headers"] = [*message.get("headers", ()), *headers]
            await send(message)

        await self.app(scope, receive, send_with_identity)


def identity_headers(state: Mapping[str, Any]) -> list[tuple[bytes, bytes]]:
    """The headers for the caller that the routes left in the request's state; those with a value."""
    principal = state.get("principal")
    if not isinstance(principal, Principal):
        return []
    return _headers(principal, str(state.get("user_id", "")) or principal.user_id)


@lru_cache(maxsize=4096)
def _headers(principal: Principal, user_id: str) -> list[tuple[bytes, bytes]]:
    principal_id = user_id if principal.method == "apikey" and user_id else principal.subject
    told = (
        (b"x-principal-id", principal_id),
        (b"x-auth-method", principal.method),
        (b"x-user-id", user_id),
        (b"x-user-subject", principal.subject),
        (b"x-user-username", principal.username),
        (b"x-user-email", principal.email),
        (b"x-scopes", " ".join(principal.scopes)),
    )
    return [(name, _header_value(value)) for name, value in told if value]


def _header_value(text: str) -> bytes:
    if text.isascii() and text.isprintable():
        return text.encode()
    return quote(text, safe=" !#$&'()*+,/:;=?@[]~").encode()
