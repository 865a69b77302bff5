"""What a model answered, as far as it is kept: read from a whole answer or gathered from a stream."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from jan_server.http.sse import FrameSplitter, frame_data

_DONE = b"[DONE]"
_MOST_TOOL_CALLS = 256


@dataclass(slots=True)
class ChatAnswer:
    """The first choice of an answer.

    Attributes:
        text: The text that users see.
        reasoning: The model's reasoning, where it shows it.
        refusal: Why the model declined, in its own words.
        tool_calls: Calls in OpenAI's shape, `{id, type, function: {name, arguments}}`.
        finish_reason: Why the answer ended; empty while it has not.
    """

    text: str = ""
    reasoning: str = ""
    refusal: str = ""
    tool_calls: list[dict[str, Any]] = field(default_factory=list)
    finish_reason: str = ""

    @property
    def is_empty(self) -> bool:
        """Whether nothing was said at all."""
        return not (self.text or self.reasoning or self.refusal or self.tool_calls)


def read_answer(body: bytes) -> ChatAnswer:
    """The answer in a chat completion object; an empty one when there is no choice in it."""
    try:
        completion = orjson.loads(body)
        choice = completion["choices"][0]
        message = choice["message"]
    except (orjson.JSONDecodeError, LookupError, TypeError):
        return ChatAnswer()
    calls = message.get("tool_calls") or ()
    return ChatAnswer(
        text=message.get("content") or "",
        reasoning=message.get("reasoning_content") or message.get("reasoning") or "",
        refusal=message.get("refusal") or "",
        tool_calls=[_call(call, index) for index, call in enumerate(calls)],
        finish_reason=choice.get("finish_reason") or "",
    )


def _call(call: Mapping[str, Any], index: int) -> dict[str, Any]:
    function = call.get("function") or {}
    return {
        "id": call.get("id") or f"call_{index}",
        "type": "function",
        "function": {"name": function.get("name") or "", "arguments": function.get("arguments") or ""},
    }


class AnswerRecorder:
    """Gathers the answer from a stream while the stream passes through.

    Attributes:
        tool_calls: The calls that were asked for so far.
        finish_reason: Why the answer ended; empty while it has not.
        done: Whether the closing `[DONE]` came.
        error: The provider's error that came instead of the rest, if any.
    """

    def __init__(self) -> None:
        self.tool_calls: list[dict[str, Any]] = []
        self.finish_reason = ""
        self.done = False
        self.error: Mapping[str, Any] | None = None
        self._splitter = FrameSplitter()
        self._text: list[str] = []
        self._reasoning: list[str] = []
        self._refusal: list[str] = []

    def answer(self) -> ChatAnswer:
        """What was gathered so far."""
        return ChatAnswer(
            text="".join(self._text),
            reasoning="".join(self._reasoning),
            refusal="".join(self._refusal),
            tool_calls=self.tool_calls,
            finish_reason=self.finish_reason,
        )

    def feed(self, chunk: bytes) -> bytes:
        """Take the next bytes; returns the complete frames in them, without the closing one."""
        passed = []
        for frame in self._splitter.feed(chunk):
            data = frame_data(frame)
            if data == _DONE:
                self.done = True
                break
            passed.append(frame)
            self._add(data)
        return b"".join(passed)

    def _add(self, data: bytes) -> None:
        if not data.startswith(b"{"):
            return
        try:
            chunk = orjson.loads(data)
        except orjson.JSONDecodeError:
            return
        if error := chunk.get("error"):
            self.error = error if isinstance(error, dict) else {"message": str(error)}
            return
        for choice in chunk.get("choices") or ():
            if choice.get("index", 0) == 0:
                self._add_delta(choice.get("delta") or {})
                self.finish_reason = choice.get("finish_reason") or self.finish_reason

    def _add_delta(self, delta: Mapping[str, Any]) -> None:
        if text := delta.get("content"):
            self._text.append(text)
        if reasoning := delta.get("reasoning_content") or delta.get("reasoning"):
            self._reasoning.append(reasoning)
        if refusal := delta.get("refusal"):
            self._refusal.append(refusal)
        for part in delta.get("tool_calls") or ():
            index = part.get("index", len(self.tool_calls))
            if index >= _MOST_TOOL_CALLS:
                continue
            while len(self.tool_calls) <= index:
                self.tool_calls.append(_call({}, len(self.tool_calls)))
            call, function = self.tool_calls[index], part.get("function") or {}
            call["id"] = part.get("id") or call["id"]
            call["function"]["name"] += function.get("name") or ""
            call["function"]["arguments"] += function.get("arguments") or ""
