"""The two transformer plugins: what they change on the way up and on the way down."""

from __future__ import annotations

from typing import Any

import orjson

from tests.gateway.conftest import Running, Start
from tests.gateway.serving import EchoService, Service, answer


def file(plugin: str, config: str) -> str:
    return f"""
    _format_version: "3.0"
    services:
      - name: a
        host: a
        routes:
          - {{name: r, paths: ["~/a(?<rest>/.*)?"], strip_path: false}}
    plugins: [{{name: {plugin}, config: {config}}}]
    """


async def transforming(start: Start, config: str, echo: EchoService) -> Running:
    return await start(file("request-transformer", config), {"a": echo})


async def test_headers_on_the_way_up(start: Start, echo: EchoService) -> None:
    gateway = await transforming(
        start,
        """{
          remove: {headers: [X-Gone]},
          rename: {headers: ["X-Old:X-New"]},
          replace: {headers: ["X-There:replaced", "X-Absent:never"]},
          add: {headers: ["X-There:never", "X-Added:a:b", "X-Agent:$(headers.user_agent)/$(query_params.q)"]},
          append: {headers: ["X-More:two"]}
        }""",
        echo,
    )
    sent = {"X-Gone": "1", "X-Old": "old", "X-There": "1", "X-More": "one", "User-Agent": "ua"}
    await gateway.ask("GET", "/a?q=x%0d%0aX-Injected:%201", headers=sent)
    headers = echo.headers
    assert "x-gone" not in headers
    assert (headers["x-new"], headers["x-there"], headers["x-added"]) == ("old", "replaced", "a:b")
    assert headers["x-agent"] == "ua/x  X-Injected: 1"
    assert headers["x-more"] == "two"
    assert not {"x-old", "x-absent", "x-injected"} & set(headers)


async def test_headers_that_are_only_added_do_not_replace_the_clients(
    start: Start, echo: EchoService
) -> None:
    gateway = await transforming(start, '{add: {headers: ["X-A:gateway", "X-B:gateway"]}}', echo)
    await gateway.get("/a", X_A="client")
    assert (echo.headers["x-a"], echo.headers["x-b"]) == ("client", "gateway")


async def test_query_path_and_method(start: Start, echo: EchoService) -> None:
    gateway = await transforming(
        start,
        """{
          http_method: put,
          remove: {querystring: [a]},
          rename: {querystring: ["b:c"]},
          add: {querystring: ["d:4"]},
          replace: {uri: "/v2$(uri_captures.rest)/$(headers['x-part'])"}
        }""",
        echo,
    )
    await gateway.get("/a/b%2Fc?a=1&b=2&d=3&e=5", X_Part="../p q")
    assert (echo.last["method"], echo.last["raw_path"]) == ("PUT", "/v2/p%20q")
    assert echo.last["query"] == "c=2&d=3&e=5"


async def test_json_and_form_bodies(start: Start, echo: EchoService) -> None:
    gateway = await transforming(
        start,
        """{
          remove: {body: [a]}, rename: {body: ["b:c"]}, replace: {body: ["d:4"]},
          add: {body: ["e:$(headers.x_e)"]}, append: {body: ["f:6"]}
        }""",
        echo,
    )
    json_headers = {"Content-Type": "application/json", "X-E": "5"}
    sent = orjson.dumps({"a": 1, "b": {"deep": [1]}, "d": 3, "f": 5})
    await gateway.ask("POST", "/a", headers=json_headers, data=sent)
    assert orjson.loads(echo.last["body"]) == {"c": {"deep": [1]}, "d": "4", "e": "5", "f": [5, "6"]}

    form_headers = {"Content-Type": "application/x-www-form-urlencoded", "X-E": "5"}
    await gateway.ask("POST", "/a", headers=form_headers, data=b"a=1&b=2&d=3&f=5")
    assert echo.last["body"] == "c=2&f=5&d=4&e=5&f=6"

    await gateway.ask("POST", "/a", headers={"Content-Type": "text/plain"}, data=b"a=1")
    assert echo.last["body"] == "a=1"
    await gateway.ask("POST", "/a", headers=json_headers, data=b"not json")
    assert echo.last["body"] == "not json"


async def test_headers_on_the_way_down(start: Start, echo: EchoService) -> None:
    echo.response_headers = [(b"x-gone", b"1"), (b"x-old", b"old"), (b"x-there", b"1"), (b"x-more", b"one")]
    config = """{
      remove: {headers: [X-Gone]}, rename: {headers: ["X-Old:X-New"]}, replace: {headers: ["X-There:2"]},
      add: {headers: ["X-Added:3", "X-There:never"]}, append: {headers: ["X-More:two"]}
    }"""
    gateway = await start(file("response-transformer", config), {"a": echo})
    headers = (await gateway.get("/a")).headers
    assert "X-Gone" not in headers
    assert "X-Old" not in headers
    assert (headers["X-New"], headers["X-There"], headers["X-Added"]) == ("old", "2", "3")
    assert headers.getall("X-More") == ["one", "two"]


async def test_json_bodies_on_the_way_down(start: Start) -> None:
    async def reply(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/a/text":
            await answer(send, b'{"secret":1}', headers=[(b"content-type", b"text/plain")])
            return
        headers = [(b"content-type", b"application/json"), (b"content-length", b"33")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b'{"secret":1,"old":2,', "more_body": True})
        await send({"type": "http.response.body", "body": b'"list":["x"]}'})

    config = """{
      remove: {json: [secret]}, rename: {json: ["old:new"]},
      add: {json: ["ok:true", "count:3", "text:3"], json_types: [boolean, number, string]},
      append: {json: ["list:y"]}
    }"""
    gateway = await start(file("response-transformer", config), {"a": Service(reply)})
    changed = await gateway.get("/a/json")
    assert changed.json == {"list": ["x", "y"], "new": 2, "ok": True, "count": 3, "text": "3"}
    assert int(changed.headers["Content-Length"]) == len(changed.body)
    assert (await gateway.get("/a/text")).body == b'{"secret":1}'
