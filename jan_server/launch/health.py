"""Health probes: one GET with nothing but the standard library, so that every command can afford it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

_POLL_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Health:
    """The answer to a probe.

    Attributes:
        ok: Whether the service said that it can be used.
        detail: `healthy`, or what is wrong.
        milliseconds: How long the answer took.
    """

    ok: bool
    detail: str
    milliseconds: float


async def probe(address: str, path: str, *, seconds: float = 2.0) -> Health:
    """Ask `GET address + path` once; any 2xx status counts as healthy.

    Args:
        address: `http://host:port`, or with https.
        path: The health path of the service.
        seconds: How long the answer may take.
    """
    parts = urlsplit(address)
    secure = parts.scheme == "https"
    host, port = parts.hostname or "127.0.0.1", parts.port or (443 if secure else 80)
    started = time.perf_counter()
    try:
        async with asyncio.timeout(seconds):
            status = await _status(host, port, f"{parts.path.rstrip('/')}{path}", secure=secure)
    except TimeoutError:
        return Health(False, f"no answer within {seconds:g} s", round(seconds * 1000, 1))
    except (OSError, ValueError, EOFError) as error:
        spent = round((time.perf_counter() - started) * 1000, 1)
        refused = isinstance(error, ConnectionRefusedError)
        return Health(False, "nothing listens there" if refused else str(error) or "no answer", spent)
    spent = round((time.perf_counter() - started) * 1000, 1)
    healthy = 200 <= status < 300
    return Health(healthy, "healthy" if healthy else f"answers {status}", spent)


async def until_ready(check: Callable[[], Awaitable[Health]], *, seconds: float) -> Health:
    """Ask again and again until the answer is yes or the time is over; the last answer is returned."""
    deadline = time.monotonic() + seconds
    while True:
        health = await check()
        if health.ok or time.monotonic() >= deadline:
            return health
        await asyncio.sleep(_POLL_SECONDS)


async def _status(host: str, port: int, target: str, *, secure: bool) -> int:
    reader, writer = await asyncio.open_connection(host, port, ssl=secure or None)
    try:
        name = f"[{host}]" if ":" in host else host
        writer.write(
            f"GET {target} HTTP/1.1\r\nHost: {name}:{port}\r\nAccept: */*\r\n"
            "User-Agent: jan-health\r\nConnection: close\r\n\r\n".encode()
        )
        line = await reader.readline()
        words = line.split()
        if len(words) < 2 or not words[0].startswith(b"HTTP/"):
            raise ValueError("what listens there does not speak HTTP")
        return int(words[1])
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
