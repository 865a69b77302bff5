"""`POST /v1/moderations`. Source: OpenAI API reference, "Create moderation"."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from jan_server.http.typed_body import documented
from jan_server.services.llm_api.moderations import PATH, parse_moderation_request
from jan_server.services.llm_api.routes.routed import UPSTREAM_ERRORS, json_body, origin_of, whole_response
from jan_server.services.llm_api.schemas.moderation import Moderation, ModerationRequest

DOCUMENT: dict[str, Any] = {
    "tags": ["moderations"],
    "summary": "Create a moderation",
    "openapi_extra": documented(ModerationRequest),
    "responses": {200: {"model": Moderation}, **UPSTREAM_ERRORS},
}


async def create_moderation(request: Request) -> Response:
    """Let a model judge whether texts or images are harmful."""
    origin = await origin_of(request)
    body = await json_body(request)
    asked = parse_moderation_request(body)
    return whole_response(request, origin, asked, PATH, body, member=b"results")
