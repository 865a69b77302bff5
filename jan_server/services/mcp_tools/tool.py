"""A tool: what it is called, what it takes and gives, and how it is run."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from jan_server.authentication.principal import Principal

Progress = Callable[[float, float | None, str], Awaitable[None]]
"""Tells the client how far a call is: done, of how much (None when unknown), and in words."""


async def no_progress(done: float, total: float | None, message: str) -> None:
    """Tell nobody: the client did not ask."""


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One call, as the tool sees it.

    Attributes:
        arguments: Checked against the tool's schema, defaults filled in, without the texts that are
            only passed through (`tool_call_id`, `request_id`, `conversation_id`, `user_id`).
        principal: Who calls.
        tool_call_id: The id that the model gave the call; empty when none is known.
        request_id: The id of the request that the call belongs to.
        conversation_id: The conversation that the call belongs to; empty when none is known.
        user_id: The user whom the arguments name; believed only where nobody has to log in.
        authorization: The caller's `Authorization` header; empty when there is none.
        disallowed: Expressions of the administrator; hits and texts that match are left out.
        progress: Tells the client how far the call is.
    """

    arguments: Mapping[str, Any]
    principal: Principal
    tool_call_id: str = ""
    request_id: str = ""
    conversation_id: str = ""
    user_id: str = ""
    authorization: str = ""
    disallowed: tuple[re.Pattern[str], ...] = ()
    progress: Progress = no_progress


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What a call came to.

    Attributes:
        payload: The structured result; its JSON is the text too, unless `text` says another.
        is_error: Whether the tool failed; `text` then says why.
        text: The text content.
        provider: What did the work, for metrics and records.
        content: Further content blocks in MCP's form; replaces the text where it is given.
        extra: Members that stand in the result beside MCP's own (contract/mcp-tools.md, section 3).
    """

    payload: Mapping[str, Any] | None = None
    is_error: bool = False
    text: str | None = None
    provider: str = "none"
    content: tuple[Mapping[str, Any], ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool that can be listed and called.

    Attributes:
        name: Unique in the service.
        description: One sentence for the model.
        input_schema: JSON Schema of the arguments, an object.
        output_schema: JSON Schema of the payload, or None.
        run: Does the work; never raises for a failure, which is a result.
        additional_properties: Whether arguments that the schema does not name are let through.
    """

    name: str
    description: str
    input_schema: Mapping[str, Any]
    run: Callable[[ToolCall], Awaitable[ToolResult]]
    output_schema: Mapping[str, Any] | None = None
    additional_properties: bool = False


def failure(text: str, *, payload: Mapping[str, Any] | None = None, provider: str = "none") -> ToolResult:
    """The result of a call that failed."""
    return ToolResult(payload=payload, is_error=True, text=text, provider=provider)
