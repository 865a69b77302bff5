"""The stream of a prompted request (`prompted_tools.py`) as one with `tool_calls` or a plain answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from jan_server.http.sse import DONE_FRAME, FrameSplitter, data_frame, frame_data
from jan_server.inference.prompted_answer import AnswerReader, PromptedTools
from jan_server.inference.prompted_tools import call_id


class PromptedToolStream:
    """Reads a stream of chunks, wherever its bytes are cut.

    A plain answer's text is passed on as it grows; the arguments of a call likewise, once its
    name is known. A call that is cut off by a token limit ends with the reason `length`.

    Args:
        reading: How the answer is to be read.
    """

    def __init__(self, reading: PromptedTools) -> None:
        self._reading = reading
        self._splitter = FrameSplitter()
        self._readers: dict[int, AnswerReader] = {}
        self._called: set[int] = set()

    def feed(self, chunk: bytes) -> bytes:
        """The frames that follow from these bytes; may be empty."""
        return b"".join(self._frame(frame) for frame in self._splitter.feed(chunk))

    def end(self) -> bytes:
        """What stood behind the last complete frame, once the bytes have ended."""
        rest, self._splitter = self._splitter.rest(), FrameSplitter()
        return self._frame(rest + b"\n\n") if rest.strip() else b""

    def _frame(self, frame: bytes) -> bytes:
        data = frame_data(frame)
        if data == b"[DONE]":
            return DONE_FRAME
        if not data.startswith(b"{"):
            return frame
        try:
            chunk = orjson.loads(data)
        except orjson.JSONDecodeError:
            return frame
        choices = chunk.get("choices")
        if not choices:
            return frame
        chunk["choices"] = [read for choice in choices if (read := self._choice(choice)) is not None]
        return data_frame(orjson.dumps(chunk)) if chunk["choices"] or chunk.get("usage") else b""

    def _choice(self, choice: Mapping[str, Any]) -> dict[str, Any] | None:
        """What the part of a choice says; None while that cannot be told."""
        delta, finish = choice.get("delta") or {}, choice.get("finish_reason")
        index = choice.get("index", 0)
        reader = self._readers.get(index)
        if reader is None:
            reader = self._readers[index] = AnswerReader(self._reading)
        said = reader.feed(delta.get("content") or "")
        if finish:
            said += reader.end(cut=finish == "length")
        told = {name: value for name, value in delta.items() if name != "content"}
        if reader.form == "call":
            told.update(self._call(index, reader, said))
            if finish and reader.complete:
                finish = "tool_calls"
        elif said:
            told["content"] = said
        if not told and not finish:
            return None
        return {**choice, "delta": told, "finish_reason": finish}

    def _call(self, index: int, reader: AnswerReader, arguments: str) -> dict[str, Any]:
        if index not in self._called:
            self._called.add(index)
            function = {"name": reader.name, "arguments": arguments}
            return {"tool_calls": [{"index": 0, "id": call_id(), "type": "function", "function": function}]}
        return {"tool_calls": [{"index": 0, "function": {"arguments": arguments}}]} if arguments else {}
