"""Answers that are larger than they may be are given up, before they lie in memory as a whole."""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
import orjson
import pytest
from aiohttp import web

from jan_server.inference.client import UpstreamClient
from jan_server.inference.provider import Endpoint, Provider
from jan_server.inference.upstream_errors import UpstreamError
from tests.doubles.openai_upstream import Call, Custom, Failure, OpenAIUpstream, Raw

PATH = "/embeddings"
BODY = orjson.dumps({"model": "scripted-model", "input": "Hi"})
LARGEST = 10_240
"""Bytes that the client takes here."""


@pytest.fixture
async def upstream() -> AsyncIterator[OpenAIUpstream]:
    async with OpenAIUpstream() as server:
        yield server


@pytest.fixture
def provider(upstream: OpenAIUpstream) -> Provider:
    return Provider(id="prov_test", name="Scripted", endpoints=(Endpoint(upstream.url),))


@pytest.fixture
async def client() -> AsyncIterator[UpstreamClient]:
    async with aiohttp.ClientSession() as session:
        yield UpstreamClient(session, largest_answer_mb=LARGEST / 2**20)


class Endless:
    """Writes until the caller leaves, without a length."""

    def __init__(self) -> None:
        self.written = 0

    async def respond(self, request: web.Request, call: Call) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        while True:
            await response.write(b"x" * 1024)
            self.written += 1024


@pytest.mark.parametrize("size", [1, LARGEST])
async def test_answers_up_to_the_limit_pass_and_keep_their_connection(
    client: UpstreamClient, upstream: OpenAIUpstream, provider: Provider, size: int
) -> None:
    for _ in range(2):
        upstream.next(Raw(b"x" * size), Raw(b"x" * size))
        assert len((await client.complete(provider, PATH, BODY)).body) == size
        async with await client.stream(provider, PATH, BODY) as stream:
            assert sum([len(chunk) async for chunk in stream]) == size
    assert client.open_calls == 0


async def test_a_larger_answer_is_refused_by_its_announced_length(
    client: UpstreamClient, upstream: OpenAIUpstream, provider: Provider
) -> None:
    for ask in (client.complete, client.stream):
        upstream.next(Raw(b"x" * (LARGEST + 1)))
        with pytest.raises(UpstreamError) as refused:
            await ask(provider, PATH, BODY)
        assert (refused.value.status, refused.value.code) == (502, "upstream_answer_too_large")
        assert "JAN_MAX_RESPONSE_MB" in refused.value.message
    assert client.open_calls == 0
    assert client.selector.is_healthy(provider, provider.endpoints[0])


async def test_an_answer_without_a_length_is_left_at_the_limit(
    client: UpstreamClient, upstream: OpenAIUpstream, provider: Provider
) -> None:
    for streamed in (False, True):
        endless = Endless()
        upstream.next(Custom(endless.respond))
        with pytest.raises(UpstreamError) as refused:
            if not streamed:
                await client.complete(provider, PATH, BODY)
            else:
                passed = 0
                async with await client.stream(provider, PATH, BODY) as stream:
                    async for chunk in stream:
                        passed += len(chunk)
                        assert passed <= LARGEST
        assert refused.value.code == "upstream_answer_too_large"
        await upstream.wait_until(lambda: upstream.live == 0)
        # What the sockets hold is beyond the reader's will.
        assert endless.written < 16 * 2**20
    assert client.open_calls == 0


async def test_of_a_large_error_the_beginning_is_enough(
    client: UpstreamClient, upstream: OpenAIUpstream, provider: Provider
) -> None:
    upstream.next(Failure(status=400, raw=b"too bad " * 100_000, content_type="text/plain"))
    with pytest.raises(UpstreamError) as refused:
        await client.complete(provider, PATH, BODY)
    assert refused.value.status == 400
    assert refused.value.message.startswith("too bad too bad")
    assert client.open_calls == 0
