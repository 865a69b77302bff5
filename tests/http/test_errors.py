"""Every failure of a service has the same body, and an OpenAI client can read it."""

import httpx
import pytest
from fastapi import FastAPI
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from jan_server.http.edge import create_service_app
from jan_server.http.errors import ApiError, not_found
from jan_server.http.fast_route import add_fast_route
from jan_server.http.json_body import OrjsonResponse, read_json_object


class Order(BaseModel):
    size: int


def make_app() -> FastAPI:
    from contextlib import asynccontextmanager

    @asynccontextmanager
    async def lifespan(app: FastAPI):
        yield

    app = create_service_app("sample", title="Sample", lifespan=lifespan)

    @app.get("/missing")
    async def missing() -> None:
        raise not_found("conversation not found", code="conversation_not_found")

    @app.get("/crash")
    async def crash() -> None:
        raise RuntimeError("a secret detail")

    @app.post("/orders")
    async def orders(order: Order) -> Order:
        return order

    async def echo(request: Request) -> Response:
        """Return the body."""
        return OrjsonResponse(await read_json_object(request))

    add_fast_route(app, "/echo/{name:path}", echo, methods=["POST"], summary="Echo")
    return app


@pytest.fixture
async def caller():
    transport = httpx.ASGITransport(make_app(), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
        yield client


async def test_an_error_has_openais_members_and_jans(caller):
    answer = await caller.get("/missing", headers={"X-Request-Id": "req-1"})
    assert answer.status_code == 404
    assert answer.json() == {
        "error": {
            "message": "conversation not found",
            "type": "not_found_error",
            "code": "conversation_not_found",
            "param": None,
        },
        "code": "conversation_not_found",
        "message": "conversation not found",
        "request_id": "req-1",
    }


async def test_an_unknown_path_and_a_wrong_method_are_both_404(caller):
    assert (await caller.get("/nowhere")).status_code == 404
    wrong = await caller.delete("/missing")
    assert wrong.status_code == 404
    assert "DELETE /missing" in wrong.json()["message"]


async def test_a_crash_is_a_500_that_keeps_its_details_to_the_log(caller):
    answer = await caller.get("/crash", headers={"X-Request-Id": "req-2"})
    assert answer.status_code == 500
    assert answer.json()["request_id"] == "req-2"
    assert "secret" not in answer.text


async def test_a_refused_body_names_the_field(caller):
    answer = await caller.post("/orders", json={"size": "large"})
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "size"


@pytest.mark.parametrize("body", [b"", b"   ", b"{", b'{"a":', b"nonsense", b"\xff\xfe"])
async def test_malformed_json_is_a_400(caller, body):
    answer = await caller.post("/echo/x", content=body)
    assert answer.status_code == 400
    assert answer.json()["code"] == "invalid_json"


async def test_only_the_first_json_value_of_a_body_counts(caller):
    assert (await caller.post("/echo/x", content=b'{"a": 1}} trailing')).json() == {"a": 1}


async def test_a_body_that_is_no_object_is_refused(caller):
    assert (await caller.post("/echo/x", content=b"[1]")).status_code == 400


async def test_a_request_id_is_made_when_the_callers_is_missing_or_unusable(caller):
    made = (await caller.get("/healthz")).headers["x-request-id"]
    assert len(made) == 36
    odd = await caller.get("/healthz", headers={"X-Request-Id": "x" * 500})
    assert len(odd.headers["x-request-id"]) == 36


async def test_a_fast_route_is_in_the_openapi_document(caller):
    document = (await caller.get("/api/swagger/doc.json")).json()
    assert document["paths"]["/echo/{name}"]["post"]["summary"] == "Echo"


def test_an_api_error_knows_the_usual_type_of_its_status():
    assert ApiError(429, "slow down").type == "rate_limit_error"
    assert ApiError(418, "teapot").type == "invalid_request_error"
    assert ApiError(599, "odd").type == "server_error"


async def test_the_documentation_page_needs_nothing_from_another_host(caller):
    page = await caller.get("/api/swagger/index.html", follow_redirects=True)
    assert page.status_code == 200
    assert "https://" not in page.text
    assert (await caller.get("/api/swagger/assets/swagger-ui-bundle.js")).status_code == 200


@pytest.mark.parametrize("path", ["/orders/%00", "/orders/a%0Ab", "/%7f", "/echo/a%1b"])
async def test_a_path_with_control_characters_is_refused(caller, path):
    answer = await caller.post(path, content=b"{}", headers={"X-Request-Id": "req-1"})
    assert answer.status_code == 400
    assert (answer.json()["code"], answer.json()["request_id"]) == ("invalid_path", "req-1")
    assert answer.headers["x-request-id"] == "req-1"
