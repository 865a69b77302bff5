"""WebSockets through the gateway, to an app of this process and to an address."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import aiohttp
import pytest

from tests.gateway.conftest import Running, Start
from tests.gateway.serving import Service, free_port, serving

FILE = """
_format_version: "3.0"
services:
  - name: voice
    host: voice
    retries: 0
    routes:
      - name: voice
        paths: [/voice]
        plugins:
          - {name: correlation-id, config: {header_name: X-Request-Id, generator: uuid}}
      - name: closed
        paths: [/closed]
        plugins:
          - {name: request-termination, config: {status_code: 401}}
"""


class Voice:
    """Repeats what it is told, with the path it was asked for; says goodbye to "bye"."""

    def __init__(self) -> None:
        self.scope: Any = None
        self.left_with: int | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.scope = scope
        assert (await receive())["type"] == "websocket.connect"
        if scope["path"] == "/refuse":
            await send({"type": "websocket.http.response.start", "status": 403, "headers": []})
            await send({"type": "websocket.http.response.body", "body": b"no"})
            return
        offered = scope["subprotocols"]
        await send({"type": "websocket.accept", "subprotocol": offered[-1] if offered else None})
        while True:
            message = await receive()
            if message["type"] == "websocket.disconnect":
                self.left_with = message["code"]
                return
            if message.get("text") == "fail":
                raise RuntimeError("out of words")
            if message.get("text") == "bye":
                await send({"type": "websocket.close", "code": 4001, "reason": "goodbye"})
                return
            if message.get("text") is not None:
                await send({"type": "websocket.send", "text": f"{scope['path']}: {message['text']}"})
            else:
                await send({"type": "websocket.send", "bytes": message["bytes"][::-1]})


@pytest.fixture
def voice() -> Voice:
    return Voice()


@pytest.fixture(params=["in process", "over http"])
async def gateway(request: pytest.FixtureRequest, start: Start, voice: Voice) -> AsyncIterator[Running]:
    async with AsyncExitStack() as stack:
        app = Service(voice)
        if request.param == "in process":
            yield await start(FILE, {"voice": app})
        else:
            port = await stack.enter_async_context(serving(app))
            yield await start(FILE, local_ports={"voice": port})


async def test_frames_pass_both_ways(gateway: Running, voice: Voice) -> None:
    headers = {"X-User-ID": "1", "X-Mine": "yes"}
    async with gateway.session.ws_connect(f"{gateway.url}/voice/room?x=1", headers=headers) as socket:
        for number in range(3):
            await socket.send_str(f"hello {number}")
            assert await socket.receive_str() == f"/room: hello {number}"
        await socket.send_bytes(b"\x00\x01\x02" * 50_000)
        assert await socket.receive_bytes() == b"\x02\x01\x00" * 50_000
        sent = {name.decode(): value.decode() for name, value in voice.scope["headers"]}
        assert (sent["x-mine"], voice.scope["query_string"]) == ("yes", b"x=1")
        assert "x-user-id" not in sent
        assert sent["x-request-id"]


async def test_subprotocols_are_agreed_on_by_the_upstream(gateway: Running) -> None:
    async with gateway.session.ws_connect(f"{gateway.url}/voice", protocols=("one", "two")) as socket:
        assert socket.protocol == "two"


async def test_the_upstreams_goodbye_reaches_the_client(gateway: Running) -> None:
    async with gateway.session.ws_connect(f"{gateway.url}/voice") as socket:
        await socket.send_str("bye")
        message = await socket.receive()
        assert (message.type, message.data, message.extra) == (aiohttp.WSMsgType.CLOSE, 4001, "goodbye")


async def test_a_service_that_fails_closes_the_socket(gateway: Running) -> None:
    async with gateway.session.ws_connect(f"{gateway.url}/voice") as socket:
        await socket.send_str("fail")
        message = await asyncio.wait_for(socket.receive(), 5)
        assert message.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED)
        assert socket.close_code in (1011, 1006)


async def test_the_clients_goodbye_reaches_the_upstream(gateway: Running, voice: Voice) -> None:
    from tests.waiting import until

    async with gateway.session.ws_connect(f"{gateway.url}/voice") as socket:
        await socket.send_str("hello")
        await socket.receive_str()
        await socket.close(code=4002)
    await until(lambda: voice.left_with is not None)
    assert voice.left_with == 4002


@pytest.mark.parametrize(("path", "status"), [("/voice/refuse", 403), ("/closed", 401), ("/nowhere", 404)])
async def test_a_refused_handshake_has_a_status(gateway: Running, path: str, status: int) -> None:
    with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
        await gateway.session.ws_connect(f"{gateway.url}{path}")
    assert caught.value.status == status


async def test_an_upstream_that_cannot_be_reached_refuses_the_handshake(start: Start) -> None:
    gateway = await start(FILE, local_ports={"voice": free_port()})
    with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
        await gateway.session.ws_connect(f"{gateway.url}/voice")
    assert caught.value.status == 503
