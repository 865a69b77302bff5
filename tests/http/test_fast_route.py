"""Fast routes: found before the framework, answered like every other route."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from jan_server.http.edge import create_service_app
from jan_server.http.errors import conflict
from jan_server.http.fast_route import add_fast_route


@pytest.fixture
async def caller() -> AsyncIterator[httpx.AsyncClient]:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield

    async def echo(request: Request) -> Response:
        return Response(await request.body())

    async def refuse(_: Request) -> Response:
        raise conflict("taken", param="name")

    async def break_down(_: Request) -> Response:
        raise RuntimeError("a secret detail")

    app = create_service_app("tested", title="Tested", lifespan=lifespan)
    add_fast_route(app, "/echo", echo, methods=["POST"], summary="Echo")
    add_fast_route(app, "/refuse", refuse, methods=["GET"])
    add_fast_route(app, "/break", break_down, methods=["GET"])
    add_fast_route(app, "/things/{name:path}", echo, methods=["POST"], documented=False)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://tested") as client:
        yield client


async def test_it_answers_with_the_edges_request_id(caller: httpx.AsyncClient) -> None:
    for path in ("/echo", "/things/a/b"):
        answer = await caller.post(path, content=b"hi", headers={"X-Request-Id": "mine"})
        assert (answer.status_code, answer.content) == (200, b"hi")
        assert answer.headers["x-request-id"] == "mine"


async def test_its_errors_are_answered_as_everywhere(caller: httpx.AsyncClient) -> None:
    answer = await caller.get("/refuse")
    assert (answer.status_code, answer.json()["error"]["param"]) == (409, "name")
    broken = await caller.get("/break")
    assert broken.status_code == 500
    assert "secret" not in broken.text
    assert broken.json()["request_id"]


async def test_another_method_is_not_found_and_the_route_is_documented(caller: httpx.AsyncClient) -> None:
    assert (await caller.get("/echo")).status_code == 404
    document = (await caller.get("/api/swagger/doc.json")).json()
    assert document["paths"]["/echo"]["post"]["summary"] == "Echo"
