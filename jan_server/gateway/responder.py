"""Sends the response of an exchange to the client: its head through the plugins, its body as it comes."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from starlette.types import Message, Send

from jan_server.gateway.exchange import Exchange, ResponseHead
from jan_server.gateway.plugins.kind import BodyPlugin
from jan_server.gateway.rejection import Reply, send_reply

if TYPE_CHECKING:
    from jan_server.gateway.upstreams.deadline import SilenceLimit

VIA = (b"via", b"1.1 jan-gateway")

_BODILESS = frozenset({204, 304})


class Responder:
    """The `send` that an upstream gets.

    Attributes:
        status: What the client got, 0 before that; 101 for an accepted WebSocket.
        started: Whether anything was sent.
        complete: Whether the whole response was sent.
        limit: The upstream's silence limit, which does not run while the client is awaited.
    """

    __slots__ = (
        "_asked_at",
        "_body",
        "_exchange",
        "_head",
        "_plugins",
        "_received_at",
        "_send",
        "complete",
        "limit",
        "started",
        "status",
    )

    def __init__(self, exchange: Exchange, send: Send, received_at: float) -> None:
        self._exchange = exchange
        self._send = send
        self._received_at = received_at
        self._asked_at = received_at
        self._head: Message | None = None
        self._plugins: list[BodyPlugin] = []
        self._body: list[bytes] = []
        self.status = 0
        self.started = False
        self.complete = False
        self.limit: SilenceLimit | None = None

    def asking(self) -> None:
        """The upstream is asked now."""
        self._asked_at = time.perf_counter()

    async def __call__(self, message: Message) -> None:
        """Take one ASGI message from the upstream."""
        if self._exchange.refusal is not None and not self.started:
            # The refusal is sent instead, once the upstream has finished.
            return
        limit = self.limit
        if limit is None:
            await self._take(message)
            return
        limit.pause()
        await self._take(message)
        limit.heard()

    async def _take(self, message: Message) -> None:
        kind = message["type"]
        if kind == "http.response.body":
            if self._head is not None:
                await self._gather(message)
                return
            await self._send(message)
            if not message.get("more_body", False):
                self.complete = True
        elif kind == "http.response.start":
            await self._start(message)
        elif kind == "websocket.accept":
            head = self._finished_head(101, message)
            self.started, self.status = True, 101
            await self._send({**message, "headers": head.headers})
        elif kind == "websocket.http.response.start":
            head = self._finished_head(message["status"], message)
            self.started, self.status = True, head.status
            await self._send({**message, "status": head.status, "headers": head.headers})
        else:
            self.started = True
            self.complete = kind == "websocket.close" or not message.get("more_body", False)
            if kind == "websocket.close" and self.status == 0:
                self.status = 403
            await self._send(message)

    async def reply(self, reply: Reply) -> None:
        """Send a reply of the gateway's own; the plugins see its head as well."""
        exchange = self._exchange
        head = ResponseHead(reply.status, list(reply.headers))
        exchange.plan.on_response(exchange, head)
        milliseconds = int((time.perf_counter() - self._received_at) * 1000)
        head.add(b"x-kong-response-latency", str(milliseconds).encode())
        head.add(b"x-kong-request-id", exchange.kong_id.encode())
        self.started = self.complete = True
        self.status = head.status
        await send_reply(Reply(head.status, reply.body, tuple(head.headers)), exchange.scope, self._send)

    async def _start(self, message: Message) -> None:
        exchange = self._exchange
        head = self._finished_head(message["status"], message)
        self.status = head.status
        started = {"type": "http.response.start", "status": head.status, "headers": head.headers}
        if exchange.method != "HEAD" and head.status not in _BODILESS:
            self._plugins = exchange.plan.body_plugins(exchange, head)
        self.started = True
        if self._plugins:
            self._head = started
        else:
            await self._send(started)

    def _finished_head(self, status: int, message: Message) -> ResponseHead:
        exchange = self._exchange
        now = time.perf_counter()
        head = ResponseHead(status, list(message.get("headers", ())))
        exchange.plan.on_response(exchange, head)
        head.headers += (
            VIA,
            (b"x-kong-upstream-latency", b"%d" % ((now - self._asked_at) * 1000)),
            (b"x-kong-proxy-latency", b"%d" % ((self._asked_at - self._received_at) * 1000)),
            (b"x-kong-request-id", exchange.kong_id.encode()),
        )
        return head

    async def _gather(self, message: Message) -> None:
        self._body.append(message.get("body", b""))
        if message.get("more_body", False):
            return
        started, self._head = self._head, None
        assert started is not None
        body = b"".join(self._body)
        for plugin in self._plugins:
            body = plugin.rewrite(body)
        length = (b"content-length", str(len(body)).encode())
        started["headers"] = [
            *(
                header
                for header in started["headers"]
                if header[0] not in (b"content-length", b"transfer-encoding")
            ),
            length,
        ]
        await self._send(started)
        await self._send({"type": "http.response.body", "body": body})
        self.complete = True
