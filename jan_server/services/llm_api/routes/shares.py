"""The routes of shares, for their owners.

Source: contract/llm-api.md, sections 15.1 and 15.2.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import APIRouter, Depends, Response
from starlette.requests import Request

from jan_server.http.errors import ApiError
from jan_server.http.json_body import OrjsonResponse
from jan_server.http.typed_body import body_of, documented
from jan_server.services.llm_api import shares
from jan_server.services.llm_api.metrics import SHARES
from jan_server.services.llm_api.refusals import Refusal
from jan_server.services.llm_api.resources import Open, resources
from jan_server.services.llm_api.routes.caller import CallerUser
from jan_server.services.llm_api.routes.conversations import CallerConversation
from jan_server.services.llm_api.routes.listing import lenient, query_parameter
from jan_server.services.llm_api.routes.public_origin import public_origin
from jan_server.services.llm_api.schemas.error import errors
from jan_server.services.llm_api.schemas.share import (
    NewShare,
    ShareDeleted,
    ShareList,
    ShareObject,
    share_list,
    share_members,
    shared_part,
)

router = APIRouter(prefix="/v1", tags=["shares"], responses=errors(401, 403))


def sharing(code: str) -> Callable[[Request], Awaitable[None]]:
    """A FastAPI dependency: ApiError 403 with this code while sharing is switched off."""

    async def check(request: Request) -> None:
        if not resources(request).settings.services.llm_api.conversations.sharing_enabled:
            raise ApiError(403, "conversation sharing is not enabled", code=code)

    return check


# The switch stands behind the conversation among the parameters: an unknown one is 404 either way.
@router.post(
    "/conversations/{conversation_id}/share",
    status_code=201,
    summary="Share a conversation or one of its answers",
    response_model=ShareObject,
    openapi_extra={
        "parameters": [query_parameter("branch", "Wins over the body's.")],
        **documented(NewShare),
    },
    responses=errors(400, 404),
)
async def create(
    request: Request,
    opened: Open,
    conversation: CallerConversation,
    _: Annotated[None, Depends(sharing("share-disabled-001"))],
    body: Annotated[NewShare, Depends(body_of(NewShare))],
) -> Response:
    """Whoever has the link sees what the conversation is now, without an account.

    An earlier link to the same conversation stops working; when this request is refused, it goes on.
    """
    try:
        part = shared_part(body, request.query_params.get("branch"))
        async with opened.database.session() as session:
            share = await shares.create_share(session, conversation, part)
    except Refusal:
        SHARES.labels(body.scope, "refused").inc()
        raise
    SHARES.labels(body.scope, "created").inc()
    members = {"share_options": {}, **share_members(share, public_origin(request))}
    return OrjsonResponse(members, status_code=201)


@router.get(
    "/conversations/{conversation_id}/shares",
    summary="List the shares of a conversation",
    response_model=ShareList,
    responses=errors(400, 404),
)
async def listed_of_conversation(
    request: Request,
    opened: Open,
    conversation: CallerConversation,
    _: Annotated[None, Depends(sharing("share-disabled-002"))],
) -> Response:
    """The newest 20, revoked ones included."""
    async with opened.database.session() as session:
        found = await shares.list_shares(session, conversation.user_id, conversation)
    return OrjsonResponse(share_list(found, public_origin(request)))


@router.delete(
    "/conversations/{conversation_id}/shares/{share_id}",
    summary="Revoke a share of a conversation",
    response_model=ShareDeleted,
    responses=errors(400, 404),
)
async def revoke_of_conversation(
    opened: Open,
    conversation: CallerConversation,
    _: Annotated[None, Depends(sharing("share-disabled-003"))],
    share_id: str,
) -> Response:
    """The link stops working; copies in caches may last five minutes longer."""
    async with opened.database.session() as session:
        await shares.end_share(session, conversation.user_id, share_id, conversation)
    return OrjsonResponse({"id": share_id, "object": "share.deleted", "deleted": True})


@router.get(
    "/shares",
    summary="List the caller's shares",
    response_model=ShareList,
    openapi_extra={
        "parameters": [
            query_parameter(
                "include_revoked",
                "`false` leaves revoked ones out.",
                lenient({"type": "boolean", "default": True}),
            )
        ]
    },
)
async def listed(
    request: Request,
    opened: Open,
    caller: CallerUser,
    _: Annotated[None, Depends(sharing("share-disabled-004"))],
) -> Response:
    """The newest 20 of all conversations."""
    include_revoked = request.query_params.get("include_revoked", "").lower() != "false"
    async with opened.database.session() as session:
        found = await shares.list_shares(session, caller.id, include_revoked=include_revoked)
    return OrjsonResponse(share_list(found, public_origin(request)))


@router.delete(
    "/shares/{share_id}",
    summary="Revoke a share",
    response_model=ShareDeleted,
    responses=errors(400, 404),
)
async def revoke(
    opened: Open,
    caller: CallerUser,
    _: Annotated[None, Depends(sharing("share-disabled-005"))],
    share_id: str,
) -> Response:
    """The link stops working; copies in caches may last five minutes longer."""
    async with opened.database.session() as session:
        await shares.end_share(session, caller.id, share_id)
    return OrjsonResponse({"id": share_id, "object": "share.deleted", "deleted": True})
