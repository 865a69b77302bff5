"""Calls of tools: checked, made, counted, recorded, and told to the conversation that they belong to."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import orjson

from jan_server.authentication.principal import Principal
from jan_server.services.mcp_tools.arguments import PASSED, checked
from jan_server.services.mcp_tools.metrics import TOOL_CALLS, TOOL_SECONDS, TOOL_TOKENS
from jan_server.services.mcp_tools.records import CallRecord, CallRecords
from jan_server.services.mcp_tools.registry import Registry
from jan_server.services.mcp_tools.tool import Progress, Tool, ToolCall, ToolResult, failure, no_progress
from jan_server.services.mcp_tools.tool_switches import is_switched_off
from jan_server.services.mcp_tools.tracking import Tracking

DISABLED = "tool is disabled"

logger = logging.getLogger("jan.mcp-tools.calls")


class UnknownTool(LookupError):
    """There is no tool of this name."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls a tool, and for what.

    Attributes:
        principal: The authenticated caller.
        authorization: The `Authorization` header; empty when there is none.
        conversation_id: The conversation that a header names.
        tool_call_id: The call that a header names.
        request_id: The id of the request.
    """

    principal: Principal
    authorization: str = ""
    conversation_id: str = ""
    tool_call_id: str = ""
    request_id: str = ""


class ToolCalls:
    """Makes calls of tools.

    Args:
        registry: The tools.
        records: Keeps what was called.
        tracking: Tells conversations of their calls.
    """

    def __init__(self, registry: Registry, records: CallRecords, tracking: Tracking) -> None:
        self.registry = registry
        self._records = records
        self._tracking = tracking

    async def call(
        self, name: str, given: Mapping[str, Any], caller: Caller, progress: Progress = no_progress
    ) -> ToolResult:
        """Call a tool; its failures are results.

        Raises:
            UnknownTool: There is none of this name.
            BadArguments: The arguments do not fit its schema.
        """
        tool = self.registry.find(name)
        if tool is None:
            raise UnknownTool(name)
        arguments = checked(tool.input_schema, given, more=tool.additional_properties)
        passed = {each: str(given[each]) for each in PASSED if isinstance(given.get(each), str)}
        switches = await self.registry.switches.all()
        switch = (switches or {}).get(name)
        call = ToolCall(
            arguments=arguments,
            principal=caller.principal,
            tool_call_id=passed.get("tool_call_id") or caller.tool_call_id,
            request_id=passed.get("request_id") or caller.request_id,
            conversation_id=passed.get("conversation_id") or caller.conversation_id,
            user_id=passed.get("user_id", ""),
            authorization=caller.authorization,
            disallowed=switch.disallowed if switch else (),
            progress=progress,
        )
        started = time.perf_counter()
        if is_switched_off(name, switches):
            result = failure(DISABLED)
        else:
            result = await _run(tool, call)
        self._note(tool, call, result, time.perf_counter() - started)
        self._tracking.tell(tool, call, caller, result)
        return result

    def _note(self, tool: Tool, call: ToolCall, result: ToolResult, seconds: float) -> None:
        status = "error" if result.is_error else "success"
        size = len(text_of(result))
        TOOL_CALLS.labels(tool.name, result.provider, status).inc()
        TOOL_SECONDS.labels(tool.name, result.provider).observe(seconds)
        TOOL_TOKENS.labels(tool.name, result.provider).inc(size // 4)
        self._records.add(
            CallRecord(
                user_id=call.principal.subject,
                tool_name=tool.name,
                provider=result.provider,
                arguments=call.arguments,
                status=status,
                error=(result.text or "") if result.is_error else "",
                result_size=size,
                duration_ms=seconds * 1000,
                tool_call_id=call.tool_call_id,
                conversation_id=call.conversation_id,
                request_id=call.request_id,
            )
        )


async def _run(tool: Tool, call: ToolCall) -> ToolResult:
    try:
        result = await tool.run(call)
    except Exception:
        logger.exception("the tool %s broke", tool.name)
        return failure(f"{tool.name} failed unexpectedly; the log of mcp-tools says why")
    if result.text is not None and any(pattern.search(result.text) for pattern in call.disallowed):
        return replace(result, text="", payload=None, content=())
    return result


def text_of(result: ToolResult) -> str:
    """The text content of a result."""
    if result.text is not None:
        return result.text
    return orjson.dumps(result.payload).decode() if result.payload is not None else ""
