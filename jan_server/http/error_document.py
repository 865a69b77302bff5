"""The errors of a service as its OpenAPI document shows them: each status said once, for all operations.

What an operation can answer follows from what it has: a body can be wrong (400) or too large (413),
an id in a path can be unknown (404), a credential can be refused (401). Routes name only what is
theirs alone; the rest is added when the document is made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict

from jan_server.http.errors import ApiError, error_body

METHODS = frozenset({"get", "put", "post", "delete", "head", "patch"})
"""The members of a path in an OpenAPI document that are operations."""

REQUEST_ID = "5f1d6f0e-8a0e-4d0c-9a55-3f3f0f6b8f10"

_MODEL = "ErrorBody"
_SCHEMA = {"$ref": f"#/components/schemas/{_MODEL}"}


class ErrorDetail(BaseModel):
    """What went wrong, in OpenAI's shape."""

    message: str
    type: str
    code: str | None
    param: str | None


class ErrorBody(BaseModel):
    """The one error envelope of the platform."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": error_body(
                ApiError(404, "conversation not found", code="not_found", param="conversation"), REQUEST_ID
            )
        }
    )

    error: ErrorDetail
    code: str
    message: str
    request_id: str


class _Shown(NamedTuple):
    """How the document shows one status."""

    name: str
    description: str
    example: ApiError
    retry_after: bool = False


_SHOWN: dict[int, _Shown] = {
    shown.example.status: shown
    for shown in (
        _Shown(
            "InvalidRequest",
            "The request cannot be served as it stands; `error.param` names the member at fault.",
            ApiError(400, "name: Field required", code="invalid_request", param="name"),
        ),
        _Shown(
            "Unauthenticated",
            "There is no credential, or none that holds.",
            ApiError(401, "the token has expired; refresh it or log in again", code="invalid_token"),
        ),
        _Shown(
            "BudgetSpent",
            "A budget is used up; the message says which and when it begins anew.",
            ApiError(402, "the budget of this key is used up until 2026-02-01", code="budget_exceeded"),
        ),
        _Shown(
            "Forbidden",
            "The caller is known and may not do this.",
            ApiError(403, "Admin access required", code="forbidden"),
        ),
        _Shown(
            "NotFound",
            "It does not exist, or is not the caller's.",
            ApiError(404, "conversation not found", code="not_found", param="conversation"),
        ),
        _Shown(
            "Conflict",
            "It collides with what is stored.",
            ApiError(409, "a project with this name exists", code="conflict", param="name"),
        ),
        _Shown(
            "Gone", "It was withdrawn.", ApiError(410, "This share has been revoked", code="share_revoked")
        ),
        _Shown(
            "TooLarge",
            "The body is larger than the server takes.",
            ApiError(413, "the body is larger than 50 megabytes", code="request_too_large"),
        ),
        _Shown(
            "UnsupportedMedia",
            "The provider does not take this kind of content.",
            ApiError(415, "this model takes no audio of this format", code="invalid_request", param="file"),
        ),
        _Shown(
            "Unprocessable",
            "The provider understood the request and does not serve it.",
            ApiError(422, "dimensions is not supported by this model", code="invalid_request"),
        ),
        _Shown(
            "TooManyRequests",
            "A limit is reached; the message says which, `Retry-After` when to come back, in seconds.",
            ApiError(429, "Too many requests: at most 100 a minute; wait 60 seconds", code="rate_limited"),
            retry_after=True,
        ),
        _Shown(
            "NotImplemented",
            "This installation does not offer it.",
            ApiError(501, "image generation is not enabled", code="image-generation-disabled"),
        ),
        _Shown(
            "UpstreamFailed",
            "A server behind this one failed, or its answer is of no use.",
            ApiError(502, "vLLM cannot be reached: the connection was refused", code="upstream_unreachable"),
        ),
        _Shown(
            "Unavailable",
            "Something that is needed is away for the moment.",
            ApiError(503, "the database does not answer; try again shortly", code="unavailable"),
            retry_after=True,
        ),
        _Shown(
            "UpstreamTimeout",
            "A server behind this one did not answer in time.",
            ApiError(504, "vLLM did not answer in time", code="upstream_timeout"),
        ),
    )
}

Statuses = Callable[[str, str, dict[str, Any]], Iterable[int]]
"""Gives the error statuses of an operation from its path, its method and what the document says of it."""


def show_errors(document: dict[str, Any], further: Statuses) -> None:
    """Give each operation the error statuses that follow from what it has, and `further` ones.

    What a route says of a status in other words than the envelope stays as it is.

    Args:
        document: The OpenAPI document; it is changed.
        further: What follows from the rules of this service.
    """
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    described = ErrorBody.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas.update(described.pop("$defs"))
    schemas[_MODEL] = described
    components["responses"] = {shown.name: _response(shown) for shown in _SHOWN.values()}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if method not in METHODS:
                continue
            responses = operation["responses"]
            for status in {*_own(operation), *further(path, method, operation)}:
                responses.setdefault(str(status), {"content": {"application/json": {"schema": _SCHEMA}}})
            for status, response in responses.items():
                if response.get("content", {}).get("application/json", {}).get("schema") == _SCHEMA:
                    responses[status] = {"$ref": f"#/components/responses/{_SHOWN[int(status)].name}"}
            operation["responses"] = dict(sorted(responses.items()))


def _own(operation: dict[str, Any]) -> set[int]:
    statuses = set()
    parameters = operation.get("parameters", ())
    if parameters:
        statuses.add(400)
    if any(parameter["in"] == "path" for parameter in parameters):
        statuses.add(404)
    if "requestBody" in operation:
        statuses |= {400, 413}
    if "security" in operation:
        statuses |= {401, 503}
    return statuses


def _response(shown: _Shown) -> dict[str, Any]:
    example = error_body(shown.example, REQUEST_ID)
    response: dict[str, Any] = {
        "description": shown.description,
        "content": {"application/json": {"schema": _SCHEMA, "example": example}},
    }
    if shown.retry_after:
        response["headers"] = {
            "Retry-After": {"description": "When to come back, in seconds.", "schema": {"type": "string"}}
        }
    return response
