"""The public side of shares: whoever has the link reads the snapshot.

Source: contract/llm-api.md, section 15.3. The routes stand at the root only, and no switch and
no credential changes what they answer.
"""

from __future__ import annotations

from fastapi import APIRouter, Response
from starlette.requests import Request

from jan_server.http.errors import ApiError, invalid_request, not_found
from jan_server.http.json_body import OrjsonResponse
from jan_server.services.llm_api.client_address import limit_key
from jan_server.services.llm_api.metrics import PUBLIC_SHARE_REQUESTS
from jan_server.services.llm_api.resources import Open, Resources
from jan_server.services.llm_api.routes.caller import count_request
from jan_server.services.llm_api.schemas.error import errors
from jan_server.services.llm_api.schemas.share import PublicShareObject, public_share_members
from jan_server.services.llm_api.shares import PublicShare, find_public_share, is_slug

CACHING = {"Cache-Control": "public, max-age=300"}

router = APIRouter(prefix="/v1/public/shares", tags=["shares"], responses=errors(410, 429))


@router.get(
    "/{slug}",
    summary="Read a shared conversation",
    response_model=PublicShareObject,
    responses=errors(400),
)
async def read(request: Request, opened: Open, slug: str) -> Response:
    """A link that was revoked and one that never was are the same: 410."""
    share = await _counted(request, opened, slug)
    return OrjsonResponse(public_share_members(share), headers=CACHING)


@router.head(
    "/{slug}",
    summary="See whether a link works",
    response_class=Response,
    responses={200: {"description": "It works."}, **errors(404)},
)
async def look(request: Request, opened: Open, slug: str) -> Response:
    """As the read, without a body; text that cannot be a slug is 404 here."""
    # The HTTP server drops the body of an answer to HEAD; its length is the read's.
    return await read(request, opened, slug)


async def _counted(request: Request, opened: Resources, slug: str) -> PublicShare:
    try:
        share = await _found(request, opened, slug)
    except ApiError as failure:
        PUBLIC_SHARE_REQUESTS.labels(request.method, str(failure.status)).inc()
        raise
    PUBLIC_SHARE_REQUESTS.labels(request.method, "200").inc()
    opened.share_views.note(share.id)
    return share


async def _found(request: Request, opened: Resources, slug: str) -> PublicShare:
    count_request(opened.public_share_limit, limit_key(request))
    if not is_slug(slug):
        if request.method == "HEAD":
            raise not_found("share not found", param="slug")
        raise invalid_request("a slug has 22 letters and digits", param="slug")
    async with opened.database.session() as session:
        share = await find_public_share(session, slug)
    if share is None:
        raise ApiError(410, "This share has been revoked", code="share_revoked", param="slug")
    return share
