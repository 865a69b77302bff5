"""JSON bodies as typed models, read the platform's way, and shown in the OpenAPI document.

FastAPI would read a body by itself, yet it refuses what follows the first JSON value, which
the contract ignores (contract/llm-api.md, section 1).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError
from starlette.requests import Request

from jan_server.http.json_body import read_json_object

Model = TypeVar("Model", bound=BaseModel)

JSON = "application/json"
FORM = "multipart/form-data"

_DEFINITION = "#/$defs/"


def body_of(model: type[Model]) -> Callable[[Request], Awaitable[Model]]:
    """A FastAPI dependency: the request's JSON object as `model`; ApiError 400 names a field at fault."""

    async def read(request: Request) -> Model:
        return parsed(model, await read_json_object(request))

    return read


def optional_body_of(model: type[Model]) -> Callable[[Request], Awaitable[Model]]:
    """The same for a body that may be left out: `model` without any member then."""

    async def read(request: Request) -> Model:
        return parsed(model, await read_json_object(request) if (await request.body()).strip() else {})

    return read


def parsed(model: type[Model], value: dict[str, Any]) -> Model:
    """`value` as `model`; RequestValidationError, which becomes a 400, when it does not fit."""
    try:
        return model.model_validate(value)
    except ValidationError as failure:
        raise RequestValidationError(failure.errors(include_url=False)) from failure


def documented(
    model: type[BaseModel] | None = None, *, required: bool = True, form: type[BaseModel] | None = None
) -> dict[str, Any]:
    """The `openapi_extra` of a route whose body is `model` in JSON, or `form` with its files, or either."""
    content = {
        media_type: {"schema": _schema(body)}
        for media_type, body in ((JSON, model), (FORM, form))
        if body is not None
    }
    return {"requestBody": {"required": required, "content": content}}


def _schema(model: type[BaseModel]) -> Any:
    schema = model.model_json_schema(ref_template=_DEFINITION + "{model}")
    return _inlined(schema, schema.pop("$defs", {}))


def _inlined(schema: Any, definitions: dict[str, Any]) -> Any:
    """The schema with its inner models in place: a route's extras cannot add to the document's components."""
    if isinstance(schema, list):
        return [_inlined(entry, definitions) for entry in schema]
    if not isinstance(schema, dict):
        return schema
    reference = schema.get("$ref", "")
    if reference.startswith(_DEFINITION):
        further = {name: value for name, value in schema.items() if name != "$ref"}
        return _inlined({**definitions[reference.removeprefix(_DEFINITION)], **further}, definitions)
    return {name: _inlined(value, definitions) for name, value in schema.items()}
