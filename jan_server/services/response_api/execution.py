"""Calls of tools that run here: made, told about as they go on, and their results put into their items."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Mapping
from typing import Any

import orjson

from jan_server.services.response_api.chat_messages import CALL, RESULT
from jan_server.services.response_api.events import Event, EventCounter
from jan_server.services.response_api.journal import Execution
from jan_server.services.response_api.mcp_endpoint import ToolServerError
from jan_server.services.response_api.metrics import TOOL_CALLS, TOOL_SECONDS
from jan_server.services.response_api.turn import TurnCall, shown_call

NOTHING_SAID = "[tool execution completed]"
FAILED = "tool execution returned an error"


class ToolExecution:
    """One call of a tool.

    Args:
        call: What the model asked for.
        counter: Numbers the events.
        seconds: How long the tool may take.
        passed: Texts that MCP Tools gets among the arguments (`conversation_id`, …); none for others.
        headers: Headers of the same kind.

    Attributes:
        record: What is kept of the call, once it has ended.
    """

    def __init__(
        self,
        call: TurnCall,
        counter: EventCounter,
        *,
        seconds: float,
        passed: Mapping[str, str],
        headers: Mapping[str, str],
    ) -> None:
        self._call = call
        self._counter = counter
        self._seconds = seconds
        self._passed = passed
        self._headers = headers
        self.record: Execution | None = None

    async def events(self) -> AsyncGenerator[Event]:
        """Make the call; afterwards the item holds its result, and its failure too."""
        call, kind = self._call, self._call.item["type"]
        arguments, problem = given_arguments(call)
        _show_arguments(call, arguments)
        yield self._event(f"response.{kind}.in_progress")
        if kind in ("web_search_call", "file_search_call"):
            yield self._event(f"response.{kind}.searching")
        elif kind == "code_interpreter_call":
            code = str(arguments.get("code", ""))
            yield self._event("response.code_interpreter_call_code.delta", delta=code)
            yield self._event("response.code_interpreter_call_code.done", code=code)
            yield self._event(f"response.{kind}.interpreting")
        started = time.perf_counter()
        result, error = (None, problem) if problem else await self._run(arguments)
        failed = bool(error)
        text = error or result_text(result or {})
        name = call.tool.tool_name if call.tool is not None else call.name
        # A name that the model made up must not become a label.
        label = name if call.tool is not None else "unknown"
        TOOL_CALLS.labels(label, "error" if failed else "success").inc()
        TOOL_SECONDS.labels(label).observe(time.perf_counter() - started)
        self.record = Execution(call.call_id, name, arguments, result, error)
        item = call.item
        item[CALL] = {"id": call.call_id, "name": call.name, "arguments": orjson.dumps(arguments).decode()}
        item[RESULT] = text
        item["status"] = "failed" if failed else "completed"
        _show_result(item, result, text, failed=failed)
        ended = "failed" if failed and kind == "mcp_call" else "completed"
        yield self._event(f"response.{kind}.{ended}")
        yield self._counter.event(
            "response.output_item.done", output_index=call.position, item=shown_call(item)
        )

    async def _run(self, arguments: Mapping[str, Any]) -> tuple[dict[str, Any] | None, str]:
        """The result of the tool, or why there is none."""
        tool = self._call.tool
        if tool is None or tool.endpoint is None:
            return None, f"unknown tool {self._call.name!r}"
        try:
            result = await tool.endpoint.call_tool(
                tool.tool_name, {**self._passed, **arguments, **tool.fixed}, self._seconds, self._headers
            )
        except ToolServerError as failure:
            return None, str(failure)
        return result, (_error_text(result) if result.get("isError") else "")

    def _event(self, kind: str, **members: Any) -> Event:
        call = self._call
        return self._counter.event(kind, item_id=call.item["id"], output_index=call.position, **members)


def given_arguments(call: TurnCall) -> tuple[dict[str, Any], str]:
    """What the model sent as arguments, and what is wrong with it; an empty text is no argument at all."""
    if not call.arguments.strip():
        return {}, ""
    try:
        arguments = orjson.loads(call.arguments)
        if isinstance(arguments, str):
            arguments = orjson.loads(arguments)
    except orjson.JSONDecodeError as failure:
        return {}, f"parse tool call: the arguments are no JSON: {failure}"
    if not isinstance(arguments, dict):
        return {}, "parse tool call: the arguments must be a JSON object"
    return arguments, ""


def result_text(result: Mapping[str, Any]) -> str:
    """The texts of a tool's result, one a line."""
    parts = result.get("content")
    texts = [
        str(part.get("text") or (part.get("resource") or {}).get("text") or "")
        for part in (parts if isinstance(parts, list) else [])
        if isinstance(part, dict)
    ]
    return "\n".join(text for text in texts if text) or NOTHING_SAID


def _error_text(result: Mapping[str, Any]) -> str:
    text = result_text(result)
    return FAILED if text == NOTHING_SAID else text


def _show_arguments(call: TurnCall, arguments: Mapping[str, Any]) -> None:
    item = call.item
    fixed = call.tool.fixed if call.tool is not None else {}
    if item["type"] == "mcp_call":
        item["arguments"] = call.arguments or "{}"
    elif item["type"] == "web_search_call":
        item["action"] = {"type": "search", "query": str(arguments.get("q", ""))}
    elif item["type"] == "file_search_call":
        item["queries"] = [str(arguments.get("query", fixed.get("query", "")))]
    elif item["type"] == "code_interpreter_call":
        item["code"] = str(arguments.get("code", ""))


def _show_result(item: dict[str, Any], result: Mapping[str, Any] | None, text: str, *, failed: bool) -> None:
    payload = (result or {}).get("structuredContent") or {}
    kind = item["type"]
    if kind == "mcp_call":
        item["error"] = text if failed else None
        item["output"] = None if failed else text
    elif kind == "web_search_call":
        sources = [{"type": "url", "url": url} for url in payload.get("citations") or []]
        item["action"] = {**item["action"], "sources": sources}
    elif kind == "file_search_call":
        item["results"] = [
            {
                "file_id": hit.get("document_id"),
                "filename": (hit.get("metadata") or {}).get("filename") or hit.get("document_id"),
                "score": hit.get("score"),
                "text": hit.get("text_preview"),
                "attributes": hit.get("metadata") or {},
            }
            for hit in payload.get("results") or []
        ]
    else:
        said = "".join(str(payload.get(name) or "") for name in ("stdout", "stderr"))
        item["container_id"] = str(payload.get("session_id") or "")
        item["outputs"] = [{"type": "logs", "logs": said or (text if failed else "")}]
