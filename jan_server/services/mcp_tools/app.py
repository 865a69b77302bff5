"""MCP Tools as an ASGI app: its resources and its routes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from fastapi import FastAPI
from starlette.types import ASGIApp

from jan_server.authentication.key_owner import KeyOwners
from jan_server.authentication.service_guard import identity_signer, service_guard
from jan_server.database.engine import Database
from jan_server.http.context import ServiceContext
from jan_server.http.edge import create_service_app
from jan_server.http.readiness import Readiness, database_probe
from jan_server.services.mcp_tools.resources import Resources
from jan_server.services.mcp_tools.routes import health


def create_app(context: ServiceContext) -> ASGIApp:
    """The service; its resources open and close with the app's lifespan."""
    settings = context.settings
    section = settings.services.mcp_tools

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        opened = open_resources(context)
        keys = KeyOwners(
            context.client, section.llm_api_base_url, settings.infrastructure.auth.keycloak.issuer
        )
        app.state.resources = opened
        app.state.guard = service_guard(
            settings, context.client, keys.principal, auth_enabled=section.auth_enabled
        )
        async with AsyncExitStack() as stack:
            stack.push_async_callback(opened.database.dispose)
            yield

    app = create_service_app(
        "mcp-tools",
        title="Jan Server: MCP Tools",
        lifespan=lifespan,
        largest_body_mb=settings.infrastructure.gateway.request_size_limit_mb,
    )
    add_routes(app)
    return app


def add_routes(app: FastAPI) -> None:
    """Mount every router: one line a router, here and nowhere else."""
    app.include_router(health.router)


def open_resources(context: ServiceContext) -> Resources:
    """Open what the service needs; nothing is asked of anybody yet."""
    database = Database(context.database_url, application_name="jan mcp-tools")
    readiness = Readiness()
    readiness.add("database", database_probe(database))
    return Resources(
        settings=context.settings,
        database=database,
        client=context.client,
        signer=identity_signer(context.settings),
        readiness=readiness,
    )
