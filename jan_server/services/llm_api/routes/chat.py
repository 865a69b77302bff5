"""`POST /v1/chat/completions`: the hot path, so the body is parsed once and the answer's bytes are relayed.

Source: contract/llm-api.md, section 7; OpenAI API reference, "Create chat completion".
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from jan_server.http.errors import invalid_request
from jan_server.http.json_body import parse_json, read_body
from jan_server.http.sse import SSE_HEADERS
from jan_server.http.typed_body import documented
from jan_server.services.llm_api.chat import Chat
from jan_server.services.llm_api.chat_call import ChatCall
from jan_server.services.llm_api.chat_request import ChatRequest, parse_chat_request
from jan_server.services.llm_api.disconnect import CallerGone, WhileConnected
from jan_server.services.llm_api.media_client import MediaCaller
from jan_server.services.llm_api.prompt_hints import prompt_hints
from jan_server.services.llm_api.resources import resources
from jan_server.services.llm_api.routes.caller import current_user
from jan_server.services.llm_api.routes.routed import CACHE_HEADER, UPSTREAM_ERRORS, route_headers
from jan_server.services.llm_api.schemas.chat import ChatCompletion, ChatCompletionRequest
from jan_server.services.llm_api.users import CurrentUser

CONVERSATION_HEADER = b"x-conversation-id"
MODULES_HEADER = b"x-applied-prompt-modules"

CHAT_DOCUMENT: dict[str, Any] = {
    "tags": ["chat"],
    "summary": "Create a chat completion",
    "openapi_extra": documented(ChatCompletionRequest),
    "responses": {
        200: {
            "model": ChatCompletion,
            "description": "The completion, or with `stream: true` its chunks as server-sent events.",
            "content": {"text/event-stream": {}},
        },
        **UPSTREAM_ERRORS,
    },
}

_JSON = (b"content-type", b"application/json")
_STREAM_HEADERS = [(name.encode(), value.encode()) for name, value in SSE_HEADERS.items()]


async def create_chat_completion(request: Request) -> Response:
    """Ask a model for the next message of a chat."""
    user = await current_user(request)
    raw = await read_body(request.receive)
    body = parse_json(raw)
    if not isinstance(body, dict):
        raise invalid_request("the body must be a JSON object", code="invalid_json")
    chat_request = parse_chat_request(body, referrer=_referrer(request.scope))
    serving = resources(request).serving
    if serving.prompts is not None:
        chat_request.hints = prompt_hints(request.scope)
    return ChatResponse(serving.chat, chat_request, user, raw)


def _referrer(scope: Scope) -> str | None:
    query: bytes = scope["query_string"]
    if b"referrer" not in query:
        return None
    return parse_qs(query.decode("latin-1"), keep_blank_values=True).get("referrer", [None])[0]


class ChatResponse(Response):
    """The answer to one chat request: the work happens while it is sent, and ends when the caller leaves."""

    def __init__(self, chat: Chat, chat_request: ChatRequest, user: CurrentUser, raw: bytes) -> None:
        self._chat = chat
        self._request = chat_request
        self._user = user
        self._raw = raw
        self.background = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer; failures before the first byte are raised and become an error with a status."""
        state = scope["state"]
        state["stream"] = self._request.stream
        try:
            async with WhileConnected(receive):
                call = await self._chat.preparation.prepare(
                    self._request,
                    self._user.id,
                    self._raw,
                    caller=_media_caller(scope, self._user),
                    key_id=self._user.principal.key_id,
                    request_id=state.get("request_id", ""),
                )
                state["model"] = call.model.id
                if self._request.stream:
                    await self._stream(call, state, send)
                else:
                    await self._whole(call, send)
                # Behind a routed name it may be another than the first one.
                state["model"] = call.model.id
        except CallerGone:
            return

    async def _whole(self, call: ChatCall, send: Send) -> None:
        body = self._whole_answer(call, await self._chat.complete(call))
        headers = [_JSON, (b"content-length", b"%d" % len(body)), *self._told(call)]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def _whole_answer(self, call: ChatCall, body: bytes) -> bytes:
        """What the caller gets for a chat completion."""
        return body

    def _streamed_answer(
        self, call: ChatCall, frames: AsyncGenerator[bytes, None], request_id: str
    ) -> AsyncGenerator[bytes, None]:
        """What the caller gets for a stream of chat completion chunks."""
        return frames

    def _told(self, call: ChatCall) -> list[tuple[bytes, bytes]]:
        """What the caller is told in headers: who answered, conversation, prompt modules at work, cache."""
        told = []
        if call.model.asked is not None:
            told += route_headers(call.model)
        if call.exchange is not None:
            told.append((CONVERSATION_HEADER, call.exchange.id.encode()))
        if call.modules:
            told.append((MODULES_HEADER, ",".join(call.modules).encode()))
        if call.place is not None:
            told.append((CACHE_HEADER, b"miss" if call.place.answer is None else b"hit"))
        return told

    async def _stream(self, call: ChatCall, state: dict[str, Any], send: Send) -> None:
        frames = await self._chat.stream(call, state.get("request_id", ""))
        try:
            headers = [*_STREAM_HEADERS, *self._told(call)]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            async for chunk in self._streamed_answer(call, frames, state.get("request_id", "")):
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        finally:
            await frames.aclose()
            # A stream that was never begun to be read has not ended by itself.
            call.meter.failed(None)


def _media_caller(scope: Scope, user: CurrentUser) -> MediaCaller:
    authorization = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
    return MediaCaller(user.principal, authorization.decode("latin-1"))
