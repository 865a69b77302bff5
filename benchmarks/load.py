"""A load generator that costs little: raw HTTP/1.1 over kept connections.

A round sends its requests in turn, again and again, on each of its connections for a bounded
time and counts answers, frames and how long each answer took.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import cycle
from statistics import median

import orjson


@dataclass
class Round:
    """What one round saw.

    Attributes:
        seconds: How long it ran.
        latencies: Seconds from the last byte sent to the last byte read, one an answer.
        frames: Server-sent events read.
        failures: Answers whose status was not 200.
    """

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    frames: int = 0
    failures: int = 0

    @property
    def requests_per_second(self) -> float:
        """Answers a second."""
        return len(self.latencies) / self.seconds

    @property
    def frames_per_second(self) -> float:
        """Frames a second."""
        return self.frames / self.seconds

    @property
    def median_seconds(self) -> float:
        """The median latency."""
        return median(self.latencies)


def chat_request(
    port: int, *, token: str = "", model: str, stream: bool = False, extra: dict[str, object] | None = None
) -> bytes:
    """The bytes of a chat completion request."""
    body = orjson.dumps(
        {
            "model": model,
            "messages": [
                {"role": "system", "content": "You are a helpful assistant."},
                {"role": "user", "content": "Hello! Please greet me back in one short sentence."},
            ],
            **({"stream": True} if stream else {}),
            **(extra or {}),
        }
    )
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{_authorization(token)}"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def get_request(port: int, path: str, *, token: str) -> bytes:
    """The bytes of a GET request."""
    return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{_authorization(token)}\r\n".encode()


def form_request(port: int, path: str, form: str) -> bytes:
    """The bytes of a POST of an encoded form."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
        f"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(form)}\r\n\r\n"
    )
    return (head + form).encode()


def _authorization(token: str) -> str:
    return f"Authorization: Bearer {token}\r\n" if token else ""


class _Connection(asyncio.Protocol):
    def __init__(
        self, requests: Iterator[bytes], until: float, result: Round, done: asyncio.Future[None]
    ) -> None:
        self._requests = requests
        self._until = until
        self._result = result
        self._done = done
        self._buffer = bytearray()
        self._sent_at = 0.0
        self._head_end = -1
        self._length = -1

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._send()

    def _send(self) -> None:
        self._buffer.clear()
        self._head_end = -1
        self._length = -1
        self._sent_at = time.perf_counter()
        self._transport.write(next(self._requests))

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if self._head_end < 0:
            self._head_end = self._buffer.find(b"\r\n\r\n")
            if self._head_end < 0:
                return
            head = bytes(self._buffer[: self._head_end]).lower()
            at = head.find(b"\r\ncontent-length:")
            if at != -1:
                self._length = int(head[at + 17 :].split(b"\r\n", 1)[0])
        if self._length >= 0:
            if len(self._buffer) < self._head_end + 4 + self._length:
                return
        elif not self._buffer.endswith(b"0\r\n\r\n"):
            return
        now = time.perf_counter()
        self._result.latencies.append(now - self._sent_at)
        if not self._buffer.startswith(b"HTTP/1.1 200"):
            self._result.failures += 1
        if self._length < 0:
            self._result.frames += self._buffer.count(b"data: ")
        if now < self._until:
            self._send()
        else:
            self._transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        if not self._done.done():
            self._done.set_result(None)


async def run_round(port: int, requests: Sequence[bytes], *, connections: int, seconds: float) -> Round:
    """Load 127.0.0.1:`port` for `seconds` and say what came back.

    The connections share `requests`: each takes the next one that none has taken yet, and after the
    last the first again.
    """
    turns = cycle(requests)
    loop = asyncio.get_running_loop()
    result = Round()
    started = time.perf_counter()
    waiting = []
    for _ in range(connections):
        done: asyncio.Future[None] = loop.create_future()
        waiting.append(done)
        await loop.create_connection(
            partial(_Connection, turns, started + seconds, result, done), "127.0.0.1", port
        )
    await asyncio.gather(*waiting)
    result.seconds = time.perf_counter() - started
    return result
