"""What the routes of routed calls share: who calls, the body, and answers that end with their caller."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from typing import Any
from urllib.parse import quote

import orjson
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from jan_server.http.errors import invalid_request
from jan_server.http.json_body import parse_json, read_body
from jan_server.http.sse import SSE_HEADERS
from jan_server.inference.answer_stream import AnswerStream
from jan_server.inference.upstream_errors import UpstreamError
from jan_server.services.llm_api.disconnect import CallerGone, WhileConnected
from jan_server.services.llm_api.models import OfferedModel
from jan_server.services.llm_api.resources import resources
from jan_server.services.llm_api.response_cache import CachePlace
from jan_server.services.llm_api.routed_call import EVENT_STREAM, CallOrigin, RoutedCall, relayed
from jan_server.services.llm_api.routes.caller import current_user
from jan_server.services.llm_api.schemas.error import errors

UPSTREAM_ERRORS = errors(400, 401, 402, 403, 404, 409, 413, 415, 422, 429, 502, 503, 504)
"""The `responses` of every route that calls a provider."""

MODEL_HEADER = b"x-jan-model"
PROVIDER_HEADER = b"x-jan-provider"
CACHE_HEADER = b"x-jan-cache"

Work = Callable[[Send], Awaitable[None]]

_STREAM_HEADERS = [(name.encode(), value.encode()) for name, value in SSE_HEADERS.items()]
# What a provider says about its answer's body; everything else about it is its own business.
_RELAYED_HEADERS = ("Content-Type", "Content-Length", "Content-Disposition")


async def origin_of(request: Request) -> CallOrigin:
    """Who makes the request.

    Raises:
        ApiError: 401 without a valid credential.
    """
    user = await current_user(request)
    return CallOrigin(user.id, user.principal, request.scope["state"].get("request_id", ""))


async def json_body(request: Request) -> dict[str, Any]:
    """The request's body; ApiError 400 when it is no JSON object."""
    body = parse_json(await read_body(request.receive))
    if not isinstance(body, dict):
        raise invalid_request("the body must be a JSON object", code="invalid_json")
    return body


def note(request: Request, model_id: str, *, stream: bool = False) -> None:
    """Tell the metrics what the request asks for."""
    state = request.scope["state"]
    state["model"] = model_id
    state["stream"] = stream


class RoutedResponse(Response):
    """A response whose work happens while it is sent, and ends when the caller leaves.

    Args:
        work: Sends the response; what it raises before its first message becomes an error.
        body_read: Waits until the request's body was read, where that happens in `work`; what the
            caller sends is left alone before that.
    """

    def __init__(self, work: Work, *, body_read: Callable[[], Awaitable[object]] | None = None) -> None:
        self._work = work
        self._body_read = body_read
        self.background = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Do the work."""
        body_read = self._body_read

        async def receive_afterwards() -> Any:
            if body_read is not None:
                await body_read()
            return await receive()

        try:
            async with WhileConnected(receive_afterwards):
                await self._work(send)
        except (CallerGone, ClientDisconnect):
            return


def whole_response(
    request: Request,
    origin: CallOrigin,
    asked: str,
    path: str,
    body: dict[str, Any],
    *,
    member: bytes,
    estimate: Callable[[], int] = int,
) -> RoutedResponse:
    """The response to a request whose body only has its model renamed, and whose answer is relayed whole.

    Args:
        request: The request.
        origin: Who makes it.
        asked: The model that it asks for.
        path: Below the provider's address.
        body: The checked body; it becomes the provider's.
        member: A member that every answer has.
        estimate: The tokens of the request, for providers that do not tell.
    """
    calls = resources(request).serving.calls

    async def ask(model: OfferedModel, origin: CallOrigin) -> tuple[OfferedModel, bytes]:
        note(request, model.id)
        body["model"] = model.provider_model_id
        call = calls.call(model, path, orjson.dumps(body), origin, estimate=estimate)
        return model, await calls.whole(call, member=member)

    async def work(send: Send) -> None:
        model, answer = await calls.answered(asked, origin, ask)
        await send_whole(send, answer, route_headers(model))

    return RoutedResponse(work)


def route_headers(model: OfferedModel) -> list[tuple[bytes, bytes]]:
    """What the caller of a routed name is told in headers: which model of which provider answered."""
    if model.asked is None:
        return []
    # Ids are what providers and administrators make of them, and headers hold ASCII only.
    model_id = quote(model.id, safe="/:@+,;=()[] ").encode()
    return [(MODEL_HEADER, model_id), (PROVIDER_HEADER, model.provider.id.encode())]


def cache_headers(place: CachePlace | None) -> list[tuple[bytes, bytes]]:
    """Whether an answer that may be kept was there already."""
    return [] if place is None else [(CACHE_HEADER, b"miss" if place.answer is None else b"hit")]


async def send_whole(send: Send, body: bytes, further: Iterable[tuple[bytes, bytes]] = ()) -> None:
    """Send a whole answer in JSON, with further headers."""
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body)), *further]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def send_completion_stream(send: Send, call: RoutedCall, frames: AsyncGenerator[bytes, None]) -> None:
    """Send a stream of completion chunks."""
    try:
        headers = [*_STREAM_HEADERS, *route_headers(call.model), *cache_headers(call.place)]
        await _send_chunks(send, headers, frames)
    finally:
        await frames.aclose()
        # A stream that was never begun to be read has not ended by itself.
        call.meter.failed(None)


async def send_answer(send: Send, call: RoutedCall, answer: AnswerStream) -> None:
    """Send an answer of any kind as it comes, with what the provider says about its body.

    One that breaks off is left unfinished: the server then closes the connection, so that nobody
    takes the part for the whole.
    """
    chunks = relayed(call, answer)
    try:
        await _send_chunks(send, [*_headers(answer), *route_headers(call.model)], chunks)
    except UpstreamError:
        return
    finally:
        await chunks.aclose()
        answer.close()
        call.meter.failed(None)


async def _send_chunks(
    send: Send, headers: Iterable[tuple[bytes, bytes]], chunks: AsyncGenerator[bytes, None]
) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": list(headers)})
    async for chunk in chunks:
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


def _headers(answer: AnswerStream) -> list[tuple[bytes, bytes]]:
    headers = [
        (name.lower().encode(), answer.headers[name].encode("latin-1"))
        for name in _RELAYED_HEADERS
        if name in answer.headers and not (name == "Content-Length" and "Content-Encoding" in answer.headers)
    ]
    if answer.headers.get("Content-Type", "").startswith(EVENT_STREAM):
        headers += [header for header in _STREAM_HEADERS if header[0] != b"content-type"]
    return headers
