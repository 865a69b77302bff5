"""`POST /v1/completions`: text goes on, whole or as a stream.

Source: OpenAI API reference, "Create completion".
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Send

from jan_server.http.typed_body import documented
from jan_server.services.llm_api.completions import completion_call, parse_completion_request
from jan_server.services.llm_api.models import OfferedModel
from jan_server.services.llm_api.resources import resources
from jan_server.services.llm_api.routed_call import CallOrigin, RoutedCall
from jan_server.services.llm_api.routes.routed import (
    UPSTREAM_ERRORS,
    RoutedResponse,
    cache_headers,
    json_body,
    note,
    origin_of,
    route_headers,
    send_completion_stream,
    send_whole,
)
from jan_server.services.llm_api.schemas.completion import Completion, CompletionRequest

DOCUMENT: dict[str, Any] = {
    "tags": ["completions"],
    "summary": "Create a completion",
    "openapi_extra": documented(CompletionRequest),
    "responses": {
        200: {
            "model": Completion,
            "description": "The completion, or with `stream: true` its chunks as server-sent events.",
            "content": {"text/event-stream": {}},
        },
        **UPSTREAM_ERRORS,
    },
}


async def create_completion(request: Request) -> Response:
    """Let a model go on with a prompt. Chat is the newer way; this one serves older programs."""
    origin = await origin_of(request)
    given = parse_completion_request(await json_body(request))
    opened = resources(request)
    calls = opened.serving.calls

    def call_of(model: OfferedModel, origin: CallOrigin) -> tuple[RoutedCall, bool]:
        note(request, model.id, stream=given.stream)
        ask = opened.settings.services.llm_api.usage.ask_in_streams
        return completion_call(calls, given, model, origin, ask=ask)

    async def whole(model: OfferedModel, origin: CallOrigin) -> tuple[RoutedCall, bytes]:
        call, _ = call_of(model, origin)
        return call, await calls.whole(call, member=b"choices")

    async def stream(
        model: OfferedModel, origin: CallOrigin
    ) -> tuple[RoutedCall, AsyncGenerator[bytes, None]]:
        call, hide_usage = call_of(model, origin)
        return call, await calls.completion_stream(call, hide_usage=hide_usage)

    async def work(send: Send) -> None:
        if given.stream:
            await send_completion_stream(send, *await calls.answered(given.model, origin, stream))
        else:
            call, answer = await calls.answered(given.model, origin, whole)
            await send_whole(send, answer, [*route_headers(call.model), *cache_headers(call.place)])

    return RoutedResponse(work)
