"""Response API as an ASGI app: its resources and its routes."""

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
from jan_server.http.guarded_fetch import GuardedFetcher
from jan_server.http.readiness import Readiness, database_probe
from jan_server.services.response_api.chat_client import ChatClient
from jan_server.services.response_api.offered_tools import ToolSource
from jan_server.services.response_api.resources import Resources
from jan_server.services.response_api.routes import health, responses
from jan_server.services.response_api.run import RunLimits


def create_app(context: ServiceContext) -> ASGIApp:
    """The service; its resources open and close with the app's lifespan."""
    settings = context.settings
    section = settings.services.response_api

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        fetcher = GuardedFetcher(section.allowed_networks)
        opened = open_resources(context, fetcher)
        keys = KeyOwners(context.client, section.llm_api_url, settings.infrastructure.auth.keycloak.issuer)
        app.state.resources = opened
        app.state.guard = service_guard(
            settings, context.client, keys.principal, auth_enabled=section.auth_enabled
        )
        async with AsyncExitStack() as stack:
            stack.push_async_callback(opened.database.dispose)
            await stack.enter_async_context(fetcher)
            yield

    app = create_service_app(
        "response-api",
        title="Jan Server: Response API",
        lifespan=lifespan,
        largest_body_mb=settings.infrastructure.gateway.request_size_limit_mb,
    )
    add_routes(app)
    return app


def add_routes(app: FastAPI) -> None:
    """Mount every router: one line a router, here and nowhere else."""
    app.include_router(health.router)
    app.include_router(responses.router)


def open_resources(context: ServiceContext, fetcher: GuardedFetcher) -> Resources:
    """Open what the service needs; nothing is asked of anybody yet."""
    database = Database(context.database_url, application_name="jan response-api")
    signer = identity_signer(context.settings)
    section = context.settings.services.response_api
    readiness = Readiness()
    readiness.add("database", database_probe(database))
    return Resources(
        settings=context.settings,
        database=database,
        client=context.client,
        signer=signer,
        readiness=readiness,
        chat=ChatClient(context.client, signer, section.llm_api_url),
        tools=ToolSource(context.client, signer, fetcher, section.mcp_tools_url),
        limits=RunLimits(
            depth=section.max_tool_depth,
            tool_seconds=section.tool_timeout.total_seconds(),
            parallel_calls=section.parallel_tool_calls,
            seconds=section.max_duration.total_seconds(),
            tokens=section.max_total_tokens,
        ),
    )
