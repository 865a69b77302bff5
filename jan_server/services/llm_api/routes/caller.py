"""Who calls: the three levels of authentication that routes ask for.

Each is a FastAPI dependency (the annotated types below) and a plain await in a fast route
(contract/llm-api.md, section 2.2):

* `require_token`: any valid credential,
* `current_user`: the same, and the caller's local row exists,
* `require_admin`: as the first, and the caller is an administrator; requests are limited.

What they find stays in the request's state, from where `IdentityEcho` tells it to the caller.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends
from starlette.requests import Request

from jan_server.authentication.guard import require_token
from jan_server.authentication.principal import Principal
from jan_server.http.errors import ApiError, forbidden
from jan_server.services.llm_api.client_address import limit_key
from jan_server.services.llm_api.request_limit import FULL_AGAIN_SECONDS, RequestLimit
from jan_server.services.llm_api.resources import resources
from jan_server.services.llm_api.users import CurrentUser


async def current_user(request: Request) -> CurrentUser:
    """The authenticated caller with the key of its local row.

    Raises:
        ApiError: 401 without a valid credential.
    """
    user = await resources(request).users.resolve(await require_token(request))
    request.scope["state"]["user_id"] = user.id
    return user


async def require_admin(request: Request) -> Principal:
    """The authenticated caller, who is an administrator.

    Requests of administration are counted by person, whichever credential it has, and by address
    while nobody knows who calls (contract/llm-api.md, section 1).

    Raises:
        ApiError: 401 without a valid credential, 403 without the right, 429 for too many requests.
    """
    opened = resources(request)
    try:
        principal = await require_token(request)
    except ApiError:
        count_request(opened.admin_limit, f"address {limit_key(request)}")
        raise
    count_request(opened.admin_limit, f"person {principal.issuer} {principal.subject}")
    if opened.settings.services.llm_api.admin_auth_enabled and not principal.is_admin:
        raise forbidden("Admin access required")
    return principal


def count_request(limit: RequestLimit, caller: str) -> None:
    """Count one request; ApiError 429 when the caller sent too many."""
    if not limit.take(caller):
        raise ApiError(
            429,
            f"Too many requests: at most {limit.per_minute} a minute; wait {FULL_AGAIN_SECONDS} seconds",
            code="rate_limited",
            headers={"Retry-After": str(FULL_AGAIN_SECONDS)},
        )


CallerPrincipal = Annotated[Principal, Depends(require_token)]
CallerUser = Annotated[CurrentUser, Depends(current_user)]
CallerAdmin = Annotated[Principal, Depends(require_admin)]

ASKING = frozenset({require_token, current_user, require_admin})
"""The dependencies that a route has when it needs a credential."""

__all__ = [
    "ASKING",
    "CallerAdmin",
    "CallerPrincipal",
    "CallerUser",
    "count_request",
    "current_user",
    "require_admin",
    "require_token",
]
