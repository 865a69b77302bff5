"""What the admin API shows is asked for anew each time: it may change with every call."""

from __future__ import annotations

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class FreshAdminAnswers:
    """Marks what GET requests of the admin API find as `no-cache`, as Keycloak does."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http" or scope["method"] != "GET" or not scope["path"].startswith("/admin/"):
            await self.app(scope, receive, send)
            return

        async def marked(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] == 200:
                MutableHeaders(scope=message).setdefault("cache-control", "no-cache")
            await send(message)

        await self.app(scope, receive, marked)
