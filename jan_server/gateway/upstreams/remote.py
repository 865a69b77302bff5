"""An upstream that is reached over HTTP, through the process's pooled client.

Both bodies stream as they come. A client that goes away ends the upstream's request.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
from yarl import URL

from jan_server.gateway.entities import Service
from jan_server.gateway.exchange import Exchange
from jan_server.gateway.responder import Responder
from jan_server.gateway.upstreams.deadline import timed_out
from jan_server.gateway.upstreams.outgoing import (
    NotReached,
    bad_response,
    host_header,
    request_headers,
    response_headers,
    target_of,
)
from jan_server.gateway.upstreams.remote_websocket import relay
from jan_server.http.errors import ApiError

# The client's own headers would be added to what the gateway sends.
_NO_OWN_HEADERS = ("User-Agent", "Accept", "Accept-Encoding", "Content-Type")
# Only these may be sent again after an upstream broke off, which may have acted on the first.
_IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})


class Remote:
    """Asks one address for a service.

    Args:
        client: The process's outgoing client.
        service: The service of the file, for its limits.
        host: Where to connect to.
        port: Where to connect to.
        absent: The name of a service of this stack that runs where nobody may listen; its
            refusal is told as 503, by name.
    """

    def __init__(
        self, client: aiohttp.ClientSession, service: Service, host: str, port: int, *, absent: str = ""
    ) -> None:
        self._client = client
        self._service = service
        self._absent = absent
        shown = f"[{host}]" if ":" in host else host
        self.origin = f"{service.protocol}://{shown}:{port}"
        self.host = host_header(service.host, service.port, service.protocol)
        self._timeout = aiohttp.ClientTimeout(
            total=None, sock_connect=service.connect_seconds, sock_read=service.read_seconds
        )
        self._tls = service.verify_tls

    async def serve(self, exchange: Exchange, respond: Responder) -> None:
        """Let the upstream answer.

        Raises:
            NotReached: Nothing was sent.
            ApiError: 502, 503 or 504; the response may have begun.
        """
        call = _Call(exchange, self._service.write_seconds)
        with call:
            try:
                if exchange.is_websocket:
                    await relay(self._client, self._service, self.origin, exchange, respond)
                else:
                    await self._ask(call, exchange, respond)
            except aiohttp.ConnectionTimeoutError as failure:
                raise NotReached(timed_out()) from failure
            except aiohttp.ClientConnectorError as failure:
                raise NotReached(self._not_connected(failure)) from failure
            except TimeoutError as failure:
                raise timed_out() from failure
            except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as failure:
                again = exchange.method in _IDEMPOTENT and not exchange.has_body and not respond.started
                if again:
                    raise NotReached(bad_response()) from failure
                raise bad_response() from failure
            except (aiohttp.ClientError, ValueError) as failure:
                raise bad_response() from failure

    async def _ask(self, call: _Call, exchange: Exchange, respond: Responder) -> None:
        response = await self._client.request(
            exchange.method,
            URL(self.origin + target_of(exchange), encoded=True),
            headers=request_headers(exchange.headers),
            skip_auto_headers=_NO_OWN_HEADERS,
            data=call.body() if exchange.has_body else None,
            allow_redirects=False,
            auto_decompress=False,
            timeout=self._timeout,
            ssl=self._tls,
        )
        try:
            await respond(
                {
                    "type": "http.response.start",
                    "status": response.status,
                    "headers": response_headers(response),
                }
            )
            async for chunk in response.content.iter_any():
                await respond({"type": "http.response.body", "body": chunk, "more_body": True})
            await respond({"type": "http.response.body", "body": b""})
        finally:
            # A connection whose body was read goes back to the pool; any other one is closed.
            response.close() if not response.content.at_eof() else response.release()

    def _not_connected(self, failure: aiohttp.ClientConnectorError) -> ApiError:
        if isinstance(failure, aiohttp.ClientConnectorDNSError):
            return ApiError(503, "name resolution failed", code="unavailable")
        if self._absent:
            return ApiError(503, f"the service {self._absent} is not running", code="service_not_running")
        return bad_response()


class _Call:
    """The client's side of one request: its body, and whether it is still there."""

    def __init__(self, exchange: Exchange, write_seconds: float) -> None:
        self._exchange = exchange
        self._write_seconds = write_seconds
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Task[Any] | None = None
        self._watch: asyncio.Task[None] | None = None
        self._cancelled = False
        self._stuck = False

    def __enter__(self) -> None:
        self._task = asyncio.current_task()
        if not self._exchange.has_body and not self._exchange.is_websocket:
            self._watch = self._loop.create_task(self._until_gone())

    def __exit__(self, kind: type[BaseException] | None, failure: BaseException | None, _: object) -> bool:
        if self._watch is not None:
            self._watch.cancel()
        if not self._cancelled or self._task is None:
            return False
        if self._task.uncancel() > 0:
            return False
        if self._stuck and kind is not None:
            raise timed_out() from failure
        return kind is not None and issubclass(kind, asyncio.CancelledError)

    async def body(self) -> AsyncIterator[bytes]:
        """The client's body, piece by piece."""
        receive = self._exchange.receive
        while True:
            message = await receive()
            if message["type"] != "http.request":
                self._leave()
                return
            if piece := message.get("body", b""):
                stuck = self._loop.call_later(self._write_seconds, self._give_up)
                try:
                    yield piece
                finally:
                    stuck.cancel()
            if not message.get("more_body", False):
                break
        self._watch = self._loop.create_task(self._until_gone())

    async def _until_gone(self) -> None:
        receive = self._exchange.receive
        while (await receive())["type"] == "http.request":
            pass
        self._leave()

    def _leave(self) -> None:
        """Stop asking the upstream: nobody waits for the answer any more."""
        self._exchange.gone = True
        self._stop()

    def _stop(self) -> None:
        self._cancelled = True
        if self._task is not None:
            self._task.cancel()

    def _give_up(self) -> None:
        self._stuck = True
        self._stop()
