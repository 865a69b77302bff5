"""Responses: made here, as a whole or as a stream."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from jan_server.authentication.guard import require_token
from jan_server.authentication.principal import Principal
from jan_server.http.errors import request_id_of
from jan_server.http.json_body import OrjsonResponse
from jan_server.http.sse import SSE_HEADERS
from jan_server.http.typed_body import body_of, documented
from jan_server.services.response_api.events import frame
from jan_server.services.response_api.request import ResponseRequest, response_request
from jan_server.services.response_api.resources import Open, Resources
from jan_server.services.response_api.response_object import new_response_id, response_object
from jan_server.services.response_api.run import ResponseRun, RunPlace
from jan_server.services.response_api.schemas.new_response import NewResponse

router = APIRouter(prefix="/v1/responses", tags=["responses"])

Caller = Annotated[Principal, Depends(require_token)]


@router.post("", summary="Make a response", openapi_extra=documented(NewResponse))
async def create(
    http_request: Request,
    opened: Open,
    caller: Caller,
    body: Annotated[NewResponse, Depends(body_of(NewResponse))],
) -> Response:
    """The answer to an input, after as many steps as it takes; a stream of events with `stream`."""
    request = response_request(body)
    run = foreground_run(opened, request, caller, request_id_of(http_request))
    if request.stream:
        return StreamingResponse(streamed(run), headers=SSE_HEADERS)
    async with aclosing(run.events()) as events:
        async for _ in events:
            pass
    if run.failure is not None:
        run.failure.headers = {**(run.failure.headers or {}), "X-Response-Id": run.response["id"]}
        raise run.failure
    return OrjsonResponse(run.response)


def foreground_run(
    opened: Resources, request: ResponseRequest, caller: Principal, request_id: str
) -> ResponseRun:
    """A run whose caller waits for it."""
    response = response_object(request, new_response_id(), int(time.time()))
    return ResponseRun(
        request,
        response,
        RunPlace(caller, request_id),
        chat=opened.chat,
        tools=opened.tools,
        limits=opened.limits,
        by_default=opened.settings.services.response_api.discover_tools,
    )


async def streamed(run: ResponseRun) -> AsyncGenerator[bytes]:
    """The events of a run as frames; a client that leaves ends the run."""
    async with aclosing(run.events()) as events:
        async for event in events:
            yield frame(event)
