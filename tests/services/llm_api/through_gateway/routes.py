"""The real routes of the LLM API: those of its route table, documented or not."""

from __future__ import annotations

import re
from pathlib import Path

import aiohttp
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts

from jan_server.http.context import ServiceContext
from jan_server.services.llm_api.app import MIRROR, create_app
from tests.services.llm_api.conftest import settings_for

_CONVERTER = re.compile(r":\w+(?=\})")


def llm_api_without_resources(client: aiohttp.ClientSession) -> FastAPI:
    """The app before its start: enough to look at its routes."""
    app = create_app(ServiceContext(settings_for("http://127.0.0.1:9"), Path(), "postgresql:///", client))
    assert isinstance(app, FastAPI)
    return app


PUBLIC = {
    "GET /",
    "HEAD /",
    "GET /healthz",
    "GET /readyz",
    "GET /api/swagger",
    "GET /api/swagger/assets/{path}",
    "GET /api/swagger/doc.json",
    "HEAD /api/swagger/doc.json",
    "GET /api/swagger/index.html",
    "GET /api/swagger/oauth2-redirect",
    "POST /auth/guest-login",
    "POST /auth/refresh-token",
    "GET /auth/logout",
    "POST /auth/logout",
    "GET /auth/login",
    "GET /auth/callback",
    "GET /auth/verify-email",
    "POST /auth/verify-email",
    "POST /auth/validate",
    "POST /auth/revoke",
    "POST /auth/validate-api-key",
    "GET /v1/prompt-templates/{template_key}",
    "GET /v1/mcp-tools",
    "GET /v1/mcp-tools/{tool_key}",
    "GET /v1/public/shares/{slug}",
    "HEAD /v1/public/shares/{slug}",
}
"""What the gateway lets in without a credential."""

OPERATORS = {"GET /healthcheck", "GET /metrics"}
"""What the gateway does not show at all; below `/llm` it shows the first to callers with a credential."""


def real_routes(app: FastAPI) -> set[str]:
    """Method and path of every route, without the mirror below `/llm`.

    Paths look as in the OpenAPI document: `/v1/models/{model_id}`. A folder of files is a GET below it.
    """
    found = set()
    for route in [*iter_route_contexts(app.routes), *app.state.fast_routes.values()]:
        path = _CONVERTER.sub("", route.path)
        if not path.startswith(f"{MIRROR}/"):
            found |= {f"{method} {path}" for method in route.methods or ()} or {f"GET {path}/{{path}}"}
    return found
