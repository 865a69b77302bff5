"""`POST /v1/images/generations`, `/v1/images/edits` and `/v1/images/variations`.

Source: contract/llm-api.md, section 8.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Send

from jan_server.http.error_document import ErrorBody
from jan_server.http.errors import ApiError
from jan_server.http.multipart import form_boundary, read_form
from jan_server.http.typed_body import documented
from jan_server.inference.answer_stream import AnswerStream
from jan_server.services.llm_api.image_requests import (
    EDIT,
    GENERATION,
    ImageRequest,
    parse_edit,
    parse_generation,
    read_edit_form,
)
from jan_server.services.llm_api.images import ImageCall
from jan_server.services.llm_api.media_client import MediaCaller
from jan_server.services.llm_api.models import OfferedModel
from jan_server.services.llm_api.resources import resources
from jan_server.services.llm_api.routed_call import CallOrigin, RoutedCall
from jan_server.services.llm_api.routes.caller import current_user
from jan_server.services.llm_api.routes.routed import (
    UPSTREAM_ERRORS,
    RoutedResponse,
    json_body,
    note,
    origin_of,
    route_headers,
    send_answer,
    send_whole,
)
from jan_server.services.llm_api.schemas.error import errors
from jan_server.services.llm_api.schemas.image import (
    ImageEditForm,
    ImageEditRequest,
    ImageGenerationRequest,
    ImageResult,
)

Answer = TypeVar("Answer")

_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "model": ImageResult,
        "description": "The pictures, or with `stream: true` the provider's events.",
        "content": {"text/event-stream": {}},
    },
    **UPSTREAM_ERRORS,
    **errors(501),
}

GENERATION_DOCUMENT: dict[str, Any] = {
    "tags": ["images"],
    "summary": "Create pictures",
    "openapi_extra": documented(ImageGenerationRequest),
    "responses": _RESPONSES,
}
EDIT_DOCUMENT: dict[str, Any] = {
    "tags": ["images"],
    "summary": "Edit pictures",
    "openapi_extra": documented(ImageEditRequest, form=ImageEditForm),
    "responses": _RESPONSES,
}
VARIATION_DOCUMENT: dict[str, Any] = {
    "tags": ["images"],
    "summary": "Vary a picture (not implemented)",
    "responses": {**errors(401), 501: {"model": ErrorBody, "description": "Not implemented."}},
    "status_code": 501,
}


async def create_image(request: Request) -> Response:
    """Make pictures from words."""
    await current_user(request)
    return await _answer(request, parse_generation(await _json(request, GENERATION)))


async def edit_image(request: Request) -> Response:
    """Make a picture anew, by words. The request may be JSON, or OpenAI's form."""
    await current_user(request)
    if form_boundary(request.headers.get("content-type", "")):
        given = await read_edit_form(read_form(request))
    else:
        given = parse_edit(await _json(request, EDIT))
    return await _answer(request, given)


async def vary_image(request: Request) -> Response:
    """Variations of a picture are not made."""
    await current_user(request)
    raise ApiError(501, "image variations are not implemented", code="image-variation-not-impl")


async def _json(request: Request, kind: str) -> dict[str, Any]:
    try:
        return await json_body(request)
    except ApiError as failure:
        failure.code = f"{kind}-validation-000"
        raise


async def _answer(request: Request, given: ImageRequest) -> Response:
    serving = resources(request).serving
    serving.images.check_enabled()
    user, origin = await current_user(request), await origin_of(request)
    caller = MediaCaller(user.principal, request.headers.get("authorization", ""))

    async def prepare(model: OfferedModel | None, origin: CallOrigin) -> ImageCall:
        prepared = await serving.images.prepare(given, origin, caller, model)
        note(request, prepared.model_id, stream=given.stream)
        return prepared

    async def whole(model: OfferedModel | None, origin: CallOrigin) -> tuple[RoutedCall, bytes]:
        prepared = await prepare(model, origin)
        return prepared.call, await serving.images.answer(prepared)

    async def stream(model: OfferedModel | None, origin: CallOrigin) -> tuple[RoutedCall, AnswerStream]:
        prepared = await prepare(model, origin)
        return prepared.call, await serving.calls.begin(prepared.call)

    async def answered(
        ask: Callable[[OfferedModel | None, CallOrigin], Awaitable[tuple[RoutedCall, Answer]]],
    ) -> tuple[RoutedCall, Answer]:
        # Without a route a provider may be chosen by other things than the model.
        if serving.images.asks_route(given):
            return await serving.calls.answered(given.model, origin, ask)
        return await ask(None, origin)

    async def work(send: Send) -> None:
        if given.stream:
            await send_answer(send, *await answered(stream))
        else:
            call, answer = await answered(whole)
            await send_whole(send, answer, route_headers(call.model))

    return RoutedResponse(work)
