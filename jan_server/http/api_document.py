"""What a service's OpenAPI document says of credentials, so that its page can send them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

SCHEMES: dict[str, dict[str, str]] = {
    "token": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "An access token, for example a guest's. An API key (`sk_…`) works here as well.",
    },
    "apiKey": {
        "type": "apiKey",
        "in": "header",
        "name": "X-API-Key",
        "description": "An API key (`sk_…`), through the gateway.",
    },
}
"""The credentials of the platform, in OpenAPI's terms."""

SECURITY: list[dict[str, list[str]]] = [{"token": []}, {"apiKey": []}]
"""The `security` of an operation that needs any one of them."""


def show_credentials(router: APIRouter, asking: Collection[Callable[..., Any]]) -> None:
    """Say of each route of `router` that depends on one of `asking` that it needs a credential."""
    for route in router.routes:
        if isinstance(route, APIRoute) and _depends_on(route.dependant, asking):
            route.openapi_extra = with_credentials(route.openapi_extra)


def with_credentials(openapi_extra: dict[str, Any] | None) -> dict[str, Any]:
    """What is told of an operation, and that it needs a credential."""
    return {**(openapi_extra or {}), "security": SECURITY}


def install_credentials(app: FastAPI, tags: Sequence[dict[str, str]]) -> None:
    """Let the document name the credentials, and show its parts in this order.

    Args:
        app: The service's app.
        tags: The `name` and `description` of each part.
    """
    app.openapi_tags = list(tags)
    app.swagger_ui_parameters = {"persistAuthorization": True}
    make = app.openapi

    def document() -> dict[str, Any]:
        made = make()
        made.setdefault("components", {})["securitySchemes"] = SCHEMES
        return made

    app.openapi = document  # type: ignore[method-assign]


def _depends_on(dependant: Dependant, asking: Collection[Callable[..., Any]]) -> bool:
    return any(each.call in asking or _depends_on(each, asking) for each in dependant.dependencies)
