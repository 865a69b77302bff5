"""Routes for the hot path: plain endpoints that are found by their path alone and still documented.

FastAPI resolves dependencies and validates models for each request, and its own layers and the
walk through the route table come before that; a route that parses its own bytes needs none of
it, and measured here the difference is more than half of the whole request.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from fastapi import FastAPI
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

Endpoint = Callable[[Request], Awaitable[Response]]

STARTED = "response_started"
"""The member of a request's state that the edge sets once the response has begun."""


class FastRoutes:
    """Answers the fast routes of an app before the framework sees the request.

    It has to stand directly inside the edge. What endpoints raise is answered by the app's own
    exception handlers, as everywhere else.

    Attributes:
        table: The routes by path.
    """

    def __init__(self, app: ASGIApp, *, table: dict[str, Route]) -> None:
        self.app = app
        self.table = table

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        route = self.table.get(scope["path"]) if scope["type"] == "http" else None
        if route is None or scope["method"] not in (route.methods or ()):
            await self.app(scope, receive, send)
            return
        scope["route"] = route
        request = Request(scope, receive, send)
        try:
            response = await route.endpoint(request)
            await response(scope, receive, send)
        except ClientDisconnect:
            return
        except Exception as failure:
            if scope["state"].get(STARTED):
                raise
            await (await _answered(request, failure))(scope, receive, send)


async def _answered(request: Request, failure: Exception) -> Response:
    handlers = request.app.exception_handlers
    for kind in type(failure).__mro__:
        # A handler of every exception is the framework's last resort, which also logs: it stays that.
        if kind is not Exception and (handler := handlers.get(kind)) is not None:
            response: Response = await handler(request, failure)
            return response
    raise failure


def add_fast_route(
    app: FastAPI,
    path: str,
    endpoint: Endpoint,
    *,
    methods: Sequence[str],
    documented: bool = True,
    **openapi: Any,
) -> None:
    """Serve `path` by `endpoint` before all other routes, and document it.

    Args:
        app: The service's app.
        path: A path, found without a search; or a pattern in Starlette's form, for example
            `/v1/models/{id:path}`, which stands at the front of the route table instead.
        endpoint: An async function from the request to the response.
        methods: The HTTP methods it serves.
        documented: Whether the OpenAPI document shows it.
        openapi: Further arguments of FastAPI's `add_api_route` (summary, tags, openapi_extra, …).
    """
    route = Route(path, endpoint, methods=list(methods))
    table = getattr(app.state, "fast_routes", None)
    if table is None or "{" in path:
        app.router.routes.insert(0, route)
    else:
        table[path] = route
    if documented:

        async def documentation(request: Request) -> Response:
            return await endpoint(request)

        documentation.__doc__ = endpoint.__doc__
        documentation.__name__ = getattr(endpoint, "__name__", "endpoint")
        app.add_api_route(
            path.replace(":path}", "}"), documentation, methods=list(methods), response_model=None, **openapi
        )
