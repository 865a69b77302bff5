"""A WebSocket between a client and an upstream that is reached over HTTP: frames both ways, unchanged."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
from yarl import URL

from jan_server.gateway.entities import Service
from jan_server.gateway.exchange import Exchange
from jan_server.gateway.responder import Responder
from jan_server.gateway.upstreams.deadline import timed_out
from jan_server.gateway.upstreams.outgoing import bad_response, request_headers, target_of
from jan_server.http.errors import ApiError

ABNORMAL = 1011
"""The close code for a client whose upstream broke off."""

_HANDSHAKE_NAMES = frozenset(
    {
        "content-length",
        "sec-websocket-key",
        "sec-websocket-version",
        "sec-websocket-extensions",
        "sec-websocket-protocol",
    }
)


async def relay(
    client: aiohttp.ClientSession,
    service: Service,
    origin: str,
    exchange: Exchange,
    respond: Responder,
) -> None:
    """Connect to the upstream, then to the client, then pass frames until one of them closes.

    Raises:
        ApiError: The upstream refused the handshake, with its status, or did not answer in time.
        aiohttp.ClientError: It could not be reached.
    """
    headers = request_headers(exchange.headers)
    try:
        async with asyncio.timeout(service.read_seconds):
            upstream = await client.ws_connect(
                URL(origin + target_of(exchange), encoded=True),
                headers=[(name, value) for name, value in headers if name not in _HANDSHAKE_NAMES],
                protocols=exchange.scope.get("subprotocols", ()),
                max_msg_size=0,
                autoclose=False,
                ssl=service.verify_tls,
            )
    except aiohttp.WSServerHandshakeError as failure:
        if failure.status >= 400:
            words = "the upstream refused the WebSocket"
            raise ApiError(failure.status, words, code="websocket_refused") from failure
        raise bad_response() from failure
    except TimeoutError as failure:
        raise timed_out() from failure
    async with upstream:
        if (await exchange.receive())["type"] != "websocket.connect":
            exchange.gone = True
            return
        await respond({"type": "websocket.accept", "subprotocol": upstream.protocol, "headers": []})
        downward = asyncio.create_task(_to_client(upstream, respond))
        upward = asyncio.create_task(_to_upstream(upstream, exchange))
        try:
            await asyncio.wait((downward, upward), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (downward, upward):
                task.cancel()
            await asyncio.gather(downward, upward, return_exceptions=True)


async def _to_client(upstream: aiohttp.ClientWebSocketResponse[Any], respond: Responder) -> None:
    while True:
        message = await upstream.receive()
        if message.type is aiohttp.WSMsgType.TEXT:
            await respond({"type": "websocket.send", "text": message.data})
        elif message.type is aiohttp.WSMsgType.BINARY:
            await respond({"type": "websocket.send", "bytes": bytes(message.data)})
        elif message.type is aiohttp.WSMsgType.CLOSE:
            code = message.data if isinstance(message.data, int) and message.data else 1005
            # 1005 means that no code was given; it may not be sent.
            code = 1000 if code == 1005 else code
            await respond({"type": "websocket.close", "code": code, "reason": message.extra or ""})
            return
        else:
            await respond({"type": "websocket.close", "code": ABNORMAL, "reason": "the upstream broke off"})
            return


async def _to_upstream(upstream: aiohttp.ClientWebSocketResponse[Any], exchange: Exchange) -> None:
    while True:
        message = await exchange.receive()
        if message["type"] == "websocket.receive":
            if (text := message.get("text")) is not None:
                await upstream.send_str(text)
            else:
                await upstream.send_bytes(message.get("bytes") or b"")
        elif message["type"] == "websocket.disconnect":
            code = message.get("code", 1000)
            sendable = 1000 <= code <= 4999 and code not in (1005, 1006, 1015)
            await upstream.close(
                code=code if sendable else 1000, message=(message.get("reason") or "").encode()
            )
            return
