"""How many tokens a call used: what the provider says, read from its bytes without parsing them.

Members of JSON objects cannot be confused with texts that mention them: inside a text the quotation
marks are escaped. Source: OpenAI API reference, "The usage object".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

# No call has a thousand million tokens: whoever says so is not believed.
_PROMPT = re.compile(rb'"(?:prompt|input)_tokens"\s*:\s*(\d{1,9})(?!\d)')
_COMPLETION = re.compile(rb'"(?:completion|output)_tokens"\s*:\s*(\d{1,9})(?!\d)')
_CACHED = re.compile(rb'"cached_tokens"\s*:\s*(\d{1,9})(?!\d)')
_FINISHED = re.compile(rb'"finish_reason"\s*:\s*"')
_NO_CHOICES = re.compile(rb'"choices"\s*:\s*\[\s*\]')
_USAGE = b'"usage"'
_DELTA = b'"delta"'
_DONE = b"[DONE]"
_EDGE_BYTES = 32


@dataclass(frozen=True, slots=True)
class TokenCounts:
    """The tokens of one call.

    Attributes:
        prompt: What the model read.
        completion: What it wrote.
        cached: The part of `prompt` that the provider had already read for an earlier call.
        estimated: Whether they were counted here, because the provider did not say.
    """

    prompt: int = 0
    completion: int = 0
    cached: int = 0
    estimated: bool = False

    @property
    def total(self) -> int:
        """Prompt and completion together."""
        return self.prompt + self.completion


def ask_usage(body: dict[str, Any]) -> bool:
    """Ask for the usage of a stream in its request; False when the caller asks for it already."""
    options = body.get("stream_options") or {}
    if options.get("include_usage"):
        return False
    body["stream_options"] = {**options, "include_usage": True}
    return True


def told_counts(body: bytes) -> TokenCounts | None:
    """The counts in the last `usage` object of an answer or a chunk; None when it has none."""
    start = body.rfind(_USAGE)
    if start < 0:
        return None
    prompt = _PROMPT.search(body, start)
    if prompt is None:
        return None
    completion, cached = _COMPLETION.search(body, start), _CACHED.search(body, start)
    return TokenCounts(
        int(prompt[1]), int(completion[1]) if completion else 0, int(cached[1]) if cached else 0
    )


class StreamCounter:
    """Finds the counts at the end of a stream while its bytes pass through.

    Bytes pass as they come until the model has finished; only the frames behind that are looked at.

    Args:
        strip: Whether the chunk that holds nothing but the usage is kept from the caller, who
            did not ask for it.

    Attributes:
        counts: What the provider said; None as long as it said nothing.
        chunks: How many chunks the model has written: about one token each.
        complete: Whether the stream came to its end.
    """

    __slots__ = ("_edge", "_rest", "_strip", "_tail", "chunks", "complete", "counts")

    def __init__(self, *, strip: bool) -> None:
        self.counts: TokenCounts | None = None
        self.chunks = 0
        self.complete = False
        self._strip = strip
        self._edge = b""
        self._tail = False
        self._rest = b""

    def feed(self, chunk: bytes) -> bytes:
        """Take the next bytes; returns those that go on to the caller, which may be none yet."""
        self.chunks += chunk.count(_DELTA)
        if self._tail:
            return self._frames(chunk)
        seen = self._edge + chunk
        if _FINISHED.search(seen) is not None:
            self._tail = self.complete = True
            return self._frames(chunk)
        if _DONE in seen:
            self.complete = True
        self._edge = seen[-_EDGE_BYTES:]
        return chunk

    def rest(self) -> bytes:
        """What was held back, at the end of the bytes."""
        rest, self._rest = self._rest, b""
        return rest if self._passes(rest) else b""

    def _frames(self, chunk: bytes) -> bytes:
        data = self._rest + chunk
        passed = b""
        start = 0
        while (end := _end_of_frame(data, start)) > 0:
            frame = data[start:end]
            start = end
            if self._passes(frame):
                passed += frame
        self._rest = data[start:]
        return passed

    def _passes(self, frame: bytes) -> bool:
        if _USAGE not in frame:
            return True
        counts = told_counts(frame)
        if counts is None:
            return True
        self.counts = counts
        return not (self._strip and _NO_CHOICES.search(frame) is not None)


def _end_of_frame(data: bytes, start: int) -> int:
    """Where the frame that begins at `start` ends; -1 while it does not."""
    ends = [end + len(mark) for mark in (b"\n\n", b"\r\n\r\n") if (end := data.find(mark, start)) >= 0]
    return min(ends, default=-1)
