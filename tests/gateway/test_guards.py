"""The small plugins that guard or mark requests: sizes, addresses, terminations and correlation ids."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest

from jan_server.gateway.plugins.ip_restriction import read_networks, within
from tests.gateway.conftest import Running, Start
from tests.gateway.serving import EchoService, Service, answer, serving


def file(plugins: str) -> str:
    return f"""
    _format_version: "3.0"
    services: [{{name: a, host: a, routes: [{{name: r, paths: [/a]}}]}}]
    plugins: {plugins}
    """


async def guarded(start: Start, name: str, config: str, echo: Any) -> Running:
    return await start(file(f"[{{name: {name}, config: {config}}}]"), {"a": echo})


SMALL = "{allowed_payload_size: 10, size_unit: bytes}"


async def test_an_announced_body_that_is_too_large_never_reaches_the_upstream(
    start: Start, echo: EchoService
) -> None:
    gateway = await guarded(start, "request-size-limiting", SMALL, echo)
    assert (await gateway.ask("POST", "/a", data=b"x" * 10)).status == 200
    refused = await gateway.ask("POST", "/a", data=b"x" * 11)
    assert (refused.status, refused.json["code"]) == (413, "request_too_large")
    assert refused.json["message"].startswith("Request size limit exceeded")
    assert echo.asked == 1


@pytest.mark.parametrize("reach", ["in process", "over http"])
async def test_a_streamed_body_is_refused_where_it_becomes_too_large(start: Start, reach: str) -> None:
    read: list[bytes] = []

    async def reader(scope: Any, receive: Any, send: Any) -> None:
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise RuntimeError("the client went away")
            read.append(message["body"])
            if not message.get("more_body"):
                break
        await answer(send, b"{}")

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b"x" * 8
            await asyncio.sleep(0)

    text = file(f"[{{name: request-size-limiting, config: {SMALL}}}]")
    app = Service(reader)
    if reach == "in process":
        refused = await (await start(text, {"a": app})).ask("POST", "/a", data=pieces())
    else:
        async with serving(app) as port:
            gateway = await start(text, local_ports={"a": port})
            refused = await gateway.ask("POST", "/a", data=pieces())
    assert (refused.status, refused.json["code"]) == (413, "request_too_large")
    assert sum(map(len, read)) <= 10


async def test_an_app_that_words_its_own_failure_does_not_hide_the_refusal(start: Start) -> None:
    async def catching(scope: Any, receive: Any, send: Any) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        await answer(send, b"my own words", status=500)

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(4):
            yield b"x" * 8

    gateway = await guarded(start, "request-size-limiting", SMALL, Service(catching))
    assert (await gateway.ask("POST", "/a", data=pieces())).status == 413


async def test_a_length_may_be_demanded(start: Start, echo: EchoService) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"x"

    gateway = await guarded(start, "request-size-limiting", "{require_content_length: true}", echo)
    assert (await gateway.ask("POST", "/a", data=pieces())).status == 411
    assert (await gateway.get("/a")).status == 200


@pytest.mark.parametrize(
    ("config", "status"),
    [
        ("{deny: [127.0.0.1]}", 403),
        ("{deny: [127.0.0.0/8], allow: [127.0.0.1]}", 403),
        ("{allow: [10.0.0.0/8]}", 403),
        ("{allow: [10.0.0.0/8, 127.0.0.1]}", 200),
        ("{deny: [10.0.0.0/8]}", 200),
        ("{allow: ['::1'], status: 451, message: Not from here}", 451),
    ],
)
async def test_addresses(start: Start, echo: EchoService, config: str, status: int) -> None:
    gateway = await guarded(start, "ip-restriction", config, echo)
    reply = await gateway.get("/a")
    assert reply.status == status
    if status == 403:
        assert reply.json["message"] == "Your IP address is not allowed"
    if status == 451:
        assert reply.json["message"] == "Not from here"


def test_an_address_may_be_written_as_ipv6() -> None:
    networks = read_networks(["10.0.0.0/8", "2001:db8::/32"], "allow")
    assert within("::ffff:10.1.2.3", networks)
    assert within("2001:db8::7", networks)
    assert not within("11.0.0.1", networks)
    assert not within("nonsense", networks)


@pytest.mark.parametrize(
    ("config", "status", "message"),
    [
        ("{}", 503, "Service unavailable"),
        ("{status_code: 401}", 401, "Unauthorized"),
        ("{status_code: 403, message: So long}", 403, "So long"),
        ("{status_code: 499}", 499, "Request terminated"),
        ("{status_code: 200, message: fine}", 200, "fine"),
    ],
)
async def test_terminations(start: Start, echo: EchoService, config: str, status: int, message: str) -> None:
    gateway = await guarded(start, "request-termination", config, echo)
    reply = await gateway.get("/a")
    assert (reply.status, reply.json["message"]) == (status, message)
    assert ("error" in reply.json) is (status >= 400)
    assert echo.asked == 0


async def test_a_termination_may_have_a_body_of_its_own(start: Start, echo: EchoService) -> None:
    config = "{status_code: 418, body: '<p>tea</p>', content_type: text/html}"
    reply = await (await guarded(start, "request-termination", config, echo)).get("/a")
    assert (reply.status, reply.body, reply.headers["Content-Type"]) == (418, b"<p>tea</p>", "text/html")


async def test_a_termination_may_wait_for_its_trigger_and_echo(start: Start, echo: EchoService) -> None:
    config = "{status_code: 200, trigger: X-Stop, echo: true, message: seen}"
    gateway = await guarded(start, "request-termination", config, echo)
    await gateway.get("/a")
    assert echo.asked == 1
    told = (await gateway.ask("POST", "/a/b?c=1", headers={"X-Stop": "1"}, data=b'{"d":2}')).json
    assert told["message"] == "seen"
    assert (told["request"]["path"], told["request"]["query"], told["request"]["body"]) == (
        "/a/b",
        {"c": "1"},
        {"d": 2},
    )
    assert told["matched_route"] == {"name": "r"}
    assert (await gateway.get("/a?X-Stop=1")).json["message"] == "seen"
    assert echo.asked == 1


UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"


@pytest.mark.parametrize(
    ("generator", "form"),
    [
        ("uuid", UUID),
        ("uuid#counter", UUID + r"#\d+"),
        ("tracker", r"127\.0\.0\.1-\d+-\d+-\d+-\d+-\d+\.\d{3}"),
    ],
)
async def test_a_request_without_an_id_gets_one(
    start: Start, echo: EchoService, generator: str, form: str
) -> None:
    config = f"{{header_name: X-Request-Id, generator: '{generator}', echo_downstream: true}}"
    gateway = await guarded(start, "correlation-id", config, echo)
    first, second = await gateway.get("/a"), await gateway.get("/a")
    assert re.fullmatch(form, first.headers["X-Request-Id"])
    assert first.headers["X-Request-Id"] != second.headers["X-Request-Id"]
    assert echo.headers["x-request-id"] == second.headers["X-Request-Id"]


async def test_a_clients_id_is_kept_when_it_can_be_one(start: Start, echo: EchoService) -> None:
    echo.response_headers = [(b"x-request-id", b"the upstream's own")]
    config = "{header_name: X-Request-Id, echo_downstream: true}"
    gateway = await guarded(start, "correlation-id", config, echo)
    kept = await gateway.get("/a", X_Request_Id="my-id")
    assert kept.headers.getall("X-Request-Id") == ["my-id"]
    assert echo.headers["x-request-id"] == "my-id"
    replaced = await gateway.get("/a", X_Request_Id="no id " + "x" * 200)
    assert "no id" not in replaced.headers["X-Request-Id"]
    assert echo.headers["x-request-id"] == replaced.headers["X-Request-Id"]


async def test_a_request_without_a_route_has_an_id_too(start: Start, echo: EchoService) -> None:
    config = "{header_name: X-Request-Id, generator: uuid, echo_downstream: true}"
    reply = await (await guarded(start, "correlation-id", config, echo)).get("/nowhere")
    assert reply.json["request_id"] == reply.headers["X-Request-Id"]


async def test_an_id_is_not_told_unless_asked_for(start: Start, echo: EchoService) -> None:
    reply = await (await guarded(start, "correlation-id", "{}", echo)).get("/a")
    assert "Kong-Request-ID" not in reply.headers
    assert "kong-request-id" in echo.headers
