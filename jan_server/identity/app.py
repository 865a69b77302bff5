"""Identity as an ASGI app: the embedded issuer that speaks Keycloak's protocol.

Source: contract/identity.md; the design of the whole is in docs/identity.md.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from sqlalchemy.exc import SQLAlchemyError
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from jan_server.database.engine import Database
from jan_server.http.client_address import parse_networks
from jan_server.http.context import ServiceContext
from jan_server.http.edge import create_service_app
from jan_server.http.json_body import OrjsonResponse
from jan_server.identity.builtin import master_realm
from jan_server.identity.caching import FreshAdminAnswers
from jan_server.identity.errors import install_error_handlers
from jan_server.identity.login_attempts import AddressLimit
from jan_server.identity.passwords import PasswordHasher
from jan_server.identity.paths import KeycloakPaths
from jan_server.identity.realm import RealmDirectory
from jan_server.identity.realm_file import read_realm_file
from jan_server.identity.realm_import import import_realms
from jan_server.identity.resources import Resources, resources_of
from jan_server.identity.routes import discovery, login, logout, token, userinfo
from jan_server.identity.routes.admin import clients, groups, realms, role_mappings, roles, sessions, users
from jan_server.identity.sweep import keep_sweeping
from jan_server.settings.tree import Settings


def create_app(context: ServiceContext) -> ASGIApp:
    """The issuer; at start it brings its realms in line with the realm file.

    Raises:
        ValueError: A setting that the realm file needs is missing or wrong; the text names it.
    """
    wanted = configured_realms(context.settings)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        resources = open_resources(context)
        sweeper: asyncio.Task[None] | None = None
        try:
            await import_realms(resources.realms, resources.hasher, wanted)
            app.state.resources = resources
            sweeper = asyncio.create_task(keep_sweeping(resources.database))
            yield
        finally:
            if sweeper is not None:
                sweeper.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await sweeper
            resources.hasher.close()
            await resources.database.dispose()

    app = create_service_app(
        "identity",
        title="Identity",
        lifespan=lifespan,
        description="The embedded OpenID issuer and its Keycloak-compatible admin API.",
        largest_body_mb=context.settings.infrastructure.gateway.request_size_limit_mb,
    )
    install_error_handlers(app)
    app.add_middleware(FreshAdminAnswers)
    app.add_middleware(KeycloakPaths)
    for module in (discovery, token, userinfo, login, logout):
        app.include_router(module.router)
    for module in (realms, users, role_mappings, groups, roles, clients, sessions):
        app.include_router(module.router)
    app.add_api_route("/health/live", alive, methods=["GET"], tags=["health"])
    app.add_api_route("/health/ready", ready, methods=["GET"], tags=["health"])
    app.add_api_route("/health", ready, methods=["GET"], tags=["health"])
    app.add_api_route("/healthz", alive, methods=["GET"], tags=["health"])
    return app


def open_resources(context: ServiceContext) -> Resources:
    """Open what the routes work with."""
    settings = context.settings
    keycloak = settings.infrastructure.auth.keycloak
    pool = settings.infrastructure.database.postgres
    database = Database(
        context.database_url,
        pool_size=pool.max_idle_conns,
        overflow=max(pool.max_open_conns - pool.max_idle_conns, 0),
        application_name="jan-identity",
        recycle_seconds=int(pool.conn_max_lifetime.total_seconds()),
    )
    return Resources(
        database=database,
        realms=RealmDirectory(database, issuer=keycloak.issuer, application_realm=keycloak.realm),
        hasher=PasswordHasher(),
        address_limit=AddressLimit(
            settings.identity.login_limit.address_attempts, settings.identity.login_limit.window
        ),
        trusted_proxies=parse_networks(
            settings.infrastructure.gateway.trusted_ips, "infrastructure.gateway.trusted_ips"
        ),
    )


def configured_realms(settings: Settings) -> Sequence[Mapping[str, Any]]:
    """The realms that the settings and the realm file describe, in Keycloak's representation."""
    keycloak = settings.infrastructure.auth.keycloak
    application = read_realm_file(settings)
    password = keycloak.admin_password.get_secret_value()
    return (master_realm(application, keycloak.admin_user, password), application)


async def alive(request: Request) -> Response:
    """Whether the process answers."""
    return OrjsonResponse({"status": "UP", "checks": []})


async def ready(request: Request) -> Response:
    """Whether the issuer can do its work: its database answers."""
    try:
        await resources_of(request).database.ping()
    except (SQLAlchemyError, OSError):
        checks = [{"name": "database", "status": "DOWN"}]
        return OrjsonResponse({"status": "DOWN", "checks": checks}, 503)
    return OrjsonResponse({"status": "UP", "checks": [{"name": "database", "status": "UP"}]})
