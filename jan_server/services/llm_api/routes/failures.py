"""What the concepts raise, as answers: the one place where their exceptions meet a status."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable

from fastapi import FastAPI
from psycopg.errors import ForeignKeyViolation
from sqlalchemy.exc import IntegrityError
from starlette.requests import Request
from starlette.responses import Response

from jan_server.authentication.outages import identity_unavailable
from jan_server.http.errors import (
    ApiError,
    conflict,
    error_response,
    forbidden,
    invalid_request,
    not_found,
    request_id_of,
    unauthorized,
)
from jan_server.services.llm_api.identity_server import IdentityRefused, IdentityUnavailable
from jan_server.services.llm_api.refusals import Conflict, Forbidden, Missing, Refusal
from jan_server.services.llm_api.resources import resources

logger = logging.getLogger("jan.llm-api.failures")

IDENTITY_CODE = "keycloak_error"
"""Existing clients know failures of the identity server by this code, whichever server it is."""

# PostgreSQL's words may be in any language; the column and its value are not.
_MISSING_USER = re.compile(r"\(user_id\)=\(([0-9]+)\)")


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
    return identity_unavailable()


def from_refused(failure: IdentityRefused) -> ApiError:
    """A call that the identity server refuses and no route foresaw: 502 with its words."""
    return ApiError(502, f"the identity server refused: {failure}", code=IDENTITY_CODE)


def install_failures(app: FastAPI) -> None:
    """Answer for the concepts of this service."""

    def answer(failure_type: type[Exception], convert: Callable[..., ApiError]) -> None:
        async def handle(request: Request, failure: Exception) -> Response:
            return error_response(convert(failure), request_id_of(request))

        app.add_exception_handler(failure_type, handle)

    # As SQLAlchemy raises it, and as the driver does where it is used directly.
    app.add_exception_handler(IntegrityError, _removed_caller)
    app.add_exception_handler(ForeignKeyViolation, _removed_caller)
    answer(Refusal, from_refusal)
    answer(IdentityUnavailable, from_unavailable)
    answer(IdentityRefused, from_refused)


async def _removed_caller(request: Request, failure: Exception) -> Response:
    """401 for a caller whose row is gone: another process removed the user a short while ago."""
    state = request.scope["state"]
    cause = failure.orig if isinstance(failure, IntegrityError) else failure
    if isinstance(cause, ForeignKeyViolation) and "user_id" in state:
        missing = _MISSING_USER.search(cause.diag.message_detail or "")
        if missing is not None and int(missing[1]) == state["user_id"]:
            principal = state["principal"]
            resources(request).users.forget(principal.issuer, principal.subject)
            gone = unauthorized("this account was removed; log in again", code="account_removed")
            return error_response(gone, request_id_of(request))
    raise failure
