"""Request bodies have a greatest size, whether they say how long they are or not."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from fastapi import FastAPI, Request

from jan_server.http.edge import create_service_app
from jan_server.http.fast_route import add_fast_route
from jan_server.http.json_body import OrjsonResponse
from tests.gateway.serving import serving

MEGABYTE = 2**20


def make_app(largest: int | None) -> FastAPI:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield

    app = create_service_app("sample", title="Sample", lifespan=lifespan, largest_body_mb=largest)

    async def size(request: Request) -> OrjsonResponse:
        return OrjsonResponse(len(await request.body()))

    app.add_api_route("/plain", size, methods=["POST"])
    add_fast_route(app, "/fast", size, methods=["POST"])

    @app.post("/parsed")
    async def parsed(body: dict[str, str]) -> int:
        return len(body)

    return app


async def pieces(count: int) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield b"x" * (MEGABYTE // 4)


@pytest.mark.parametrize("path", ["/plain", "/fast", "/parsed"])
@pytest.mark.parametrize("streamed", [False, True])
async def test_a_larger_body_is_refused(client: aiohttp.ClientSession, path: str, streamed: bool) -> None:
    async with serving(make_app(1)) as port:
        data = pieces(5) if streamed else b"x" * (MEGABYTE + 1)
        headers = {"Content-Type": "application/json", "X-Request-Id": "req-1"}
        async with client.post(f"http://127.0.0.1:{port}{path}", data=data, headers=headers) as answer:
            assert answer.status == 413
            body = await answer.json()
    assert (body["code"], body["request_id"]) == ("request_too_large", "req-1")


@pytest.mark.parametrize("path", ["/plain", "/fast"])
@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(("largest", "count"), [(1, 4), (None, 8)])
async def test_what_fits_comes_in(
    client: aiohttp.ClientSession, path: str, streamed: bool, largest: int | None, count: int
) -> None:
    async with serving(make_app(largest)) as port:
        data = pieces(count) if streamed else b"x" * (MEGABYTE // 4 * count)
        async with client.post(f"http://127.0.0.1:{port}{path}", data=data) as answer:
            assert (answer.status, await answer.json()) == (200, MEGABYTE // 4 * count)
