"""Calls that the gateway makes itself, such as the validation of an API key."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

import aiohttp
from starlette.types import ASGIApp

from jan_server.gateway.exchange import Header
from jan_server.gateway.paths import unquoted
from jan_server.http.errors import ApiError

logger = logging.getLogger("jan.gateway.upstreams")

LARGEST_ANSWER = 2**20


async def call_app(
    app: ASGIApp, path: str, body: bytes, headers: Sequence[Header], server: tuple[str, int]
) -> tuple[int, bytes]:
    """POST a body to an app of this process.

    Returns:
        The status and the body of its response; status 0 when it gave none.
    """
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": unquoted(path),
        "raw_path": path.encode("ascii"),
        "root_path": "",
        "query_string": b"",
        "headers": [*headers, (b"content-length", str(len(body)).encode())],
        "client": ("127.0.0.1", 0),
        "server": server,
        "state": {},
    }
    pending = [body]
    status = 0
    parts: list[bytes] = []

    async def receive() -> Any:
        if pending:
            return {"type": "http.request", "body": pending.pop(), "more_body": False}
        # Nobody goes away; the time limit of the caller ends the wait.
        return await asyncio.get_running_loop().create_future()

    async def send(message: Any) -> None:
        nonlocal status
        if message["type"] == "http.response.start":
            status = message["status"]
        elif message["type"] == "http.response.body":
            parts.append(message.get("body", b""))

    try:
        await app(scope, receive, send)
    except Exception:
        logger.exception("%s failed", path)
    return status, b"".join(parts)


async def call_address(
    client: aiohttp.ClientSession, url: str, body: bytes, headers: Sequence[Header], seconds: float
) -> tuple[int, bytes]:
    """POST a body to an address.

    Raises:
        ApiError: 502 when it cannot be reached or answers too much.
    """
    named = [(name.decode(), value.decode("latin-1")) for name, value in headers]
    try:
        try:
            return await _post(client, url, body, named, seconds)
        except aiohttp.ServerDisconnectedError:
            # A kept connection that the server had closed: asking again does no harm here.
            return await _post(client, url, body, named, seconds)
    except aiohttp.ClientError as failure:
        raise ApiError(502, f"{url} cannot be reached: {failure}", code="upstream_error") from failure


async def _post(
    client: aiohttp.ClientSession, url: str, body: bytes, headers: list[tuple[str, str]], seconds: float
) -> tuple[int, bytes]:
    timeout = aiohttp.ClientTimeout(total=seconds)
    async with client.post(
        url, data=body, headers=headers, allow_redirects=False, timeout=timeout
    ) as response:
        answer = b""
        async for piece in response.content.iter_any():
            answer += piece
            if len(answer) > LARGEST_ANSWER:
                raise ApiError(502, f"{url} answered too much", code="upstream_error")
        return response.status, answer
