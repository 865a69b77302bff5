"""Calls of the LLM API: one chat completion, streamed, piece by piece."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
import orjson

from jan_server.authentication.identity_header import HEADER, IdentitySigner
from jan_server.authentication.principal import Principal
from jan_server.http.errors import ApiError, upstream_failed
from jan_server.http.sse import FrameSplitter, frame_data
from jan_server.services.response_api.context_budget import DEFAULT_CONTEXT

TOTAL_SECONDS = 900.0
"""The longest call of a model (contract/response-api.md, section 7)."""

_DONE = b"[DONE]"


@dataclass(frozen=True, slots=True)
class CallPiece:
    """A piece of a tool call; pieces of one call share their index.

    Attributes:
        index: Which call of the turn.
        id: The call's id; empty in later pieces.
        name: The tool's name; empty in later pieces.
        arguments: The next characters of its arguments.
    """

    index: int
    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class ChatPiece:
    """What one frame of a stream brings; mostly one of its members.

    Attributes:
        text: The next characters of the answer.
        reasoning: The next characters of what the model thinks.
        refusal: The next characters of a refusal.
        calls: Pieces of tool calls.
        logprobs: Probabilities of the text's tokens.
        finish_reason: Why the turn ended; empty before its end.
        usage: The tokens of the whole call, as the provider counts them.
    """

    text: str = ""
    reasoning: str = ""
    refusal: str = ""
    calls: tuple[CallPiece, ...] = ()
    logprobs: tuple[Any, ...] = ()
    finish_reason: str = ""
    usage: Mapping[str, Any] | None = None


class ChatClient:
    """Asks the LLM API in the name of whoever asked for the response.

    Args:
        client: The process's outgoing client.
        signer: Signs the header that names the caller.
        url: Where the LLM API is.
    """

    def __init__(self, client: aiohttp.ClientSession, signer: IdentitySigner, url: str) -> None:
        self._client = client
        self._signer = signer
        self._url = url.rstrip("/")

    async def pieces(
        self, body: Mapping[str, Any], principal: Principal, request_id: str = ""
    ) -> AsyncGenerator[ChatPiece]:
        """Stream one chat completion; leaving the iteration closes the call.

        Raises:
            ApiError: The status and the words of the LLM API; 502 or 504 when it does not answer.
        """
        sent = orjson.dumps({**body, "stream": True, "stream_options": {"include_usage": True}})
        timeout = aiohttp.ClientTimeout(total=TOTAL_SECONDS)
        try:
            async with self._client.post(
                f"{self._url}/v1/chat/completions",
                data=sent,
                headers=self._headers(principal, request_id),
                timeout=timeout,
            ) as response:
                if response.status != 200:
                    raise told_failure(response.status, await response.read(), response.headers)
                splitter = FrameSplitter()
                async for chunk in response.content.iter_any():
                    for frame in splitter.feed(chunk):
                        data = frame_data(frame)
                        if data == _DONE:
                            return
                        piece = chat_piece(data)
                        if piece is not None:
                            yield piece
        except (aiohttp.ClientError, OSError) as failure:
            raise _silent(failure) from failure

    async def supports_tools(self, model: str, principal: Principal) -> bool:
        """Whether the catalogue says that a model takes tools; yes where it says nothing."""
        entry = await self._catalog_entry(model, principal)
        return entry.get("supports_tools") is not False

    async def context_length(self, model: str, principal: Principal) -> int:
        """How many tokens a model reads at most, as the catalogue says."""
        told = (await self._catalog_entry(model, principal)).get("context_length")
        return told if isinstance(told, int) and told > 0 else DEFAULT_CONTEXT

    async def _catalog_entry(self, model: str, principal: Principal) -> Mapping[str, Any]:
        try:
            async with self._client.get(
                f"{self._url}/v1/models/catalogs/{model}",
                headers=self._headers(principal, ""),
                timeout=aiohttp.ClientTimeout(total=5),
            ) as response:
                answer = orjson.loads(await response.read()) if response.status == 200 else {}
        except (aiohttp.ClientError, OSError, orjson.JSONDecodeError):
            return {}
        return answer if isinstance(answer, dict) else {}

    def _headers(self, principal: Principal, request_id: str) -> dict[str, str]:
        headers = {"Content-Type": "application/json", HEADER: self._signer.sign(principal)}
        if request_id:
            headers["X-Request-Id"] = request_id
        return headers


def chat_piece(data: bytes) -> ChatPiece | None:
    """One frame's data as a piece; None for what says nothing.

    Raises:
        ApiError: The frame tells an error.
    """
    try:
        frame = orjson.loads(data)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(frame, dict):
        return None
    if error := frame.get("error"):
        told = error if isinstance(error, dict) else {"message": str(error)}
        raise ApiError(
            502, str(told.get("message") or "the model failed"), code=str(told.get("code") or "server_error")
        )
    usage = frame.get("usage")
    choices = frame.get("choices") or ()
    choice = next((each for each in choices if each.get("index", 0) == 0), None)
    if choice is None:
        return ChatPiece(usage=usage) if usage else None
    delta = choice.get("delta") or {}
    logprobs = (choice.get("logprobs") or {}).get("content") or ()
    return ChatPiece(
        text=delta.get("content") or "",
        reasoning=delta.get("reasoning_content") or delta.get("reasoning") or "",
        refusal=delta.get("refusal") or "",
        calls=tuple(_call_piece(each, at) for at, each in enumerate(delta.get("tool_calls") or ())),
        logprobs=tuple(logprobs),
        finish_reason=choice.get("finish_reason") or "",
        usage=usage,
    )


def _call_piece(call: Mapping[str, Any], position: int) -> CallPiece:
    function = call.get("function") or {}
    arguments = function.get("arguments")
    if arguments is not None and not isinstance(arguments, str):
        arguments = orjson.dumps(arguments).decode()
    return CallPiece(
        index=call.get("index", position),
        id=call.get("id") or "",
        name=function.get("name") or "",
        arguments=arguments or "",
    )


def told_failure(status: int, body: bytes, headers: Mapping[str, str]) -> ApiError:
    """A refusal of the LLM API as an error of ours: its status, words and code."""
    try:
        error = orjson.loads(body)["error"]
        message, code, param = error["message"], error.get("code"), error.get("param")
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
        message, code, param = body.decode("utf-8", "replace")[:500] or f"status {status}", None, None
    kept = {"Retry-After": headers["Retry-After"]} if "Retry-After" in headers else None
    return ApiError(status, str(message), code=code, param=param, headers=kept)


def _silent(failure: Exception) -> ApiError:
    if isinstance(failure, TimeoutError | asyncio.TimeoutError):
        return upstream_failed("the model did not answer in time", status=504)
    return upstream_failed(f"the LLM API does not answer: {type(failure).__name__}")
