"""Requests and responses between client and upstream over real sockets: in process and to an address."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest

from tests.gateway.conftest import Running, Start
from tests.gateway.serving import EchoService, Service, answer, free_port, read_body, serving
from tests.waiting import until

FILE = """
_format_version: "3.0"
services:
  - name: backend
    host: backend
    port: 8080
    path: /base
    read_timeout: {read_timeout}
    retries: 2
    routes:
      - {{name: stripped, paths: [/api], strip_path: true}}
      - {{name: kept, paths: [/kept], strip_path: false, preserve_host: true}}
"""

HOSTS_FILE = """
_format_version: "3.0"
services:
  - name: echo
    host: echo
    routes:
      - {name: one, hosts: [only.example], paths: [/one]}
      - {name: all, paths: [/]}
"""

Reach = Any


@pytest.fixture(params=["in process", "over http"])
async def reach(request: pytest.FixtureRequest, start: Start) -> AsyncIterator[Reach]:
    """Starts a gateway in front of a backend app: the app itself, or the app behind a socket."""
    async with AsyncExitStack() as stack:

        async def reached(app: Any, *, read_timeout: int = 60_000) -> Running:
            text = FILE.format(read_timeout=read_timeout)
            if request.param == "in process":
                return await start(text, {"backend": app})
            port = await stack.enter_async_context(serving(app))
            return await start(text, local_ports={"backend": port})

        yield reached


async def test_a_request_reaches_the_upstream_and_its_answer_the_client(
    reach: Reach, echo: EchoService
) -> None:
    echo.response_headers = [(b"x-mine", b"1"), (b"set-cookie", b"a=1"), (b"set-cookie", b"b=2")]
    gateway = await reach(echo)
    reply = await gateway.ask(
        "POST",
        "/api/a%2Fb/c?x=1&y=%20",
        headers={"X-Client": "yes", "Connection": "x-secret", "X-Secret": "1"},
        data=b"hello",
    )
    assert reply.status == 200
    asked = reply.json
    assert (asked["method"], asked["raw_path"], asked["query"], asked["body"]) == (
        "POST",
        "/base/a%2Fb/c",
        "x=1&y=%20",
        "hello",
    )
    headers = asked["headers"]
    assert headers["host"] == "backend:8080"
    assert headers["x-client"] == "yes"
    assert "x-secret" not in headers
    assert headers["x-real-ip"] == headers["x-forwarded-for"] == "127.0.0.1"
    assert headers["x-forwarded-proto"] == "http"
    assert headers["x-forwarded-host"] == "127.0.0.1"
    assert headers["x-forwarded-port"] == str(gateway.port)
    assert headers["x-forwarded-path"] == "/api/a%2Fb/c"
    assert headers["x-forwarded-prefix"] == "/api"
    assert headers["x-kong-request-id"] == reply.headers["X-Kong-Request-Id"]
    assert reply.headers["X-Mine"] == "1"
    assert reply.headers.getall("Set-Cookie") == ["a=1", "b=2"]
    assert int(reply.headers["X-Kong-Upstream-Latency"]) >= 0
    assert int(reply.headers["X-Kong-Proxy-Latency"]) >= 0
    assert reply.headers["Via"] == "1.1 jan-gateway"


async def test_letters_beyond_ascii_in_headers_arrive(reach: Reach, echo: EchoService) -> None:
    gateway = await reach(echo)
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    head = "GET /api/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Utf8: é\r\n".encode()
    writer.write(head + b"X-Latin1: \xe9\r\n\r\n")
    assert b" 200 " in await reader.readline()
    writer.close()
    assert echo.headers["x-utf8"].encode("latin-1").decode() == "é"
    assert "é" in (
        echo.headers["x-latin1"],
        echo.headers["x-latin1"].encode("latin-1").decode("utf-8", "replace"),
    )


async def test_a_route_may_keep_the_path_and_the_host(reach: Reach, echo: EchoService) -> None:
    gateway = await reach(echo)
    asked = (await gateway.get("/kept/x", Host="public.example")).json
    assert asked["path"] == "/base/kept/x"
    assert asked["headers"]["host"] == "public.example"
    assert "x-forwarded-prefix" not in asked["headers"]


async def test_a_claimed_address_is_not_believed(reach: Reach, echo: EchoService) -> None:
    gateway = await reach(echo)
    headers = (
        await gateway.get("/api/", X_Real_IP="9.9.9.9", X_Forwarded_For="9.9.9.9", X_Forwarded_Proto="https")
    ).json["headers"]
    assert headers["x-real-ip"] == "127.0.0.1"
    assert headers["x-forwarded-for"] == "9.9.9.9, 127.0.0.1"
    assert headers["x-forwarded-proto"] == "http"


async def test_no_client_can_say_who_it_is(reach: Reach, echo: EchoService) -> None:
    gateway = await reach(echo)
    forged = {
        "X-User-ID": "1",
        "X-User-Subject": "root",
        "X_User_Id": "1",
        "X-Consumer-ID": "1",
        "X-Consumer-Groups": "admin",
        "X-Credential-Identifier": "1",
        "X-Anonymous-Consumer": "false",
        "X-Auth-Method": "apikey",
        "X-Jan-Identity": "forged",
        "X-Jan-Anything": "1",
        "X-Principal-Id": "1",
        "X-Scopes": "all",
        "X-Gateway-Auth": "kong",
    }
    headers = (await gateway.ask("GET", "/api/", headers=forged)).json["headers"]
    assert not {name.lower() for name in forged} & set(headers)
    assert not [name for name in headers if name.replace("_", "-").startswith("x-user")]


async def test_unknown_routes_are_told_in_kongs_words_and_in_openais(reach: Reach, echo: EchoService) -> None:
    gateway = await reach(echo)
    reply = await gateway.get("/nowhere")
    assert reply.status == 404
    body = reply.json
    assert body["message"] == body["error"]["message"] == "no Route matched with those values"
    assert body["error"]["code"] == body["code"] == "route_not_found"
    assert body["request_id"] == reply.headers["X-Kong-Request-Id"]
    assert "X-Kong-Response-Latency" in reply.headers
    assert echo.asked == 0


async def test_two_credentials_in_one_header_are_refused(reach: Reach, echo: EchoService) -> None:
    gateway = await reach(echo)
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.write(b"GET /api/ HTTP/1.1\r\nHost: x\r\nAuthorization: a\r\nAuthorization: b\r\n\r\n")
    assert b" 400 " in await reader.readline()
    writer.close()
    assert echo.asked == 0


async def test_frames_of_a_stream_arrive_one_by_one(reach: Reach) -> None:
    permits = asyncio.Semaphore(0)

    async def stream(scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        for number in range(5):
            await permits.acquire()
            await send({"type": "http.response.body", "body": b"data: %d\n\n" % number, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    gateway = await reach(Service(stream))
    async with gateway.session.get(f"{gateway.url}/api/stream") as response:
        assert response.headers["Content-Type"] == "text/event-stream"
        for number in range(5):
            permits.release()
            assert await response.content.readuntil(b"\n\n") == b"data: %d\n\n" % number
        assert await response.content.read() == b""


async def test_an_upload_arrives_piece_by_piece(reach: Reach) -> None:
    arrived: asyncio.Queue[bytes] = asyncio.Queue()

    async def collect(scope: Any, receive: Any, send: Any) -> None:
        while True:
            message = await receive()
            if message.get("body"):
                await arrived.put(message["body"])
            if not message.get("more_body"):
                break
        await answer(send, b"{}")

    gateway = await reach(Service(collect))

    async def pieces() -> AsyncIterator[bytes]:
        for number in range(3):
            yield b"piece %d" % number
            # The next piece leaves only after this one has arrived at the upstream.
            assert await asyncio.wait_for(arrived.get(), 5) == b"piece %d" % number

    assert (await gateway.ask("POST", "/api/upload", data=pieces())).status == 200


async def test_a_client_that_goes_away_ends_the_upstreams_work(reach: Reach) -> None:
    ended = asyncio.Event()

    async def endless(scope: Any, receive: Any, send: Any) -> None:
        await read_body(receive)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"begun", "more_body": True})
        while (await receive())["type"] != "http.disconnect":
            pass
        ended.set()

    gateway = await reach(Service(endless))
    response = await gateway.session.post(f"{gateway.url}/api/endless", data=b"x")
    assert await response.content.readany() == b"begun"
    response.close()
    await asyncio.wait_for(ended.wait(), 5)


async def test_a_client_that_goes_away_before_the_answer_ends_the_upstreams_work(reach: Reach) -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def silent(scope: Any, receive: Any, send: Any) -> None:
        begun.set()
        while (await receive())["type"] != "http.disconnect":
            pass
        ended.set()

    gateway = await reach(Service(silent))
    asking = asyncio.create_task(gateway.get("/api/silent"))
    await asyncio.wait_for(begun.wait(), 5)
    asking.cancel()
    await asyncio.wait_for(ended.wait(), 5)
    await until(lambda: gateway.gateway.status()["open_requests"] == 0)


async def test_an_upstream_that_says_nothing_is_a_504(reach: Reach) -> None:
    async def silent(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.Event().wait()

    gateway = await reach(Service(silent), read_timeout=60)
    reply = await gateway.get("/api/silent")
    assert (reply.status, reply.json["message"]) == (504, "The upstream server is timing out")
    assert reply.json["error"]["code"] == "upstream_timeout"


async def test_a_long_stream_is_not_a_silent_one(reach: Reach) -> None:
    async def slow(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(3):
            await asyncio.sleep(0.35)
            await send({"type": "http.response.body", "body": b".", "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    gateway = await reach(Service(slow), read_timeout=800)
    assert (await gateway.get("/api/slow")).body == b"..."


async def test_a_slow_upload_is_not_a_silent_upstream(reach: Reach, echo: EchoService) -> None:
    gateway = await reach(echo, read_timeout=600)

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(3):
            await asyncio.sleep(0.3)
            yield b"x"

    reply = await gateway.ask("POST", "/api/upload", data=pieces())
    assert (reply.status, reply.json["body"]) == (200, "xxx")


async def test_a_response_that_breaks_off_is_not_mistaken_for_a_whole_one(reach: Reach) -> None:
    async def breaking(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        raise RuntimeError("out of words")

    gateway = await reach(Service(breaking))
    with pytest.raises(Exception, match=r"payload|disconnected|Transfer") as caught:
        await gateway.get("/api/breaking")
    assert "payload" in type(caught.value).__name__.lower()


async def test_an_upstream_that_fails_before_it_answers_is_an_error(reach: Reach) -> None:
    async def failing(scope: Any, receive: Any, send: Any) -> None:
        raise RuntimeError("secret words")

    gateway = await reach(Service(failing))
    reply = await gateway.get("/api/failing")
    assert reply.status in (500, 502)
    assert b"secret" not in reply.body


async def test_head_and_empty_answers_have_no_body(reach: Reach) -> None:
    async def empty(scope: Any, receive: Any, send: Any) -> None:
        if scope["method"] == "HEAD":
            await answer(send, b"", headers=[(b"content-length", b"5")])
        else:
            await answer(send, b"", status=204, headers=[])

    gateway = await reach(Service(empty))
    head = await gateway.ask("HEAD", "/api/x")
    assert (head.status, head.headers["Content-Length"], head.body) == (200, "5", b"")
    assert (await gateway.ask("DELETE", "/api/x")).status == 204


async def test_compressed_answers_pass_untouched(reach: Reach) -> None:
    import gzip

    packed = gzip.compress(b"words " * 100)

    async def zipped(scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"content-encoding", b"gzip"), (b"content-length", str(len(packed)).encode())]
        await answer(send, packed, headers=headers)

    gateway = await reach(Service(zipped))
    async with gateway.session.get(f"{gateway.url}/api/z", auto_decompress=False) as response:
        assert response.headers["Content-Encoding"] == "gzip"
        assert await response.read() == packed


async def test_a_service_of_the_stack_that_does_not_run_is_named(start: Start) -> None:
    gateway = await start(FILE.format(read_timeout=60_000), local_ports={"backend": free_port()})
    reply = await gateway.get("/api/x")
    assert (reply.status, reply.json["message"]) == (503, "the service backend is not running")


async def test_a_foreign_upstream_that_refuses_is_a_502_and_an_unknown_name_a_503(start: Start) -> None:
    gateway = await start(
        f"""
        _format_version: "3.0"
        services:
          - {{name: a, url: "http://127.0.0.1:{free_port()}/", routes: [{{paths: [/refuses]}}]}}
          - {{name: b, url: "http://nowhere.invalid/", routes: [{{paths: [/unknown]}}]}}
        """
    )
    assert (await gateway.get("/refuses")).status == 502
    unknown = await gateway.get("/unknown")
    assert (unknown.status, unknown.json["message"]) == (503, "name resolution failed")


async def test_a_target_that_refuses_is_skipped_and_the_others_take_turns_by_weight(start: Start) -> None:
    heavy, light = EchoService("heavy"), EchoService("light")
    async with serving(heavy) as first, serving(light) as second:
        gateway = await start(
            f"""
            _format_version: "3.0"
            services: [{{name: a, host: pool, retries: 2, routes: [{{paths: [/]}}]}}]
            upstreams:
              - name: pool
                targets:
                  - {{target: "127.0.0.1:{first}", weight: 2}}
                  - {{target: "127.0.0.1:{free_port()}", weight: 1}}
                  - {{target: "127.0.0.1:{second}", weight: 1}}
            """
        )
        for _ in range(12):
            assert (await gateway.ask("POST", "/", data=b"once")).json["body"] == "once"
    assert heavy.asked + light.asked == 12
    assert heavy.asked >= light.asked >= 3


async def test_a_request_that_may_have_been_acted_on_is_not_sent_twice(start: Start) -> None:
    seen: list[bytes] = []

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.readuntil(b"\r\n\r\n"))
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    text = f"""
    _format_version: "3.0"
    services: [{{name: a, url: "http://127.0.0.1:{port}", retries: 3, routes: [{{paths: [/]}}]}}]
    """
    gateway = await start(text)
    assert (await gateway.ask("POST", "/", data=b"pay")).status == 502
    assert len(seen) == 1
    assert (await gateway.get("/")).status == 502
    assert len(seen) > 2
    server.close()


async def test_plain_http_on_a_route_for_https(start: Start, echo: EchoService) -> None:
    gateway = await start(
        """
        _format_version: "3.0"
        services:
          - name: a
            host: backend
            routes:
              - {name: strict, paths: [/strict], protocols: [https]}
              - {name: moved, paths: [/moved], protocols: [https], https_redirect_status_code: 301}
        """,
        {"backend": echo},
    )
    strict = await gateway.get("/strict")
    assert (strict.status, strict.headers["Upgrade"]) == (426, "TLS/1.2, HTTP/1.1")
    moved = await gateway.get("/moved/x?y=1", Host="a.example:8000")
    assert (moved.status, moved.headers["Location"]) == (301, "https://a.example/moved/x?y=1")
    assert echo.asked == 0


async def test_a_trusted_proxy_tells_the_clients_address(start: Start, echo: EchoService) -> None:
    from jan_server.gateway.plugins.ip_restriction import read_networks

    gateway = await start(
        FILE.format(read_timeout=60_000),
        {"backend": echo},
        trusted=read_networks(["127.0.0.0/8"], "trusted_ips"),
    )
    told = {"X-Real-IP": "203.0.113.7", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "public.example"}
    asked = (await gateway.ask("GET", "/api/", headers=told)).json
    assert asked["client"][0] == "203.0.113.7"
    assert asked["headers"]["x-real-ip"] == "203.0.113.7"
    assert asked["headers"]["x-forwarded-proto"] == "https"
    assert asked["headers"]["x-forwarded-host"] == "public.example"


@pytest.mark.parametrize(
    "host",
    ["a:\xb2", "a:" + "1" * 5000, "a:b", "a b", "u@a", "a/b", "[::1", "a:1:2"],
    ids=lambda host: host[:8],
)
async def test_a_host_that_is_none_is_refused(start: Start, echo: EchoService, host: str) -> None:
    gateway = await start(HOSTS_FILE, {"echo": echo})
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.write(b"GET /x HTTP/1.1\r\nHost: " + host.encode("latin-1") + b"\r\nConnection: close\r\n\r\n")
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    assert head.startswith(b"HTTP/1.1 400 "), head
    assert b"invalid_host" in body
    assert echo.asked == 0


@pytest.mark.parametrize(
    "host", ["a", "a:", "a:80", "a.example:8000", "[::1]", "[::1]:8000", "b\xfccher.example"]
)
async def test_a_host_with_or_without_a_port_is_taken(start: Start, echo: EchoService, host: str) -> None:
    gateway = await start(HOSTS_FILE, {"echo": echo})
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.write(b"GET /x HTTP/1.1\r\nHost: " + host.encode("latin-1") + b"\r\nConnection: close\r\n\r\n")
    assert (await reader.read()).startswith(b"HTTP/1.1 200 ")
    writer.close()
