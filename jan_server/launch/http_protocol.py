"""HTTP on one connection, with limits: how long a request's head may be, and how long a client may be silent.

uvicorn's protocol reads heads of any length and waits for the rest of a request for ever. This one
refuses a head that is too long (431, RFC 6585 section 5) and ends connections that wait in the middle of
a request (408, RFC 9110 section 15.5.9). One timer a connection looks after the times; a request costs
it a reading of the clock.
"""

from __future__ import annotations

import asyncio
import logging
from asyncio.events import TimerHandle
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, ClassVar

import orjson
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from jan_server.http.errors import ApiError, error_body

log = logging.getLogger("jan.server.listener")


@dataclass(frozen=True, slots=True)
class RequestLimits:
    """What a client may ask of a connection.

    Attributes:
        head_bytes: The longest head: request line and headers; trailers count by themselves.
        head_seconds: How long a head may take, from the connection or the first byte.
        body_seconds: How long a client may be silent while its body is waited for.
    """

    head_bytes: int = 64 * 1024
    head_seconds: float = 30.0
    body_seconds: float = 60.0


class _HeadTooLongError(Exception):
    """Ends the parsing of a head."""


class LimitedHttpProtocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol with `RequestLimits`; see `with_limits`."""

    limits: ClassVar[RequestLimits] = RequestLimits()

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._watch: TimerHandle | None = None
        self._head_since = self._read_at = 0.0
        # Bytes of the chunk that is parsed now, and bytes before it that completed nothing.
        self._chunk = self._pending = 0
        self._progress = self._paused = self._too_long = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a first head."""
        super().connection_made(transport)
        self._head_since = self._read_at = self.loop.time()
        self._watch = self.loop.call_later(self.limits.head_seconds, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._stop_watching()
        super().connection_lost(exc)

    def handle_websocket_upgrade(self) -> None:
        """Leave the connection to WebSocket, which has limits of its own."""
        self._stop_watching()
        super().handle_websocket_upgrade()

    def data_received(self, data: bytes) -> None:
        """Parse what arrived, and refuse what goes on for too long without completing anything."""
        self._read_at = self.loop.time()
        if self.timeout_keep_alive_task is not None:
            # The connection was idle: this is the first byte of the next head.
            self._head_since = self._read_at
        self._chunk = len(data)
        self._progress = False
        super().data_received(data)
        if self._progress:
            self._pending = 0
            return
        self._pending += self._chunk
        if self._pending > self.limits.head_bytes:
            self._too_long = True
            self.send_400_response("")

    def on_headers_complete(self) -> None:
        """Measure the head where it can be too long at all, then let the app have it."""
        self._progress = True
        if self._pending + self._chunk > self.limits.head_bytes:
            size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
            if size > self.limits.head_bytes:
                # The parser stops at an exception, and what refuses a bad request is asked then.
                self._too_long = True
                raise _HeadTooLongError
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take a piece of a body."""
        self._progress = True
        super().on_body(body)
        if self.flow.read_paused:
            self._paused = True

    def on_message_complete(self) -> None:
        """Take the end of a request."""
        self._progress = True
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Refuse what cannot be parsed, or is too long to be."""
        if self._too_long:
            words = f"the request's head is longer than {self.limits.head_bytes} bytes"
            self._refuse(ApiError(431, words, code="request_head_too_large"))
        else:
            self._refuse(ApiError(400, msg, code="invalid_http"))

    def _look(self) -> None:
        """End the connection when its client has been silent for too long; else look again in time."""
        limits, now = self.limits, self.loop.time()
        due = now + min(limits.head_seconds, limits.body_seconds)
        cycle = self.cycle
        if cycle is None or cycle.response_complete:
            # Without a timer for idle connections, a head is under way.
            if self.timeout_keep_alive_task is None:
                due = self._head_since + limits.head_seconds
                if due <= now:
                    self._refuse(ApiError(408, "the request's head took too long", code="request_timeout"))
                    return
        elif cycle.more_body and not cycle.response_started and not cycle.waiting_for_100_continue:
            if self._paused:
                # It was the app that did not read on.
                self._paused, self._read_at = self.flow.read_paused, now
            due = self._read_at + limits.body_seconds
            if due <= now:
                self._refuse(ApiError(408, "the request's body stopped arriving", code="request_timeout"))
                return
        self._watch = self.loop.call_at(due, self._look)

    def _stop_watching(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None

    def _refuse(self, error: ApiError) -> None:
        """Answer by ourselves, where no answer is under way, and end the connection."""
        self._stop_watching()
        if self.transport.is_closing():
            return
        log.info("refused a request: %s", error.message, extra={"status": error.status})
        if self.cycle is None or self.cycle.response_complete or not self.cycle.response_started:
            self.transport.write(self._response(error))
        self.transport.close()

    def _response(self, error: ApiError) -> bytes:
        body = orjson.dumps(error_body(error, ""))
        headers = [
            *self.server_state.default_headers,
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            (b"connection", b"close"),
        ]
        status = HTTPStatus(error.status)
        line = f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode()
        return b"".join((line, *(name + b": " + value + b"\r\n" for name, value in headers), b"\r\n", body))


def with_limits(limits: RequestLimits) -> type[LimitedHttpProtocol]:
    """The protocol class for a listener with these limits, which uvicorn makes one of for each connection."""
    return type("LimitedHttpProtocol", (LimitedHttpProtocol,), {"limits": limits})
