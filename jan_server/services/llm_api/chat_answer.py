"""What a model answered, as far as it is kept: read from a whole answer or gathered from a stream."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from jan_server.http.sse import FrameSplitter, frame_data
from jan_server.services.llm_api.message_content import text_of

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


def is_completion(body: bytes) -> bool:
    """Whether `body` is a chat completion: a whole JSON object with at least one choice and its message."""
    try:
        choices = orjson.loads(body)["choices"]
        return bool(choices) and all(isinstance(choice["message"], dict) for choice in choices)
    except (orjson.JSONDecodeError, LookupError, TypeError):
        return False


def read_answer(body: bytes) -> ChatAnswer:
    """The answer in a chat completion object; an empty one when there is no choice in it."""
    if not is_completion(body):
        return ChatAnswer()
    choice = orjson.loads(body)["choices"][0]
    message = choice["message"]
    return ChatAnswer(
        # Mistral's reasoning models answer with a list of parts.
        text=text_of(message.get("content")),
        reasoning=text_of(message.get("reasoning_content") or message.get("reasoning")),
        refusal=text_of(message.get("refusal")),
        tool_calls=[_call(call, index) for index, call in enumerate(_objects(message.get("tool_calls")))],
        finish_reason=text_of(choice.get("finish_reason")),
    )


def _objects(value: Any) -> list[Mapping[str, Any]]:
    """The objects of a list; nothing when it is no list."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _function(call: Mapping[str, Any]) -> tuple[str, str]:
    """Name and arguments of a call; arguments that came as an object become the text that they should be."""
    function = call.get("function")
    if not isinstance(function, dict):
        return "", ""
    arguments = function.get("arguments") or ""
    return text_of(function.get("name")), arguments if isinstance(arguments, str) else _json(arguments)


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()


def _call(call: Mapping[str, Any], index: int) -> dict[str, Any]:
    name, arguments = _function(call)
    return {
        "id": text_of(call.get("id")) or f"call_{index}",
        "type": "function",
        "function": {"name": name, "arguments": arguments},
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
        for choice in _objects(chunk.get("choices")):
            if choice.get("index", 0) == 0:
                delta = choice.get("delta")
                self._add_delta(delta if isinstance(delta, dict) else {})
                self.finish_reason = text_of(choice.get("finish_reason")) or self.finish_reason

    def _add_delta(self, delta: Mapping[str, Any]) -> None:
        if text := text_of(delta.get("content")):
            self._text.append(text)
        if reasoning := text_of(delta.get("reasoning_content") or delta.get("reasoning")):
            self._reasoning.append(reasoning)
        if refusal := text_of(delta.get("refusal")):
            self._refusal.append(refusal)
        for part in _objects(delta.get("tool_calls")):
            index = part.get("index", len(self.tool_calls))
            if not isinstance(index, int) or not 0 <= index < _MOST_TOOL_CALLS:
                continue
            while len(self.tool_calls) <= index:
                self.tool_calls.append(_call({}, len(self.tool_calls)))
            call = self.tool_calls[index]
            name, arguments = _function(part)
            call["id"] = text_of(part.get("id")) or call["id"]
            call["function"]["name"] += name
            call["function"]["arguments"] += arguments
