"""Callers who speak Anthropic's protocol: how they are known, and refusals in the shape that they read."""

from __future__ import annotations

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from jan_server.authentication.guard import KEY_MARK
from jan_server.http.errors import ApiError
from jan_server.http.fast_route import Endpoint
from jan_server.services.llm_api.anthropic.answer import error_answer
from jan_server.services.llm_api.refusals import Refusal
from jan_server.services.llm_api.routes.failures import from_refusal

VERSION_HEADER = "anthropic-version"
"""Anthropic's clients send it with every request, and nobody else does."""


def speaks_anthropic(request: Request) -> bool:
    """Whether the caller is one of Anthropic's clients; on paths that both APIs have it tells them apart."""
    return VERSION_HEADER in request.headers


def take_key(scope: Scope) -> None:
    """Let a key in Anthropic's header count, as the gateway does where it stands in front."""
    given = dict(scope["headers"])
    key: bytes = given.get(b"x-api-key", b"")
    if key.startswith(KEY_MARK.encode()) and not given.get(b"authorization"):
        scope["headers"] = [*scope["headers"], (b"authorization", b"Bearer " + key)]


def with_anthropics_errors(endpoint: Endpoint) -> Endpoint:
    """An endpoint whose refusals are told in Anthropic's shape."""

    async def answer(request: Request) -> Response:
        try:
            return await endpoint(request)
        except (ApiError, Refusal) as failure:
            return anthropic_failure(request.scope, failure)

    answer.__name__, answer.__doc__ = endpoint.__name__, endpoint.__doc__
    return answer


def anthropic_failure(scope: Scope, failure: ApiError | Refusal) -> Response:
    """A refusal as Anthropic's clients read it."""
    error = from_refusal(failure) if isinstance(failure, Refusal) else failure
    request_id = scope["state"].get("request_id", "")
    body = orjson.dumps(error_answer(error.status, error.message, request_id))
    headers = {**error.headers, "request-id": request_id}
    return Response(body, error.status, headers, media_type="application/json")
