"""Calls that belong to a conversation, written into it (contract/mcp-tools.md, section 6)."""

from __future__ import annotations

import asyncio
import logging
from typing import Any
from urllib.parse import quote

import aiohttp
import orjson

from jan_server.authentication.identity_header import HEADER, IdentitySigner
from jan_server.services.mcp_tools.tool import Tool, ToolCall, ToolResult

TRACKED = frozenset({"google_search", "scrape", "python_exec", "memory_retrieve"})
SERVER_LABEL = "Jan MCP Server"
TELL_SECONDS = 10.0
LONGEST_OUTPUT = 200_000

logger = logging.getLogger("jan.mcp-tools.tracking")


class Tracking:
    """Tells the LLM API of calls, in the background; whoever called never waits for it.

    Args:
        client: The process's outgoing client.
        signer: Signs the header that names the caller.
        llm_api_url: Where the LLM API is.
        enabled: Whether anything is told.
    """

    def __init__(
        self, client: aiohttp.ClientSession, signer: IdentitySigner, llm_api_url: str, *, enabled: bool
    ) -> None:
        self._client = client
        self._signer = signer
        self._url = llm_api_url.rstrip("/")
        self._enabled = enabled
        self._telling: set[asyncio.Task[None]] = set()

    def tell(self, tool: Tool, call: ToolCall, named: Any, result: ToolResult) -> None:
        """Tell of a call whose request named its conversation and its id in headers."""
        if not (self._enabled and tool.name in TRACKED and named.conversation_id and named.tool_call_id):
            return
        if tool.name == "memory_retrieve" and result.is_error:
            return
        task = asyncio.create_task(self._send(tool, call, named, result))
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    async def close(self) -> None:
        """Wait for what is being told."""
        await asyncio.gather(*self._telling, return_exceptions=True)

    async def _send(self, tool: Tool, call: ToolCall, named: Any, result: ToolResult) -> None:
        payload = orjson.dumps(result.payload).decode() if result.payload is not None else result.text or ""
        body: dict[str, Any] = {
            "status": "failed" if result.is_error else "completed",
            "output": payload[:LONGEST_OUTPUT],
            "name": tool.name,
            "arguments": orjson.dumps(call.arguments).decode(),
            "server_label": SERVER_LABEL,
        }
        if result.is_error:
            body["error"] = result.text or ""
        conversation, call_id = quote(named.conversation_id, safe=""), quote(named.tool_call_id, safe="")
        url = f"{self._url}/v1/conversations/{conversation}/items/by-call-id/{call_id}"
        headers = {"Content-Type": "application/json", HEADER: self._signer.sign(call.principal)}
        try:
            timeout = aiohttp.ClientTimeout(total=TELL_SECONDS)
            data = orjson.dumps(body)
            async with self._client.patch(url, data=data, headers=headers, timeout=timeout) as response:
                if response.status not in (200, 201, 409):
                    logger.info("the call %s was not written: status %d", call.tool_call_id, response.status)
        except (aiohttp.ClientError, TimeoutError, OSError) as failure:
            logger.info("the call %s was not written: %s", call.tool_call_id, type(failure).__name__)
