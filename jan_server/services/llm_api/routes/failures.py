"""What the concepts raise, as answers: the one place where their exceptions meet a status."""

from __future__ import annotations

import logging
from collections.abc import Callable

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from jan_server.http.errors import (
    ApiError,
    conflict,
    error_response,
    forbidden,
    invalid_request,
    not_found,
    request_id_of,
    unavailable,
)
from jan_server.services.llm_api.identity_server import IdentityRefused, IdentityUnavailable
from jan_server.services.llm_api.refusals import Conflict, Forbidden, Missing, Refusal

logger = logging.getLogger("jan.llm-api.failures")

IDENTITY_CODE = "keycloak_error"
"""Existing clients know failures of the identity server by this code, whichever server it is."""


def from_refusal(failure: Refusal) -> ApiError:
    """A concept's refusal with its status: 400, 403, 404 or 409."""
    if isinstance(failure, Missing):
        return not_found(failure.message, code=failure.code or "not_found", param=failure.param or None)
    if isinstance(failure, Conflict):
        error = conflict(failure.message, param=failure.param or None)
        error.code = failure.code or error.code
        return error
    if isinstance(failure, Forbidden):
        return forbidden(failure.message)
    return invalid_request(failure.message, param=failure.param or None, code=failure.code or None)


def from_unavailable(failure: IdentityUnavailable) -> ApiError:
    """An identity server that does not answer: 503, with its address kept to the log."""
    logger.warning("%s", failure)
    return unavailable("the identity server cannot be reached; try again shortly")


def from_refused(failure: IdentityRefused) -> ApiError:
    """A call that the identity server refuses and no route foresaw: 502 with its words."""
    return ApiError(502, f"the identity server refused: {failure}", code=IDENTITY_CODE)


def install_failures(app: FastAPI) -> None:
    """Answer for the concepts of this service."""

    def answer(failure_type: type[Exception], convert: Callable[..., ApiError]) -> None:
        async def handle(request: Request, failure: Exception) -> Response:
            return error_response(convert(failure), request_id_of(request))

        app.add_exception_handler(failure_type, handle)

    answer(Refusal, from_refusal)
    answer(IdentityUnavailable, from_unavailable)
    answer(IdentityRefused, from_refused)
