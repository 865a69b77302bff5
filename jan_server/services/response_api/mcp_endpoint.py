"""A server of tools, as the loop calls it: JSON-RPC over HTTP, answered in JSON or as server-sent events.

Source: Model Context Protocol 2025-11-25, "Streamable HTTP" and "Tools"; contract/response-api.md,
section 7 ("Calls made to MCP Tools").
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import aiohttp
import orjson

from jan_server.http.guarded_fetch import FetchFailed, FetchLimits, FetchRefused, GuardedFetcher
from jan_server.http.sse import FrameSplitter, frame_data

PROTOCOL_VERSION = "2025-06-18"
ACCEPT = "application/json, text/event-stream"
LARGEST_ANSWER = 20 * 2**20

_numbers = itertools.count(1)


class ToolServerError(Exception):
    """The server did not answer, or answered with an error; the text says which."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server sent: its status, headers and body."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


class Post(Protocol):
    """Sends one body to the server."""

    async def __call__(self, body: bytes, headers: Mapping[str, str], seconds: float) -> Answer:
        """Send it and read the answer whole."""


def pooled_post(client: aiohttp.ClientSession, url: str) -> Post:
    """Sends to a server of this installation."""

    async def post(body: bytes, headers: Mapping[str, str], seconds: float) -> Answer:
        timeout = aiohttp.ClientTimeout(total=seconds)
        try:
            async with client.post(url, data=body, headers=headers, timeout=timeout) as response:
                return Answer(response.status, response.headers, await response.read())
        except TimeoutError as failure:
            raise ToolServerError(f"no answer within {seconds:g} seconds") from failure
        except (aiohttp.ClientError, OSError) as failure:
            raise ToolServerError(f"it does not answer: {type(failure).__name__}") from failure

    return post


def guarded_post(fetcher: GuardedFetcher, url: str) -> Post:
    """Sends to a server that a user named, never into this machine or its networks."""

    async def post(body: bytes, headers: Mapping[str, str], seconds: float) -> Answer:
        limits = FetchLimits(size=LARGEST_ANSWER, seconds=seconds)
        try:
            fetched = await fetcher.fetch(url, method="POST", headers=headers, body=body, limits=limits)
        except (FetchRefused, FetchFailed) as failure:
            raise ToolServerError(str(failure)) from failure
        return Answer(fetched.status, fetched.headers, fetched.body)

    return post


class McpEndpoint:
    """One server of tools.

    Args:
        post: Sends to it.
        credentials: Gives the headers that let the caller in, anew for each request.
        sessions: Whether the server wants to be greeted first, as one does that somebody else runs.
    """

    def __init__(
        self, post: Post, credentials: Callable[[], Mapping[str, str]], *, sessions: bool = False
    ) -> None:
        self._post = post
        self._credentials = credentials
        self._headers = {"Content-Type": "application/json", "Accept": ACCEPT}
        self._greet = sessions

    async def list_tools(self, seconds: float) -> list[dict[str, Any]]:
        """All tools: `name`, `description`, `inputSchema` each.

        Raises:
            ToolServerError: They cannot be had.
        """
        tools: list[dict[str, Any]] = []
        cursor = None
        while True:
            result = await self._request("tools/list", {"cursor": cursor} if cursor else {}, seconds)
            listed = result.get("tools")
            tools += [tool for tool in listed if isinstance(tool, dict)] if isinstance(listed, list) else []
            cursor = result.get("nextCursor")
            if not isinstance(cursor, str) or not cursor:
                return tools

    async def call_tool(
        self, name: str, arguments: Mapping[str, Any], seconds: float, headers: Mapping[str, str]
    ) -> dict[str, Any]:
        """Call a tool; its failure is a result with `isError`.

        Raises:
            ToolServerError: There is no result.
        """
        given = {"name": name, "arguments": dict(arguments)}
        return await self._request("tools/call", given, seconds, headers)

    async def _request(
        self, method: str, params: Mapping[str, Any], seconds: float, headers: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        if self._greet:
            await self._begin_session(seconds)
        return await self._exchange(method, params, seconds, headers or {})

    async def _begin_session(self, seconds: float) -> None:
        greeting = {
            "protocolVersion": PROTOCOL_VERSION,
            "capabilities": {},
            "clientInfo": {"name": "jan-server", "version": "1"},
        }
        body = _request_body("initialize", greeting)
        answer = await self._post(body, self._sent(), seconds)
        told = _result(answer)
        self._headers["MCP-Protocol-Version"] = str(told.get("protocolVersion") or PROTOCOL_VERSION)
        session = next(
            (value for name, value in answer.headers.items() if name.lower() == "mcp-session-id"), ""
        )
        if session:
            self._headers["Mcp-Session-Id"] = session
        note = orjson.dumps({"jsonrpc": "2.0", "method": "notifications/initialized"})
        await self._post(note, self._sent(), seconds)
        self._greet = False

    def _sent(self, headers: Mapping[str, str] | None = None) -> dict[str, str]:
        return {**self._headers, **self._credentials(), **(headers or {})}

    async def _exchange(
        self, method: str, params: Mapping[str, Any], seconds: float, headers: Mapping[str, str]
    ) -> dict[str, Any]:
        return _result(await self._post(_request_body(method, params), self._sent(headers), seconds))


def _request_body(method: str, params: Mapping[str, Any]) -> bytes:
    return orjson.dumps({"jsonrpc": "2.0", "id": next(_numbers), "method": method, "params": params})


def _result(answer: Answer) -> dict[str, Any]:
    message = _message(answer)
    error = message.get("error")
    if isinstance(error, dict):
        raise ToolServerError(f"mcp error ({error.get('code')}): {error.get('message')}")
    if error:
        raise ToolServerError(str(error))
    result = message.get("result")
    if answer.status >= 400 or not isinstance(result, dict):
        raise ToolServerError(f"it answered with status {answer.status} and no result")
    return result


def _message(answer: Answer) -> Mapping[str, Any]:
    """The answer among what was sent; notifications that precede it are passed over."""
    kind = next((value for name, value in answer.headers.items() if name.lower() == "content-type"), "")
    bodies = [answer.body]
    if kind.startswith("text/event-stream"):
        splitter = FrameSplitter()
        bodies = [frame_data(frame) for frame in splitter.feed(answer.body + b"\n\n")]
    for body in bodies:
        try:
            message = orjson.loads(body)
        except orjson.JSONDecodeError:
            continue
        if isinstance(message, dict) and ("result" in message or "error" in message):
            return message
    raise ToolServerError(f"it answered with status {answer.status} and nothing of JSON-RPC")
