"""Connections: heads have a greatest length, and silent clients are not waited for for ever."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from jan_server.launch.http_protocol import RequestLimits
from jan_server.launch.listener import Listener
from jan_server.launch.ports import bind
from tests.gateway.serving import answer, read_body

PATIENT = RequestLimits()
HURRIED = RequestLimits(head_seconds=0.2, body_seconds=0.2)

Connect = Callable[[RequestLimits], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]


async def body_length(scope, receive, send) -> None:
    await answer(send, str(len(await read_body(receive))).encode())


@pytest.fixture
async def connect():
    listeners, writers = [], []

    async def connected(limits: RequestLimits):
        bound = bind("127.0.0.1", 0)
        port = bound.getsockname()[1]
        listener = Listener(body_length, bound, {}, limits=limits)
        await listener.start()
        listeners.append(listener)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writers.append(writer)
        return reader, writer

    yield connected
    for writer in writers:
        writer.close()
    for listener in listeners:
        listener.close()
        await listener.drain(0, asyncio.Event())


async def status(reader: asyncio.StreamReader) -> int:
    line = await asyncio.wait_for(reader.readline(), 10)
    return int(line.split()[1]) if line else 0


async def response(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    found, length = await status(reader), 0
    while (line := await asyncio.wait_for(reader.readline(), 10)).strip():
        name, _, value = line.partition(b":")
        length = int(value) if name.lower() == b"content-length" else length
    return found, await reader.readexactly(length) if length else await chunk(reader)


async def chunk(reader: asyncio.StreamReader) -> bytes:
    body = await reader.readuntil(b"\r\n0\r\n\r\n")
    return body.partition(b"\r\n")[2].partition(b"\r\n")[0]


@pytest.mark.parametrize("pieces", [1, 9], ids=["in one piece", "in pieces"])
async def test_a_long_head_is_refused(connect: Connect, pieces: int) -> None:
    reader, writer = await connect(PATIENT)
    writer.write(b"GET / HTTP/1.1\r\nHost: a\r\nX-Long: ")
    for _ in range(pieces):
        writer.write(b"a" * (70_000 // pieces))
        await writer.drain()
        await asyncio.sleep(0)
    writer.write(b"\r\n\r\n")
    assert await status(reader) == 431


async def test_many_headers_are_refused_without_being_kept(connect: Connect) -> None:
    _, writer = await connect(PATIENT)
    writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n")
    with pytest.raises(ConnectionError):
        for _ in range(2_000):
            writer.write(b"X-Some: thing\r\n" * 1_000)
            await writer.drain()


async def test_a_head_below_the_limit_is_served(connect: Connect) -> None:
    reader, writer = await connect(PATIENT)
    writer.write(b"GET / HTTP/1.1\r\nHost: a\r\nX-Long: " + b"a" * 60_000 + b"\r\n\r\n")
    assert await response(reader) == (200, b"0")


async def test_large_bodies_and_the_requests_behind_them_are_no_heads(connect: Connect) -> None:
    reader, writer = await connect(PATIENT)
    head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n"
    writer.write((head + b"b" * 200_000) * 3 + head[:20])
    for _ in range(3):
        assert await response(reader) == (200, b"200000")
    writer.write(head[20:] + b"b" * 200_000)
    assert await response(reader) == (200, b"200000")


async def test_endless_trailers_are_cut_off(connect: Connect) -> None:
    _, writer = await connect(PATIENT)
    writer.write(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n")
    with pytest.raises(ConnectionError):
        for _ in range(2_000):
            writer.write(b"X-Some: thing\r\n" * 1_000)
            await writer.drain()


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHost: a\r\n", b"\r\n\r\n"])
async def test_a_head_that_does_not_end_is_not_waited_for(connect: Connect, sent: bytes) -> None:
    reader, writer = await connect(HURRIED)
    writer.write(sent)
    assert await status(reader) == 408
    await reader.read()
    assert reader.at_eof()


async def test_a_later_head_that_does_not_end_is_not_waited_for(connect: Connect) -> None:
    reader, writer = await connect(HURRIED)
    writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert await response(reader) == (200, b"0")
    writer.write(b"GET / HT")
    assert await status(reader) == 408


async def test_a_body_that_stops_arriving_is_not_waited_for(connect: Connect) -> None:
    reader, writer = await connect(HURRIED)
    writer.write(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc")
    assert await status(reader) == 408


async def test_a_slow_body_is_waited_for(connect: Connect) -> None:
    reader, writer = await connect(RequestLimits(head_seconds=0.2, body_seconds=2))
    writer.write(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\n")
    for _ in range(6):
        await asyncio.sleep(0.06)
        writer.write(b"a")
    assert await response(reader) == (200, b"6")
