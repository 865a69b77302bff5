"""Who calls: the three levels of authentication that routes ask for.

Each is a FastAPI dependency (the annotated types below) and a plain await in a fast route
(contract/llm-api.md, section 2.2):

* `require_token`: any valid credential,
* `current_user`: the same, and the caller's local row exists,
* `require_admin`: as the first, and the caller is an administrator.

What they find stays in the request's state, from where `IdentityEcho` tells it to the caller.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends
from starlette.requests import Request

from jan_server.authentication.guard import require_admin, require_token
from jan_server.authentication.principal import Principal
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


CallerPrincipal = Annotated[Principal, Depends(require_token)]
CallerUser = Annotated[CurrentUser, Depends(current_user)]
CallerAdmin = Annotated[Principal, Depends(require_admin)]

__all__ = [
    "CallerAdmin",
    "CallerPrincipal",
    "CallerUser",
    "current_user",
    "require_admin",
    "require_token",
]
