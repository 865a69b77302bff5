"""A scripted MCP server on a real socket: it stands in for tools that fail in ways which ours do not.

async with ToolServer() as server:
    server.answers["lookup"] = text_result("42")     # or a function of the arguments
    await server.wait_until(lambda: server.calls)
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self

import orjson
from aiohttp import web

Result = Mapping[str, Any]
Handler = Callable[[dict[str, Any]], Awaitable[Result]]

SCHEMA = {"type": "object", "properties": {"q": {"type": "string"}}}


def text_result(text: str, *, is_error: bool = False) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": text}], "isError": is_error}


@dataclass(frozen=True)
class ToolRequest:
    """One call of a tool as the server received it."""

    name: str
    arguments: dict[str, Any]
    headers: Mapping[str, str]


class ToolServer:
    """Answers `tools/list` and `tools/call`; as server-sent events with `sse`."""

    def __init__(self, *, sse: bool = False, session: str = "") -> None:
        self.answers: dict[str, Result | Handler] = {}
        self.calls: list[ToolRequest] = []
        self.sse = sse
        self.session = session
        self.under_way = 0
        self.most_at_once = 0
        self.url = ""
        self._changed = asyncio.Condition()

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_post("/v1/mcp", self._post)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    def reset(self) -> None:
        self.answers.clear()
        self.calls.clear()
        self.most_at_once = 0

    async def wait_until(self, condition: Callable[[], object]) -> None:
        async with self._changed, asyncio.timeout(10):
            await self._changed.wait_for(lambda: bool(condition()))

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def _post(self, request: web.Request) -> web.Response:
        asked = orjson.loads(await request.read())
        method, number = asked["method"], asked.get("id")
        if number is None:
            return web.Response(status=202)
        if method == "initialize":
            result: Any = {"protocolVersion": "2025-06-18", "capabilities": {}, "serverInfo": {}}
            headers = {"Mcp-Session-Id": self.session} if self.session else {}
            return self._answer({"jsonrpc": "2.0", "id": number, "result": result}, headers)
        if self.session and request.headers.get("Mcp-Session-Id") != self.session:
            return web.Response(status=404, text="session not found")
        if method == "tools/list":
            tools = [
                {"name": name, "description": f"The tool {name}.", "inputSchema": SCHEMA}
                for name in self.answers
            ]
            return self._answer({"jsonrpc": "2.0", "id": number, "result": {"tools": tools}})
        params = asked["params"]
        call = ToolRequest(params["name"], params["arguments"], dict(request.headers))
        self.calls.append(call)
        self.under_way += 1
        self.most_at_once = max(self.most_at_once, self.under_way)
        await self._tell()
        try:
            given = self.answers.get(call.name)
            if given is None:
                error = {"code": -32602, "message": f'unknown tool "{call.name}"'}
                return self._answer({"jsonrpc": "2.0", "id": number, "error": error})
            result = await given(call.arguments) if callable(given) else given
            return self._answer({"jsonrpc": "2.0", "id": number, "result": result})
        finally:
            self.under_way -= 1
            await self._tell()

    def _answer(self, message: Any, headers: Mapping[str, str] | None = None) -> web.Response:
        body = orjson.dumps(message)
        if self.sse:
            body = b"event: message\ndata: " + body + b"\n\n"
        kind = "text/event-stream" if self.sse else "application/json"
        return web.Response(body=body, content_type=kind, headers=headers)
