"""A chat completion stream as Anthropic's events.

Order (Anthropic API reference, "Streaming messages"): `message_start`, then each content block
with `content_block_start`, `content_block_delta` and `content_block_stop`, then one
`message_delta` with the stop reason and the usage, then `message_stop`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from jan_server.http.ids import public_id
from jan_server.http.sse import FrameSplitter, event_frame, frame_data
from jan_server.services.llm_api.anthropic.answer import (
    CALLER,
    error_answer,
    message_id,
    status_of,
    stop_of,
    usage,
)


class MessageStream:
    """Turns the bytes of a chat stream into the bytes of a Messages stream.

    Args:
        model: The model as the client named it.
        input_tokens: The prompt's estimated tokens: they are told before the provider counts.
        request_id: By which a failure can be found again.
    """

    def __init__(self, model: str, *, input_tokens: int, request_id: str = "") -> None:
        self._model = model
        self._input_tokens = input_tokens
        self._request_id = request_id
        self._splitter = FrameSplitter()
        self._index = -1
        self._open: str | None = None
        self._call_index: int | None = None
        self._had_calls = False
        self._finish: Any = None
        self._stop: Any = None
        self._usage: Any = None
        self._failed = False

    def start(self) -> bytes:
        """The first event, before the provider said anything."""
        message: dict[str, Any] = {
            "id": message_id(),
            "type": "message",
            "role": "assistant",
            "model": self._model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "stop_details": None,
            "container": None,
            "usage": {**usage(None), "input_tokens": self._input_tokens, "output_tokens": 1},
        }
        return _event("message_start", {"message": message})

    def feed(self, chunk: bytes) -> bytes:
        """The events that follow from these bytes; may be empty."""
        return b"".join(event for frame in self._splitter.feed(chunk) for event in self._frame(frame))

    def end(self) -> bytes:
        """The last events, once the provider's stream has ended."""
        if self._failed:
            return b""
        counts = usage(self._usage)
        if not self._usage:
            counts["input_tokens"] = self._input_tokens
        reason, stop = stop_of(self._finish, self._stop, has_calls=self._had_calls)
        return b"".join(
            (
                *self._close(),
                _event(
                    "message_delta",
                    {
                        "delta": {
                            "stop_reason": reason,
                            "stop_sequence": stop,
                            "stop_details": None,
                            "container": None,
                        },
                        "usage": counts,
                    },
                ),
                _event("message_stop", {}),
            )
        )

    def _fail(self, error: Mapping[str, Any]) -> bytes:
        """The event of a failure in the middle of the answer; nothing follows it."""
        self._failed = True
        message = str(error.get("message") or "the provider failed")
        return event_frame("error", orjson.dumps(error_answer(status_of(error), message, self._request_id)))

    def _frame(self, frame: bytes) -> Iterator[bytes]:
        data = frame_data(frame)
        if not data or data == b"[DONE]" or self._failed:
            return
        try:
            chunk = orjson.loads(data)
        except orjson.JSONDecodeError:
            return
        if not isinstance(chunk, Mapping):
            return
        if isinstance(chunk.get("error"), Mapping):
            yield self._fail(chunk["error"])
            return
        self._usage = chunk.get("usage") or self._usage
        for choice in (chunk.get("choices") or ())[:1]:
            yield from self._delta(choice.get("delta") or {})
            self._finish = choice.get("finish_reason") or self._finish
            self._stop = choice.get("stop_reason") or self._stop

    def _delta(self, delta: Mapping[str, Any]) -> Iterator[bytes]:
        thinking = delta.get("reasoning_content") or delta.get("reasoning")
        if isinstance(thinking, str) and thinking:
            yield from self._block("thinking", {"type": "thinking", "thinking": "", "signature": ""})
            yield self._block_delta({"type": "thinking_delta", "thinking": thinking})
        text = delta.get("content") or delta.get("refusal")
        if isinstance(text, str) and text:
            yield from self._block("text", {"type": "text", "text": "", "citations": None})
            yield self._block_delta({"type": "text_delta", "text": text})
        for call in delta.get("tool_calls") or ():
            yield from self._call(call)

    def _call(self, call: Mapping[str, Any]) -> Iterator[bytes]:
        self._had_calls = True
        function = call.get("function") or {}
        number = call.get("index", 0)
        if self._open != "tool_use" or number != self._call_index:
            yield from self._close()
            self._call_index = number
            block: dict[str, Any] = {
                "type": "tool_use",
                "id": call.get("id") or public_id("toolu", 24),
                "name": function.get("name") or "",
                "input": {},
                "caller": CALLER,
            }
            yield from self._block("tool_use", block)
        if arguments := function.get("arguments"):
            yield self._block_delta({"type": "input_json_delta", "partial_json": arguments})

    def _block(self, kind: str, block: Mapping[str, Any]) -> Iterator[bytes]:
        if self._open == kind:
            return
        yield from self._close()
        self._open = kind
        self._index += 1
        yield _event("content_block_start", {"index": self._index, "content_block": block})

    def _block_delta(self, delta: Mapping[str, Any]) -> bytes:
        return _event("content_block_delta", {"index": self._index, "delta": delta})

    def _close(self) -> Iterator[bytes]:
        if self._open is not None:
            self._open = None
            yield _event("content_block_stop", {"index": self._index})


def _event(name: str, members: Mapping[str, Any]) -> bytes:
    return event_frame(name, orjson.dumps({"type": name, **members}))
