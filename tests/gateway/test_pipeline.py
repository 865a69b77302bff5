"""Which entity of a plugin runs: the most narrowly attached one, for routes and for consumers."""

from __future__ import annotations

import orjson
import pytest

from tests.gateway.conftest import Start
from tests.gateway.realm import Realm
from tests.gateway.serving import EchoService

FILE = """
_format_version: "3.0"
consumers:
  - username: realm
    jwt_secrets: [{key: "ISSUER", algorithm: RS256, rsa_public_key: KEY}]
services:
  - name: one
    host: a
    routes:
      - {name: one-a, paths: [/one/a]}
      - {name: one-b, paths: [/one/b]}
  - name: two
    host: a
    routes: [{name: two-a, paths: [/two/a]}]
plugins:
  - {name: jwt, route: one-a}
  - {name: jwt, route: two-a}
PLUGINS
"""

PLACES = {
    "everywhere": "",
    "service": "service: one, ",
    "route": "route: one-a, ",
    "service and route": "service: one, route: one-a, ",
    "consumer": "consumer: realm, ",
    "consumer and service": "consumer: realm, service: one, ",
    "consumer and route": "consumer: realm, route: one-a, ",
    "consumer, service and route": "consumer: realm, service: one, route: one-a, ",
}
KONGS_ORDER = [
    "consumer, service and route",
    "consumer and route",
    "consumer and service",
    "service and route",
    "consumer",
    "route",
    "service",
    "everywhere",
]


@pytest.mark.parametrize("position", range(len(KONGS_ORDER)))
async def test_the_narrowest_entity_runs_and_the_others_do_not(
    start: Start, realm: Realm, echo: EchoService, position: int
) -> None:
    plugins = "\n".join(
        f'  - {{name: response-transformer, {PLACES[place]}config: {{add: {{headers: ["X-Ran:{place}"]}}}}}}'
        for place in KONGS_ORDER[position:]
    )
    text = FILE.replace("PLUGINS", plugins).replace("ISSUER", realm.issuer)
    gateway = await start(text.replace("KEY", orjson.dumps(realm.public_pem).decode()), {"a": echo})

    async def ran(path: str, token: bool) -> str | None:
        reply = await gateway.ask("GET", path, headers=realm.bearer() if token else {})
        return reply.headers.get("X-Ran")

    there = set(KONGS_ORDER[position:])

    def first(*places: str) -> str | None:
        return next((place for place in KONGS_ORDER if place in there and place in places), None)

    assert await ran("/one/a", token=True) == KONGS_ORDER[position]
    assert await ran("/one/b", token=False) == first("service", "everywhere")
    assert await ran("/two/a", token=True) == first("consumer", "everywhere")


async def test_plugins_run_in_kongs_order_whatever_the_files(start: Start, echo: EchoService) -> None:
    gateway = await start(
        """
        _format_version: "3.0"
        services: [{name: a, host: a, routes: [{name: r, paths: [/a]}]}]
        plugins:
          - {name: request-termination, config: {status_code: 401}}
          - {name: rate-limiting, config: {minute: 1, limit_by: ip}}
          - {name: ip-restriction, config: {allow: [127.0.0.1]}}
          - {name: cors}
          - {name: correlation-id, config: {header_name: X-Id, echo_downstream: true}}
        """,
        {"a": echo},
    )
    assert gateway.gateway.plans.of_route["r"].names == (
        "correlation-id",
        "cors",
        "ip-restriction",
        "rate-limiting",
        "request-termination",
    )
    first, second = await gateway.get("/a"), await gateway.get("/a")
    assert (first.status, second.status) == (401, 429)
    assert first.headers["X-Id"] != second.headers["X-Id"]


async def test_a_failure_inside_the_gateway_is_told_in_the_usual_form(
    start: Start, echo: EchoService, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway = await start(
        """
        _format_version: "3.0"
        services: [{name: a, host: a, routes: [{name: r, paths: [/a]}]}]
        plugins: [{name: cors}]
        """,
        {"a": echo},
    )

    async def failing(self: object, exchange: object) -> None:
        raise RuntimeError("secret words")

    monkeypatch.setattr("jan_server.gateway.plugins.cors.Cors.access", failing)
    reply = await gateway.get("/a")
    assert (reply.status, reply.json["error"]["code"]) == (500, "internal_error")
    assert b"secret" not in reply.body
