"""The outermost layer of a service: request ids, the access log and the app itself."""

from __future__ import annotations

import logging
import re
import time
import uuid
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

from fastapi import FastAPI
from fastapi_offline import FastAPIOffline
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from jan_server import __version__
from jan_server.http.api_document import complete_with, drop_validation_errors
from jan_server.http.body_limit import LARGEST_BODY_MB, BodyLimit
from jan_server.http.database_outages import install_database_outages
from jan_server.http.errors import error_response, install_error_handlers, invalid_request
from jan_server.http.fast_route import STARTED, FastRoutes

POLICY_VIOLATION = 1008

# What a client may choose as its request id; anything else would end up in logs and headers.
_REQUEST_ID = re.compile(rb"[\x21-\x7e]{1,128}\Z")
# No path of the platform has them, and databases and logs do not take them.
_CONTROLS = re.compile(r"[\x00-\x1f\x7f]")
_QUIET_PATHS = frozenset({"/healthz", "/readyz", "/health", "/metrics", "/health/ready", "/health/live"})


class EdgeMiddleware:
    """Gives each request an id and writes one access log line when it ends.

    `X-Request-Id` is taken from the caller when it is printable and short, else made
    (UUIDv4), kept in `scope["state"]["request_id"]` and returned in the same header.
    A path with control characters is refused here, for all services.
    """

    def __init__(self, app: ASGIApp, *, service: str) -> None:
        self.app = app
        self.log = logging.getLogger(f"jan.{service}.access")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        request_id = _given_request_id(scope) or str(uuid.uuid4())
        # The state is copied: in one process the gateway hands its own scope on.
        state = scope["state"] = {**scope.get("state", {}), "request_id": request_id}
        header = (b"x-request-id", request_id.encode())
        status = 0
        started = time.perf_counter()

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                state[STARTED] = True
                message["headers"] = [*message.get("headers", ()), header]
            await send(message)

        app = self.app if _CONTROLS.search(scope["path"]) is None else _refuse_controls
        try:
            await app(scope, receive, send_with_id)
        finally:
            if self.log.isEnabledFor(logging.INFO) and scope["path"] not in _QUIET_PATHS:
                self.log.info(
                    "%s %s %d",
                    scope.get("method", "WEBSOCKET"),
                    scope["path"],
                    status,
                    extra={
                        "request_id": request_id,
                        "status": status,
                        "milliseconds": round((time.perf_counter() - started) * 1000, 2),
                    },
                )


async def _refuse_controls(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": POLICY_VIOLATION})
        return
    error = invalid_request("the path has control characters in it", code="invalid_path")
    await error_response(error, scope["state"]["request_id"])(scope, receive, send)


def _given_request_id(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == b"x-request-id":
            return value.decode() if _REQUEST_ID.match(value) else ""
    return ""


def create_service_app(
    service: str,
    *,
    title: str,
    lifespan: Callable[[FastAPI], AbstractAsyncContextManager[Any]],
    description: str = "",
    docs_path: str = "/api/swagger",
    largest_body_mb: int | None = LARGEST_BODY_MB,
) -> FastAPI:
    """A FastAPI app with what every service has at its edge.

    Args:
        service: The name in the catalogue, for example `llm-api`; it names the loggers too.
        title: The title of the OpenAPI document.
        lifespan: Opens the service's resources and closes them.
        description: The introduction of the OpenAPI document, in Markdown.
        docs_path: Where the interactive documentation is; its document is at `<docs_path>/doc.json`.
        largest_body_mb: The largest request body in megabytes, beyond which it is refused with 413; None
            for a service that streams bodies of any length and limits them itself.
    """
    # The documentation's scripts come from the package, never from a content delivery network.
    app = FastAPIOffline(
        docs_url=docs_path,
        redoc_url=None,
        static_url=f"{docs_path}/assets",
        swagger_ui_oauth2_redirect_url=f"{docs_path}/oauth2-redirect",
        openapi_url=f"{docs_path}/doc.json",
        title=title,
        description=description,
        version=__version__,
        lifespan=lifespan,
        redirect_slashes=False,
        # The platform's telemetry is its own; FastAPI's would look for providers in each request.
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    app.state.fast_routes = {}
    complete_with(app, drop_validation_errors)

    @app.get(f"{docs_path}/index.html", include_in_schema=False)
    async def documentation_index() -> RedirectResponse:
        return RedirectResponse(docs_path)

    install_error_handlers(app, service)
    install_database_outages(app, service)
    app.add_middleware(FastRoutes, table=app.state.fast_routes)
    if largest_body_mb is not None:
        app.add_middleware(BodyLimit, megabytes=largest_body_mb)
    app.add_middleware(EdgeMiddleware, service=service)
    return app
