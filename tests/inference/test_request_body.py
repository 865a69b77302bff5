"""Bodies that come in while they are sent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from jan_server.inference.client import UpstreamClient
from jan_server.inference.provider import Endpoint, Provider
from jan_server.inference.upstream_errors import UpstreamError
from tests.doubles.openai_upstream import Failure, OpenAIUpstream

PATH = "/audio/transcriptions"
FORM = "multipart/form-data; boundary=b"


@pytest.fixture
async def upstream() -> AsyncIterator[OpenAIUpstream]:
    async with OpenAIUpstream() as server:
        yield server


def provider(*urls: str) -> Provider:
    return Provider(id="prov_body", name="Scripted", endpoints=tuple(map(Endpoint, urls)), kind="openai")


class Body:
    """Three pieces, the second one once `gate` is open; `failing` breaks off instead of giving the third."""

    def __init__(self, *, failing: Exception | None = None, again: bool = False) -> None:
        self.gate = asyncio.Event()
        self.failure: Exception | None = None
        self.can_be_sent_again = True
        self._failing = failing
        self._again = again

    async def chunks(self) -> AsyncIterator[bytes]:
        self.can_be_sent_again = self._again
        yield b"one "
        await self.gate.wait()
        yield b"two "
        if self._failing is not None:
            self.failure = self._failing
            raise self._failing
        yield b"three"


class Gone(Exception):
    pass


async def test_a_body_is_sent_while_it_comes_in(client: UpstreamClient) -> None:
    body, seen = Body(), []

    async def serve(request: web.Request) -> web.Response:
        seen.append(await request.content.readexactly(4))
        body.gate.set()
        seen.append(await request.content.read())
        return web.Response(body=b"heard")

    app = web.Application()
    app.router.add_post("/v1/audio/transcriptions", serve)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
        async with await client.stream(provider(url), PATH, body, content_type=FORM) as answer:
            assert [chunk async for chunk in answer] == [b"heard"]
    finally:
        await runner.cleanup()
    assert seen == [b"one ", b"two three"]


async def test_its_type_is_told_and_the_key_still_sent(
    client: UpstreamClient, upstream: OpenAIUpstream
) -> None:
    body = Body()
    body.gate.set()
    asked = Provider(id="p", name="S", endpoints=(Endpoint(upstream.url, api_key="secret"),))
    for boundary in ("a", "b"):
        content_type = f"multipart/form-data; boundary={boundary}"
        (await client.stream(asked, PATH, body, content_type=content_type)).close()
        assert upstream.last.headers["Content-Type"] == content_type
        assert upstream.last.headers["Authorization"] == "Bearer secret"
    assert upstream.last.body == b"one two three"


async def test_a_body_that_breaks_off_is_nobodys_fault_upstream(
    client: UpstreamClient, upstream: OpenAIUpstream
) -> None:
    asked, body = provider(upstream.url), Body(failing=Gone("left"))
    body.gate.set()
    with pytest.raises(Gone):
        await client.stream(asked, PATH, body, content_type=FORM)
    assert client.selector.is_healthy(asked, asked.endpoints[0])
    assert client.open_calls == 0


@pytest.mark.parametrize("again", [True, False])
async def test_only_what_is_still_there_is_sent_elsewhere(
    client: UpstreamClient, upstream: OpenAIUpstream, again: bool
) -> None:
    async with OpenAIUpstream() as other:
        for server in (upstream, other):
            server.next(Failure(503))
        body = Body(again=again)
        body.gate.set()
        call = client.stream(provider(upstream.url, other.url), PATH, body, content_type=FORM)
        if again:
            # Both fail once, then the first one answers.
            (await call).close()
        else:
            with pytest.raises(UpstreamError):
                await call
        assert len(upstream.calls) + len(other.calls) == (3 if again else 1)


async def test_an_address_that_takes_no_connection_costs_nothing(
    client: UpstreamClient, upstream: OpenAIUpstream
) -> None:
    body = Body()
    body.gate.set()
    asked = provider("http://127.0.0.1:9/v1", upstream.url)
    (await client.stream(asked, PATH, body, content_type=FORM)).close()
    assert upstream.last.body == b"one two three"


async def test_a_provider_without_an_address_says_what_it_is(client: UpstreamClient) -> None:
    with pytest.raises(UpstreamError) as caught:
        await client.complete(provider(), PATH, b"{}")
    assert (caught.value.status, caught.value.code) == (400, "unsupported_model")
