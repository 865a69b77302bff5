"""Health probes."""

import asyncio

from jan_server.launch.health import Health, probe, until_ready


async def answering(reply: bytes) -> tuple[asyncio.Server, str]:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(reply)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    return server, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def test_a_2xx_answer_is_healthy() -> None:
    server, address = await answering(b"HTTP/1.1 204 No Content\r\n\r\n")
    async with server:
        assert (await probe(address, "/healthz")).ok


async def test_another_status_is_told() -> None:
    server, address = await answering(b"HTTP/1.1 503 Service Unavailable\r\n\r\n")
    async with server:
        health = await probe(address, "/healthz")
    assert (health.ok, health.detail) == (False, "answers 503")


async def test_what_speaks_no_http_is_told() -> None:
    server, address = await answering(b"SSH-2.0-x\r\n")
    async with server:
        health = await probe(address, "/healthz")
    assert (health.ok, health.detail) == (False, "what listens there does not speak HTTP")


async def test_nothing_there_is_told() -> None:
    server, address = await answering(b"")
    server.close()
    await server.wait_closed()
    assert (await probe(address, "/healthz")).detail == "nothing listens there"


async def test_silence_is_told() -> None:
    async def keep_silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(keep_silent, "127.0.0.1", 0)
    address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        health = await probe(address, "/healthz", seconds=0.05)
    assert health.detail == "no answer within 0.05 s"


async def test_readiness_is_asked_for_until_it_is_there() -> None:
    answers = iter([Health(False, "starting", 1), Health(False, "starting", 1), Health(True, "healthy", 1)])

    async def check() -> Health:
        return next(answers)

    assert (await until_ready(check, seconds=5)).ok


async def test_the_last_answer_is_given_when_the_time_is_over() -> None:
    async def check() -> Health:
        return Health(False, "loading", 1)

    assert (await until_ready(check, seconds=0.1)).detail == "loading"
