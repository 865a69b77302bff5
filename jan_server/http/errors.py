"""The one error envelope of the platform, and the exceptions that become it.

Every error body is `{"error": {"message", "type", "code", "param"}, "code", "message", "request_id"}`:
OpenAI's clients read the nested object, Jan's older clients the members beside it
(design, section 7).
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import orjson
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

TYPES: Mapping[int, str] = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "insufficient_quota",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    408: "timeout_error",
    409: "conflict_error",
    410: "gone_error",
    413: "invalid_request_error",
    415: "invalid_request_error",
    422: "invalid_request_error",
    429: "rate_limit_error",
    501: "not_implemented_error",
    502: "upstream_error",
    503: "service_unavailable_error",
    504: "timeout_error",
}


class ApiError(Exception):
    """An error with a status, meant for the caller.

    Args:
        status: HTTP status, 400 to 599.
        message: The cause, in words that say what to do.
        type: OpenAI's error type; by default the usual one of the status.
        code: A stable slug for programs, for example `model_not_found`.
        param: The field of the request that caused it, for example `messages[2].role`.
        headers: Further response headers, for example `Retry-After`.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        type: str | None = None,  # noqa: A002 - OpenAI's own word
        code: str | None = None,
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.type = type or TYPES.get(status, "server_error" if status >= 500 else "invalid_request_error")
        self.code = code
        self.param = param
        self.headers = dict(headers or {})


def invalid_request(message: str, *, param: str | None = None, code: str | None = None) -> ApiError:
    """A request that cannot be served as it stands: 400."""
    return ApiError(400, message, code=code or "invalid_request", param=param)


def unauthorized(message: str = "unauthorized", *, code: str = "unauthorized") -> ApiError:
    """A missing or refused credential: 401."""
    return ApiError(401, message, code=code)


def forbidden(message: str) -> ApiError:
    """A known caller without the right: 403."""
    return ApiError(403, message, code="forbidden")


def not_found(message: str, *, code: str = "not_found", param: str | None = None) -> ApiError:
    """Something unknown, or not the caller's: 404 for both."""
    return ApiError(404, message, code=code, param=param)


def conflict(message: str, *, param: str | None = None) -> ApiError:
    """A request that collides with what is stored: 409."""
    return ApiError(409, message, code="conflict", param=param)


def upstream_failed(message: str, *, status: int = 502) -> ApiError:
    """A service behind this one failed: 502, or 504 when it did not answer in time."""
    return ApiError(status, message, code="upstream_timeout" if status == 504 else "upstream_error")


def unavailable(message: str) -> ApiError:
    """Something this service needs is not there now: 503."""
    return ApiError(503, message, code="unavailable")


def error_body(error: ApiError, request_id: str = "") -> dict[str, Any]:
    """The envelope of an error as plain data."""
    return {
        "error": {
            "message": error.message,
            "type": error.type,
            "code": error.code,
            "param": error.param,
        },
        "code": error.code or "",
        "message": error.message,
        "request_id": request_id,
    }


def error_response(error: ApiError, request_id: str = "") -> Response:
    """The envelope of an error as a response."""
    return Response(
        orjson.dumps(error_body(error, request_id)),
        status_code=error.status,
        headers=error.headers,
        media_type="application/json",
    )


def request_id_of(request: Request) -> str:
    """The id that the edge gave this request, or an empty text outside an edge."""
    return str(request.scope.get("state", {}).get("request_id", ""))


def from_validation(failure: RequestValidationError) -> ApiError:
    """FastAPI's validation failure as a 400 that names the first field at fault."""
    first = failure.errors()[0] if failure.errors() else {"loc": (), "msg": "invalid request"}
    location = [part for part in first["loc"] if part not in ("body", "query", "path", "header")]
    name = ""
    for part in location:
        name += f"[{part}]" if isinstance(part, int) else (f".{part}" if name else str(part))
    if first.get("type") == "json_invalid":
        return invalid_request("the body is not valid JSON", code="invalid_json")
    message = f"{name}: {_words(first)}" if name else _words(first)
    return invalid_request(message, param=name or None)


def _words(error: Mapping[str, Any]) -> str:
    """What is wrong, in pydantic's words, which count the characters of some texts as items."""
    bound = {"too_long": ("most", "max_length"), "too_short": ("least", "min_length")}.get(
        error.get("type", "")
    )
    if bound is None or not isinstance(error.get("input"), str):
        return str(error["msg"])
    count = error["ctx"][bound[1]]
    return f"String should have at {bound[0]} {count} character{'' if count == 1 else 's'}"


def install_error_handlers(app: FastAPI, service: str) -> None:
    """Turn every failure of `app` into the envelope.

    An unknown path and a wrong method are both 404 (contract/llm-api.md, section 1); an
    unexpected exception is logged with its request id and becomes a 500 without its text.

    Args:
        app: The service's app.
        service: The service's name, in whose log failures stand.
    """
    logger = logging.getLogger(f"jan.{service}.errors")

    async def api_error(request: Request, failure: Exception) -> Response:
        assert isinstance(failure, ApiError)
        return error_response(failure, request_id_of(request))

    async def validation(request: Request, failure: Exception) -> Response:
        assert isinstance(failure, RequestValidationError)
        return error_response(from_validation(failure), request_id_of(request))

    async def http_exception(request: Request, failure: Exception) -> Response:
        assert isinstance(failure, HTTPException)
        if failure.status_code in (404, 405):
            error = not_found(f"no route for {request.method} {request.url.path}", code="route_not_found")
        else:
            error = ApiError(failure.status_code, str(failure.detail), headers=failure.headers)
        return error_response(error, request_id_of(request))

    async def unexpected(request: Request, failure: Exception) -> Response:
        request_id = request_id_of(request)
        logger.error("unexpected failure", exc_info=failure, extra={"request_id": request_id})
        error = ApiError(
            500, "internal error; the service's log has it under this request id", code="internal_error"
        )
        return error_response(error, request_id)

    app.add_exception_handler(ApiError, api_error)
    app.add_exception_handler(RequestValidationError, validation)
    app.add_exception_handler(HTTPException, http_exception)
    app.add_exception_handler(Exception, unexpected)
