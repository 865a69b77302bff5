"""`POST /v1/embeddings`. Source: OpenAI API reference, "Create embeddings"."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Send

from jan_server.http.typed_body import documented
from jan_server.services.llm_api.embeddings import EmbeddingAnswer, parse_embedding_request
from jan_server.services.llm_api.models import OfferedModel
from jan_server.services.llm_api.resources import resources
from jan_server.services.llm_api.routed_call import CallOrigin
from jan_server.services.llm_api.routes.routed import (
    UPSTREAM_ERRORS,
    RoutedResponse,
    cache_headers,
    json_body,
    note,
    origin_of,
    route_headers,
    send_whole,
)
from jan_server.services.llm_api.schemas.embedding import EmbeddingList, EmbeddingRequest

DOCUMENT: dict[str, Any] = {
    "tags": ["embeddings"],
    "summary": "Create embeddings",
    "openapi_extra": documented(EmbeddingRequest),
    "responses": {200: {"model": EmbeddingList}, **UPSTREAM_ERRORS},
}


async def create_embeddings(request: Request) -> Response:
    """Turn texts into vectors that lie near one another when the texts do.

    `jan/wordllama-256` is always there and computed in this process; every other model is a
    provider's.
    """
    origin = await origin_of(request)
    given = parse_embedding_request(await json_body(request))
    serving = resources(request).serving

    async def ask(model: OfferedModel, origin: CallOrigin) -> EmbeddingAnswer:
        note(request, model.id)
        return await serving.embeddings.create(given, model, origin)

    async def work(send: Send) -> None:
        answer = await serving.calls.answered(given.model, origin, ask)
        await send_whole(send, answer.body, [*route_headers(answer.model), *cache_headers(answer.place)])

    return RoutedResponse(work)
