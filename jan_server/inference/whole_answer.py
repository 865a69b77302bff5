"""A whole completion put together from a stream, for engines that ignore a caller who leaves.

llama.cpp's server notices a closed connection only while it writes. A whole answer is written at its end,
so an abandoned request would hold its slot until then; asked for as a stream, it is let go at once.
"""

from __future__ import annotations

from typing import Any

import orjson

from jan_server.http.sse import FrameSplitter, frame_data
from jan_server.inference import upstream_errors
from jan_server.inference.provider import Endpoint, Provider

_JOINED_TEXTS = ("content", "reasoning_content", "refusal")


def streaming_body(body: bytes) -> bytes | None:
    """The same request asking for a stream with usage; None when it is no such request."""
    try:
        request = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(request, dict) or request.get("stream"):
        return None
    options = request.get("stream_options")
    request["stream"] = True
    request["stream_options"] = {**(options if isinstance(options, dict) else {}), "include_usage": True}
    return orjson.dumps(request)


class StreamedAnswer:
    """Collects the chunks of a streamed completion into the object that OpenAI sends in one piece.

    Args:
        provider: Who answers, for error messages.
        endpoint: Where, for error messages.
    """

    def __init__(self, provider: Provider, endpoint: Endpoint) -> None:
        self._provider = provider
        self._endpoint = endpoint
        self._splitter = FrameSplitter()
        self._top: dict[str, Any] = {"object": "chat.completion"}
        self._choices: dict[int, dict[str, Any]] = {}

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes of the stream.

        Raises:
            UpstreamError: They hold an error of the engine.
        """
        for frame in self._splitter.feed(chunk):
            data = frame_data(frame)
            if data.startswith(b"{"):
                self._add(orjson.loads(data))
            elif frame.startswith(b"error:"):
                self._refuse(orjson.loads(frame[6:]))

    def body(self) -> bytes:
        """The completion as JSON.

        Raises:
            UpstreamError: The stream ended before the answer did (502).
        """
        choices = [self._choices[index] for index in sorted(self._choices)]
        if not choices or any(choice["finish_reason"] is None for choice in choices):
            raise upstream_errors.broken_off(self._provider)
        return orjson.dumps({**self._top, "choices": choices})

    def _refuse(self, error: Any) -> None:
        status = error.get("code") if isinstance(error, dict) else None
        raise upstream_errors.from_answer(
            self._provider,
            self._endpoint,
            status if isinstance(status, int) and 400 <= status < 600 else 500,
            {},
            orjson.dumps({"error": error}),
        )

    def _add(self, chunk: dict[str, Any]) -> None:
        if "error" in chunk:
            self._refuse(chunk["error"])
        for name, value in chunk.items():
            # Chunks of chats call themselves chunks; those of texts are called like the whole.
            if name != "choices" and value != "chat.completion.chunk":
                self._top[name] = value
        for part in chunk.get("choices") or ():
            index = part.get("index", 0)
            choice = self._choices.setdefault(
                index, {"index": index, "logprobs": None, "finish_reason": None}
            )
            if "text" in part:
                choice["text"] = choice.get("text", "") + part["text"]
            else:
                message = choice.setdefault(
                    "message", {"role": "assistant", "content": None, "refusal": None}
                )
                _add_delta(message, part.get("delta") or {})
            if part.get("finish_reason"):
                choice["finish_reason"] = part["finish_reason"]
            if part.get("logprobs"):
                _add_logprobs(choice, part["logprobs"])


def _add_delta(message: dict[str, Any], delta: dict[str, Any]) -> None:
    for name in _JOINED_TEXTS:
        if isinstance(delta.get(name), str):
            message[name] = (message.get(name) or "") + delta[name]
    for part in delta.get("tool_calls") or ():
        calls: list[dict[str, Any]] = message.setdefault("tool_calls", [])
        at = part.get("index", 0)
        while len(calls) <= at:
            calls.append({"id": "", "type": "function", "function": {"name": "", "arguments": ""}})
        call, function = calls[at], part.get("function") or {}
        call["id"] = part.get("id") or call["id"]
        call["function"]["name"] += function.get("name") or ""
        call["function"]["arguments"] += function.get("arguments") or ""


def _add_logprobs(choice: dict[str, Any], logprobs: dict[str, Any]) -> None:
    kept = choice["logprobs"] = choice["logprobs"] or {}
    for name, tokens in logprobs.items():
        if isinstance(tokens, list):
            kept.setdefault(name, []).extend(tokens)
