"""The LLM API as an ASGI app: its resources, its routers and their mirror below `/llm`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from fastapi import APIRouter, FastAPI
from starlette.types import ASGIApp

from jan_server.database.engine import Database
from jan_server.http.context import ServiceContext
from jan_server.http.edge import create_service_app
from jan_server.http.fast_route import Endpoint, add_fast_route
from jan_server.services.llm_api.resources import Resources
from jan_server.services.llm_api.users import UserDirectory

MIRROR = "/llm"
"""Every `/auth/…` and every authenticated `/v1/…` route is served below this prefix too."""


def create_app(context: ServiceContext) -> ASGIApp:
    """The LLM API; its resources open and close with the app's lifespan."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        database = Database(context.database_url)
        app.state.resources = Resources(
            settings=context.settings,
            database=database,
            client=context.client,
            users=UserDirectory(database),
        )
        try:
            yield
        finally:
            await database.dispose()

    app = create_service_app("llm-api", title="Jan Server: LLM API", lifespan=lifespan)
    add_routes(app)
    return app


def add_routes(app: FastAPI) -> None:
    """Mount every router: one line a router, here and nowhere else."""


def mount(app: FastAPI, router: APIRouter) -> None:
    """Serve `router` as it is and below `/llm`; the document shows it once."""
    app.include_router(router)
    app.include_router(router, prefix=MIRROR, include_in_schema=False)


def mount_fast_route(
    app: FastAPI, path: str, endpoint: Endpoint, *, methods: Sequence[str], **openapi: Any
) -> None:
    """Serve a hot route (see `jan_server.http.fast_route`) as it is and below `/llm`."""
    add_fast_route(app, MIRROR + path, endpoint, methods=methods, documented=False)
    add_fast_route(app, path, endpoint, methods=methods, **openapi)
