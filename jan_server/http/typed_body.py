"""JSON bodies as typed models, read the platform's way, and shown in the OpenAPI document.

FastAPI would read a body by itself, yet it refuses what follows the first JSON value, which
the contract ignores (contract/llm-api.md, section 1).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import orjson
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError
from starlette.requests import Request

from jan_server.http.api_document import COMPONENTS
from jan_server.http.json_body import read_json_object

Model = TypeVar("Model", bound=BaseModel)

JSON = "application/json"
FORM = "multipart/form-data"


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
    """`value` as `model`; RequestValidationError, which becomes a 400, when it does not fit.

    Types are JSON's own: a number is no text, and neither of them is `true`. What JSON has no
    type for, times and exact numbers for example, is read from text.
    """
    try:
        try:
            text = orjson.dumps(value)
        except TypeError:
            # Nested too deeply to be written again: the member that keeps such a thing says so itself.
            return model.model_validate(value)
        return model.model_validate_json(text, strict=True)
    except ValidationError as failure:
        raise RequestValidationError(failure.errors(include_url=False)) from failure


def documented(
    model: type[BaseModel] | None = None, *, required: bool = True, form: type[BaseModel] | None = None
) -> dict[str, Any]:
    """The `openapi_extra` of a route whose body is `model` in JSON, or `form` with its files, or either."""
    content = {
        # The document's components take the models in when it is made (`name_bodies`).
        media_type: {"schema": body.model_json_schema(ref_template=COMPONENTS + "{model}")}
        for media_type, body in ((JSON, model), (FORM, form))
        if body is not None
    }
    return {"requestBody": {"required": required, "content": content}}
