"""What a run writes down while it goes on, so that somebody else can go on with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Execution:
    """A call of a tool that was made here.

    Attributes:
        call_id: The id that the model gave it.
        tool_name: What was called.
        arguments: With what.
        result: What came of it, as MCP tells it; None when there was no answer.
        error: Why it failed; empty when it did not.
    """

    call_id: str
    tool_name: str
    arguments: Mapping[str, Any]
    result: Mapping[str, Any] | None
    error: str = ""


class Journal(Protocol):
    """Keeps what a run has done; each call returns once it is kept."""

    async def event(self, event: Mapping[str, Any]) -> None:
        """An event of the stream."""

    async def item_done(self, position: int, item: Mapping[str, Any]) -> None:
        """An item of the output that will not change any more."""

    async def tool_done(self, execution: Execution) -> None:
        """A call of a tool that ended."""

    async def step_done(self, response: Mapping[str, Any]) -> None:
        """A turn of the model, with all that it called; `response` is as it stands."""


class NoJournal:
    """Keeps nothing: for responses that are not stored."""

    async def event(self, event: Mapping[str, Any]) -> None:
        """Nothing is kept."""

    async def item_done(self, position: int, item: Mapping[str, Any]) -> None:
        """Nothing is kept."""

    async def tool_done(self, execution: Execution) -> None:
        """Nothing is kept."""

    async def step_done(self, response: Mapping[str, Any]) -> None:
        """Nothing is kept."""
