"""Server-sent events: writing frames and finding their ends in a byte stream.

Source: the HTML standard, section 9.2 (server-sent events).
"""

from __future__ import annotations

SSE_HEADERS = {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-cache",
    "x-accel-buffering": "no",
}

DONE_FRAME = b"data: [DONE]\n\n"


def data_frame(payload: bytes) -> bytes:
    """One event whose data is `payload`, which must hold no line break."""
    return b"data: " + payload + b"\n\n"


def event_frame(event: str, payload: bytes) -> bytes:
    """One named event whose data is `payload`, which must hold no line break."""
    return b"event: " + event.encode() + b"\ndata: " + payload + b"\n\n"


def frame_data(frame: bytes) -> bytes:
    """The data of one complete frame, its lines joined; empty for comments."""
    lines = []
    for line in frame.splitlines():
        if line.startswith(b"data:"):
            value = line[5:]
            lines.append(value[1:] if value.startswith(b" ") else value)
    return b"\n".join(lines)


class FrameSplitter:
    """Cuts a byte stream into complete frames, wherever its chunks happen to end."""

    __slots__ = ("_rest",)

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, chunk: bytes) -> list[bytes]:
        """The frames that `chunk` completes, each with its closing blank line."""
        data = self._rest + chunk if self._rest else chunk
        if b"\r" in data:
            # A carriage return at the very end may be half of a CRLF: keep it for the next chunk.
            held = b"\r" if data.endswith(b"\r") else b""
            data = data[: len(data) - len(held)].replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        else:
            held = b""
        frames = []
        start = 0
        while (end := data.find(b"\n\n", start)) != -1:
            frames.append(data[start : end + 2])
            start = end + 2
        self._rest = data[start:] + held
        return frames

    def rest(self) -> bytes:
        """What came after the last complete frame."""
        return self._rest
