"""The events of a response's stream, numbered in their order.

Source: OpenAI API reference, "Streaming events"; Open Responses, "Streaming".
"""

from __future__ import annotations

from typing import Any

import orjson

from jan_server.http.sse import event_frame

Event = dict[str, Any]

TERMINAL = frozenset({"response.completed", "response.failed", "response.incomplete", "response.cancelled"})
"""The events after which no other comes."""


class EventCounter:
    """Numbers events from `first` on."""

    def __init__(self, first: int = 0) -> None:
        self.next = first

    def event(self, kind: str, **members: Any) -> Event:
        """The next event."""
        made = {"type": kind, "sequence_number": self.next, **members}
        self.next += 1
        return made


def frame(event: Event) -> bytes:
    """An event as a frame of server-sent events."""
    return event_frame(event["type"], orjson.dumps(event))
