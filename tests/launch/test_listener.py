"""Listeners: open requests and streams end before a service does."""

import asyncio

import aiohttp
import pytest

from jan_server.launch.listener import Listener
from jan_server.launch.ports import bind
from tests.waiting import until


class Slow:
    """An app that streams a first part at once and the second when it is told to."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.cancelled = False

    async def __call__(self, scope, receive, send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"first ", "more_body": True})
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        await send({"type": "http.response.body", "body": b"second"})


@pytest.fixture
async def slow():
    app = Slow()
    bound = bind("127.0.0.1", 0)
    listener = Listener(app, bound, {})
    await listener.start()
    yield app, listener, f"http://127.0.0.1:{bound.getsockname()[1]}/"
    listener.close()
    await listener.drain(0, asyncio.Event())


async def test_a_stream_under_way_ends_and_new_callers_are_refused(
    slow, client: aiohttp.ClientSession
) -> None:
    app, listener, url = slow
    async with client.get(url) as response:
        assert await response.content.read(6) == b"first "
        listener.close()
        draining = asyncio.create_task(listener.drain(20, asyncio.Event()))
        with pytest.raises(aiohttp.ClientConnectorError):
            await client.get(url)
        assert not draining.done()
        app.go.set()
        assert await response.read() == b"second"
    assert await draining == 0


async def test_a_stream_that_does_not_end_is_cut_off(slow, client: aiohttp.ClientSession) -> None:
    app, listener, url = slow
    async with client.get(url) as response:
        await response.content.read(6)
        listener.close()
        assert await listener.drain(0.1, asyncio.Event()) == 1
        with pytest.raises(aiohttp.ClientError):
            await response.read()
    assert app.cancelled


async def test_a_hurried_stop_waits_for_nobody(slow, client: aiohttp.ClientSession) -> None:
    app, listener, url = slow
    hurry = asyncio.Event()
    async with client.get(url) as response:
        await response.content.read(6)
        listener.close()
        draining = asyncio.create_task(listener.drain(600, hurry))
        hurry.set()
        assert await draining == 1
    await until(lambda: app.cancelled)


async def test_idle_connections_do_not_hold_up_the_stop(slow, client: aiohttp.ClientSession) -> None:
    app, listener, url = slow
    app.go.set()
    async with client.get(url) as response:
        assert await response.read() == b"first second"
    listener.close()
    assert await asyncio.wait_for(listener.drain(600, asyncio.Event()), 5) == 0


async def test_the_date_is_sent(slow, client: aiohttp.ClientSession) -> None:
    app, _, url = slow
    app.go.set()
    async with client.get(url) as response:
        assert "GMT" in response.headers["date"]
        assert "server" not in response.headers
