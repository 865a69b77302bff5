"""`POST /v1/rerank`, in the shape of Jina and Cohere."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from jan_server.http.typed_body import documented
from jan_server.services.llm_api.rerank import PATH, parse_rerank_request, rerank_tokens
from jan_server.services.llm_api.routes.routed import UPSTREAM_ERRORS, json_body, origin_of, whole_response
from jan_server.services.llm_api.schemas.rerank import Ranking, RerankRequest

DOCUMENT: dict[str, Any] = {
    "tags": ["rerank"],
    "summary": "Rank documents",
    "openapi_extra": documented(RerankRequest),
    "responses": {200: {"model": Ranking}, **UPSTREAM_ERRORS},
}


async def create_ranking(request: Request) -> Response:
    """Sort documents by what they say about a query."""
    origin = await origin_of(request)
    body = await json_body(request)
    asked = parse_rerank_request(body)
    return whole_response(
        request, origin, asked, PATH, body, member=b"results", estimate=lambda: rerank_tokens(body)
    )
