"""What every service's OpenAPI document has: credentials that its page can send, and named bodies."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
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

COMPONENTS = "#/components/schemas/"

PATH_TEXT = {"type": "string", "minLength": 1, "pattern": r"^[^\x00-\x1f\x7f]+$"}
"""What every part of a path is: no service takes control characters there."""


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

    def name_credentials(document: dict[str, Any]) -> None:
        document.setdefault("components", {})["securitySchemes"] = SCHEMES

    complete_with(app, name_credentials)


def complete_with(app: FastAPI, step: Callable[[dict[str, Any]], None]) -> None:
    """Let `step` work on the document of `app` once it is made; steps follow in the order of these calls."""
    make = app.openapi
    done: list[dict[str, Any]] = []

    def document() -> dict[str, Any]:
        if not done:
            made = make()
            step(made)
            done.append(made)
        return done[0]

    app.openapi = document  # type: ignore[method-assign]


def drop_validation_errors(document: dict[str, Any]) -> None:
    """Take back FastAPI's claim that wrong input is answered 422: the platform answers 400."""
    schemas = document.get("components", {}).get("schemas", {})
    claimed = {"$ref": "#/components/schemas/HTTPValidationError"}
    for methods in document["paths"].values():
        for operation in methods.values():
            content = operation["responses"].get("422", {}).get("content", {})
            if content.get("application/json", {}).get("schema") == claimed:
                del operation["responses"]["422"]
    schemas.pop("HTTPValidationError", None)
    schemas.pop("ValidationError", None)


def name_bodies(document: dict[str, Any]) -> None:
    """Move the models of bodies, and those inside them, to the components, where answers' models are.

    Routes that read their bodies by themselves document them in place (`$defs` with references to
    the components): a route's extras cannot add to the document's components.
    """
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    for methods in document["paths"].values():
        for operation in methods.values():
            for content in operation.get("requestBody", {}).get("content", {}).values():
                schema = content["schema"]
                if "title" not in schema:
                    continue
                inner = schema.pop("$defs", {})
                content["schema"] = {"$ref": f"{COMPONENTS}{schema['title']}"}
                for name, model in {**inner, schema["title"]: schema}.items():
                    if schemas.setdefault(name, model) != model:
                        raise ValueError(f"two models of the OpenAPI document are named {name}")


def drop_placeholders(document: dict[str, Any]) -> None:
    """Take away empty texts and lists that stand as defaults where something has to be given.

    They belong to members of changes, which count only when they are given; nobody could send them.
    """
    for schema in document.get("components", {}).get("schemas", {}).values():
        for member in schema.get("properties", {}).values():
            least = member.get("minLength", 0) or member.get("minItems", 0)
            if least > 0 and member.get("default") in ("", []):
                del member["default"]


def describe_paths(document: dict[str, Any], parameters: Mapping[str, dict[str, Any]]) -> None:
    """Say what the parameters of paths look like.

    Args:
        document: The OpenAPI document; it is changed.
        parameters: The members of each parameter by its name, `schema` among them; what a name lacks is
            a text without control characters.
    """
    for methods in document["paths"].values():
        for operation in methods.values():
            for parameter in operation.get("parameters", ()):
                if parameter["in"] == "path":
                    parameter.update({"schema": PATH_TEXT, **parameters.get(parameter["name"], {})})


def _depends_on(dependant: Dependant, asking: Collection[Callable[..., Any]]) -> bool:
    return any(each.call in asking or _depends_on(each, asking) for each in dependant.dependencies)
