"""The largest request body that a service takes, wherever the request comes from.

The gateway limits bodies too; a service that is asked at its own port has only this.
"""

from __future__ import annotations

import logging
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from jan_server.http.errors import ApiError, error_response

LARGEST_BODY_MB = 50
"""What a service takes where nobody says anything else, in megabytes (as the gateway)."""

logger = logging.getLogger("jan.http.body_limit")


class BodyLimit:
    """Refuses bodies that are too large with 413: announced ones at once, others as they arrive.

    It has to stand inside the edge.

    Args:
        app: The app.
        megabytes: The largest body, in units of 2^20 bytes.
    """

    def __init__(self, app: ASGIApp, *, megabytes: int = LARGEST_BODY_MB) -> None:
        self.app = app
        self.megabytes = megabytes
        self._limit = megabytes * 2**20

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        streamed = False
        for name, value in scope["headers"]:
            if name == b"content-length":
                # The server makes sure that a body is as long as it was announced.
                if len(value) > 18 or (value.isdigit() and int(value) > self._limit):
                    await self._refuse(scope, receive, send)
                    return
            elif name == b"transfer-encoding":
                streamed = True
        if streamed:
            await self._count(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    async def _count(self, scope: Scope, receive: Receive, send: Send) -> None:
        seen, exceeded, started = 0, False, False

        async def counted() -> Message:
            nonlocal seen, exceeded
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > self._limit:
                # To the app it looks as if the client went away, so it stops reading.
                exceeded = True
                return {"type": "http.disconnect"}
            return message

        async def unless_refused(message: Message) -> None:
            nonlocal started
            if exceeded and not started:
                return
            started = True
            await send(message)

        try:
            await self.app(scope, counted, unless_refused)
        except Exception:
            if not exceeded or started:
                raise
            logger.debug("the app failed on a body that was cut off", exc_info=True)
        if exceeded and not started:
            await self._refuse(scope, receive, send)

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        error = ApiError(
            413,
            f"the body is larger than {self.megabytes} megabytes",
            code="request_too_large",
            headers={"Connection": "close"},
        )
        state: dict[str, Any] = scope.get("state", {})
        await error_response(error, str(state.get("request_id", "")))(scope, receive, send)
