"""`POST /v1/messages` and `POST /v1/messages/count_tokens`: Anthropic's API in front of every model.

Requests are translated onto chat and go the same way (`routes/chat.py`); answers, streams and
errors come back in Anthropic's shape, so that Anthropic's clients work unchanged.
Source: Anthropic API reference, "Messages", "Count message tokens" and "Errors" (version 2023-06-01).
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message as StarletteMessage
from starlette.types import Receive, Scope, Send

from jan_server.http.errors import ApiError, invalid_request
from jan_server.http.fast_route import STARTED
from jan_server.http.json_body import parse_json, read_body
from jan_server.http.typed_body import documented
from jan_server.services.llm_api import context_window
from jan_server.services.llm_api.anthropic.answer import message_answer
from jan_server.services.llm_api.anthropic.request import chat_body, countable_body
from jan_server.services.llm_api.anthropic.stream import MessageStream
from jan_server.services.llm_api.chat_call import ChatCall
from jan_server.services.llm_api.chat_request import parse_chat_request
from jan_server.services.llm_api.prompt_hints import prompt_hints
from jan_server.services.llm_api.refusals import Refusal
from jan_server.services.llm_api.resources import resources
from jan_server.services.llm_api.routes.anthropic_callers import (
    anthropic_failure,
    take_key,
    with_anthropics_errors,
)
from jan_server.services.llm_api.routes.caller import current_user
from jan_server.services.llm_api.routes.chat import ChatResponse
from jan_server.services.llm_api.schemas.message import (
    Message,
    MessageCountRequest,
    MessageErrorBody,
    MessageRequest,
    MessageTokens,
)

_ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": MessageErrorBody} for status in (400, 401, 404, 413, 429, 502, 503, 504)
}

MESSAGE_DOCUMENT: dict[str, Any] = {
    "tags": ["messages"],
    "summary": "Create a message (Anthropic's API)",
    "openapi_extra": documented(MessageRequest),
    "responses": {
        200: {
            "model": Message,
            "description": "The message, or with `stream: true` Anthropic's events.",
            "content": {"text/event-stream": {}},
        },
        **_ERRORS,
    },
}

COUNT_DOCUMENT: dict[str, Any] = {
    "tags": ["messages"],
    "summary": "Count the tokens of a message (Anthropic's API)",
    "openapi_extra": documented(MessageCountRequest),
    "responses": {200: {"model": MessageTokens, "description": "The estimate."}, **_ERRORS},
}


async def _read(request: Request) -> tuple[bytes, dict[str, Any]]:
    raw = await read_body(request.receive)
    body = parse_json(raw)
    if not isinstance(body, dict):
        raise invalid_request("the body must be a JSON object", code="invalid_json")
    return raw, body


@with_anthropics_errors
async def create_message(request: Request) -> Response:
    """Ask a model for the next message, in Anthropic's shape."""
    take_key(request.scope)
    user = await current_user(request)
    raw, body = await _read(request)
    chat_request = parse_chat_request(chat_body(body))
    serving = resources(request).serving
    if serving.prompts is not None:
        chat_request.hints = prompt_hints(request.scope)
    return MessageResponse(serving.chat, chat_request, user, raw)


@with_anthropics_errors
async def count_tokens(request: Request) -> Response:
    """Estimate the tokens that a message request would have."""
    take_key(request.scope)
    user = await current_user(request)
    _, body = await _read(request)
    chat_request = parse_chat_request(countable_body(body))
    serving = resources(request).serving
    await serving.sync.find(chat_request.model, user.principal)
    tokens = context_window.tools_tokens(chat_request.body.get("tools"))
    tokens += sum(map(context_window.message_tokens, chat_request.messages))
    return Response(orjson.dumps({"input_tokens": tokens}), media_type="application/json")


class MessageResponse(ChatResponse):
    """The answer to one message request: a chat, told in Anthropic's words."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer; failures before the first byte become Anthropic's error with a status."""
        request_id = scope["state"].get("request_id", "").encode()

        async def send_with_id(message: StarletteMessage) -> None:
            if message["type"] == "http.response.start":
                message["headers"].append((b"request-id", request_id))
            await send(message)

        try:
            await super().__call__(scope, receive, send_with_id)
        except (ApiError, Refusal) as failure:
            if scope["state"].get(STARTED):
                raise
            await anthropic_failure(scope, failure)(scope, receive, send)

    def _whole_answer(self, call: ChatCall, body: bytes) -> bytes:
        return orjson.dumps(message_answer(orjson.loads(body), self._request.model))

    async def _streamed_answer(
        self, call: ChatCall, frames: AsyncGenerator[bytes, None], request_id: str
    ) -> AsyncGenerator[bytes, None]:
        estimate = call.counts(None, 0).prompt
        stream = MessageStream(self._request.model, input_tokens=estimate, request_id=request_id)
        yield stream.start()
        async for chunk in frames:
            if events := stream.feed(chunk):
                yield events
        yield stream.end()
