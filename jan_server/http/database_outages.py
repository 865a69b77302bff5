"""What callers get while PostgreSQL is away: 503 and when to come back, never a traceback."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from jan_server.database.outages import KINDS, cause_of, is_outage
from jan_server.http.errors import ApiError, error_response, request_id_of, unavailable

RETRY_AFTER_SECONDS = 1
WARN_EVERY_SECONDS = 5.0


def database_away() -> ApiError:
    """The 503 of a database that does not answer."""
    error = unavailable("the database does not answer; try again shortly")
    error.headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    return error


def install_database_outages(
    app: FastAPI, service: str, shape: Callable[[ApiError, str], Response] = error_response
) -> None:
    """Answer for a database that is away, with a warning in the service's log now and then.

    Args:
        app: The service's app.
        service: The service's name, as in its loggers.
        shape: Makes the response of an error and a request id, where it is not the usual envelope.
    """
    logger = logging.getLogger(f"jan.{service}.database")
    quiet_until = 0.0

    async def handle(request: Request, failure: Exception) -> Response:
        nonlocal quiet_until
        if not is_outage(failure):
            raise failure
        request_id = request_id_of(request)
        now = time.monotonic()
        # Every request fails while it is away, and the access log has each: once in a while is enough here.
        if now >= quiet_until:
            quiet_until = now + WARN_EVERY_SECONDS
            logger.warning(
                "the database does not answer: %s", cause_of(failure), extra={"request_id": request_id}
            )
        return shape(database_away(), request_id)

    for kind in KINDS:
        app.add_exception_handler(kind, handle)
