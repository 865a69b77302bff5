"""Which web pages may call: the cors plugin and its profiles in the file that ships."""

from __future__ import annotations

from typing import Any

import pytest

from tests.gateway.conftest import Start
from tests.gateway.serving import EchoService


def file(config: str, extra: str = "") -> str:
    return f"""
    _format_version: "3.0"
    services: [{{name: a, host: a, routes: [{{name: r, paths: [/a]}}]}}]
    plugins:
      - {{name: cors, config: {{{config}}}}}
      {extra}
    """


PREFLIGHT = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "x-mine"}


def cors(reply: Any) -> dict[str, str]:
    prefix = "access-control-"
    return {
        name.lower().removeprefix(prefix): text
        for name, text in reply.headers.items()
        if name.lower().startswith(prefix)
    }


@pytest.mark.parametrize(
    ("origins", "origin", "allowed"),
    [
        ('["http://localhost:3000"]', "http://localhost:3000", "http://localhost:3000"),
        ('["http://a.example", "http://b.example"]', "http://b.example", "http://b.example"),
        ('["http://a.example", "http://b.example"]', "http://b.example:80", "http://b.example"),
        ('["http://a.example", "http://b.example"]', "http://b.example:81", None),
        ('["http://a.example", "http://b.example"]', "http://evil.example", None),
        ('["http://a.example", "http://b.example"]', "http://a.example.evil.org", None),
        ('["http://a.example", "http://b.example"]', "null", None),
        ("['https?://[a-z]+\\.example', x.example]", "https://sub.example", "https://sub.example"),
        ("['https?://[a-z]+\\.example', x.example]", "https://sub.example.evil.org", None),
        ("['https?://[a-z]+\\.example', x.example]", "https://x.example:444", "https://x.example:444"),
    ],
)
async def test_origins(
    start: Start, echo: EchoService, origins: str, origin: str, allowed: str | None
) -> None:
    gateway = await start(file(f"origins: {origins}, credentials: true"), {"a": echo})
    reply = await gateway.get("/a", Origin=origin)
    assert reply.status == 200
    assert cors(reply).get("allow-origin") == allowed
    assert cors(reply).get("allow-credentials") == ("true" if allowed else None)
    assert reply.headers["Vary"] == "Origin"


async def test_any_origin_comes_without_credentials(start: Start, echo: EchoService) -> None:
    gateway = await start(file("origins: ['*'], exposed_headers: [X-One, X-Two]"), {"a": echo})
    assert cors(await gateway.get("/a", Origin="http://x.example")) == {
        "allow-origin": "*",
        "expose-headers": "X-One,X-Two",
    }
    assert cors(await gateway.get("/a")) == {}


async def test_a_preflight_is_answered_by_the_gateway(start: Start, echo: EchoService) -> None:
    gateway = await start(
        file(
            "origins: ['http://a.example', 'http://b.example'], methods: [GET, POST], "
            "headers: [X-Mine], max_age: 60, credentials: true"
        ),
        {"a": echo},
    )
    headers = {**PREFLIGHT, "Origin": "http://a.example"}
    reply = await gateway.ask("OPTIONS", "/a", headers=headers)
    assert (reply.status, reply.body, echo.asked) == (200, b"", 0)
    assert cors(reply) == {
        "allow-origin": "http://a.example",
        "allow-credentials": "true",
        "allow-headers": "X-Mine",
        "allow-methods": "GET,POST",
        "max-age": "60",
    }
    # Without its headers it is no preflight.
    await gateway.ask("OPTIONS", "/a")
    assert echo.asked == 1


async def test_a_preflight_may_be_left_to_the_upstream(start: Start, echo: EchoService) -> None:
    gateway = await start(file("preflight_continue: true"), {"a": echo})
    await gateway.ask("OPTIONS", "/a", headers={**PREFLIGHT, "Origin": "http://a.example"})
    assert echo.asked == 1


async def test_headers_that_were_asked_for_are_allowed_when_none_are_listed(
    start: Start, echo: EchoService
) -> None:
    gateway = await start(file("private_network: true"), {"a": echo})
    headers = {**PREFLIGHT, "Origin": "http://a.example", "Access-Control-Request-Private-Network": "true"}
    allowed = cors(await gateway.ask("OPTIONS", "/a", headers=headers))
    assert allowed["allow-headers"] == "x-mine"
    assert allowed["allow-private-network"] == "true"
    assert "DELETE" in allowed["allow-methods"]


async def test_the_gateways_word_replaces_the_upstreams(start: Start, echo: EchoService) -> None:
    echo.response_headers = [(b"access-control-allow-origin", b"http://evil.example")]
    gateway = await start(file("origins: ['http://a.example', 'http://b.example']"), {"a": echo})
    allowed = await gateway.get("/a", Origin="http://a.example")
    assert allowed.headers.getall("Access-Control-Allow-Origin") == ["http://a.example"]
    assert cors(await gateway.get("/a", Origin="http://evil.example")) == {}


async def test_a_page_can_read_why_it_was_refused(start: Start, echo: EchoService) -> None:
    refusal = "- {name: request-termination, config: {status_code: 401}}"
    gateway = await start(file("origins: ['http://a.example', 'http://b.example']", refusal), {"a": echo})
    reply = await gateway.get("/a", Origin="http://a.example")
    assert (reply.status, cors(reply)["allow-origin"]) == (401, "http://a.example")
    unknown = await gateway.get("/nowhere", Origin="http://a.example")
    assert (unknown.status, cors(unknown)["allow-origin"]) == (404, "http://a.example")
