"""What a caller gets when identity refuses: Keycloak's status codes and bodies.

Two shapes exist. The protocol's endpoints answer `{"error", "error_description"}` (RFC 6749,
section 5.2); the admin API answers `{"error"}` or, for what a person typed, `{"errorMessage"}`.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from jan_server.http.database_outages import install_database_outages
from jan_server.http.errors import ApiError, request_id_of
from jan_server.http.json_body import OrjsonResponse

logger = logging.getLogger("jan.identity.errors")

NO_STORE = {"cache-control": "no-store", "pragma": "no-cache"}


class IdentityError(Exception):
    """A refusal with its status and its body in Keycloak's words."""

    def __init__(
        self, status: int, body: Mapping[str, Any], headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(f"{status} {body}")
        self.status = status
        self.body = dict(body)
        self.headers = dict(headers or {})


def oauth_error(
    error: str, description: str = "", *, status: int = 400, headers: Mapping[str, str] | None = None
) -> IdentityError:
    """An error of the protocol's endpoints."""
    body = {"error": error, "error_description": description} if description else {"error": error}
    return IdentityError(status, body, {**NO_STORE, **(headers or {})})


def invalid_grant(description: str, *, status: int = 400) -> IdentityError:
    """A credential, code or token that is not good (any more)."""
    return oauth_error("invalid_grant", description, status=status)


def invalid_credentials() -> IdentityError:
    """A wrong password, or a user that does not exist: nobody learns which."""
    return invalid_grant("Invalid user credentials", status=401)


def not_found(text: str) -> IdentityError:
    """Something that the admin API does not know."""
    return IdentityError(404, {"error": text})


def conflict(text: str) -> IdentityError:
    """Something that exists already."""
    return IdentityError(409, {"errorMessage": text})


def bad_request(text: str, **more: Any) -> IdentityError:
    """A body of the admin API that cannot be taken."""
    return IdentityError(400, {**more, "errorMessage": text})


def unauthorized() -> IdentityError:
    """No token, or one that does not open anything."""
    return IdentityError(401, {"error": "HTTP 401 Unauthorized"})


def forbidden() -> IdentityError:
    """A good token without the right."""
    return IdentityError(403, {"error": "HTTP 403 Forbidden"})


def away(error: ApiError, request_id: str) -> Response:
    """An error of the platform's, such as a database that does not answer, in OAuth's shape."""
    body = {"error": "temporarily_unavailable", "error_description": error.message}
    return OrjsonResponse(body, error.status, error.headers)


def install_error_handlers(app: FastAPI) -> None:
    """Answer every failure of `app` in Keycloak's shapes."""

    async def refusal(request: Request, failure: Exception) -> Response:
        assert isinstance(failure, IdentityError)
        if not failure.body:
            return PlainTextResponse("", failure.status, failure.headers)
        return OrjsonResponse(failure.body, failure.status, failure.headers)

    async def http_exception(request: Request, failure: Exception) -> Response:
        assert isinstance(failure, HTTPException)
        words = {404: "Not Found", 405: "Method Not Allowed"}.get(failure.status_code, str(failure.detail))
        body = {"error": f"HTTP {failure.status_code} {words}"}
        if failure.status_code == 404 and not request.url.path.startswith(("/realms/", "/admin/")):
            body = {"error": "Unable to find matching target resource method"}
        return OrjsonResponse(body, failure.status_code, failure.headers)

    async def unexpected(request: Request, failure: Exception) -> Response:
        request_id = request_id_of(request)
        logger.error("unexpected failure", exc_info=failure, extra={"request_id": request_id})
        body = {
            "error": "unknown_error",
            "error_description": f"the log of identity has it under request id {request_id}",
        }
        return OrjsonResponse(body, 500)

    install_database_outages(app, "identity", away)
    app.add_exception_handler(IdentityError, refusal)
    app.add_exception_handler(HTTPException, http_exception)
    app.add_exception_handler(Exception, unexpected)
