"""Calls from browsers: which origins may read the answers of the protocol's endpoints.

Public documents may be read from anywhere; tokens only from the web origins of the client
(Keycloak's rule). A preflight tells nothing, so it is answered for every origin.
"""

from __future__ import annotations

from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import Response

ALLOWED_HEADERS = (
    "Origin, Accept, X-Requested-With, Content-Type, Access-Control-Request-Method, "
    "Access-Control-Request-Headers, Authorization, DPoP"
)
MAX_AGE_SECONDS = "3600"


def allow(request: Request, response: Response, origins: Sequence[str] | None = None) -> Response:
    """Let the page that asked read `response`, if its origin is among `origins`; None means any."""
    origin = request.headers.get("origin")
    if origin:
        response.headers.add_vary_header("Origin")
        if origins is None or "*" in origins or origin in origins:
            response.headers["access-control-allow-origin"] = origin
            response.headers["access-control-allow-credentials"] = "true"
            if origins is not None:
                response.headers["access-control-expose-headers"] = "Access-Control-Allow-Methods"
    return response


def preflight(request: Request, *methods: str) -> Response:
    """The answer to a preflight; which methods it names is Keycloak's choice."""
    response = Response()
    if origin := request.headers.get("origin"):
        response.headers.update(
            {
                "access-control-allow-origin": origin,
                "access-control-allow-credentials": "true",
                "access-control-allow-methods": ", ".join(methods),
                "access-control-allow-headers": ALLOWED_HEADERS,
                "access-control-max-age": MAX_AGE_SECONDS,
                "vary": "Origin",
            }
        )
    return response
