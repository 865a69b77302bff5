"""What the service says about itself, through the gateway: its pages, probes and version."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import httpx
import pytest

from tests.services.llm_api.through_gateway.stack import Visitor, WholeStack

HTML = {"Accept": "text/html"}


@pytest.fixture
def anybody(stack: WholeStack) -> Visitor:
    """Somebody without a credential who asks below no prefix: these pages are at the root alone."""
    return stack.visitor


@pytest.mark.route("GET /", "HEAD /")
async def test_the_front_page_leads_on(stack: WholeStack, anybody: Visitor) -> None:
    assert (await anybody.get("/"))["base_url"] == f"{stack.gateway}/v1"
    assert "/auth/guest-login" in (await anybody.send("GET", "/", headers=HTML)).text
    assert (await anybody.send("HEAD", "/")).content == b""


@pytest.mark.route(
    "GET /api/swagger",
    "GET /api/swagger/index.html",
    "GET /api/swagger/oauth2-redirect",
    "GET /api/swagger/assets/{path}",
    "GET /api/swagger/doc.json",
    "HEAD /api/swagger/doc.json",
)
async def test_the_documentation_needs_nothing_but_the_gateway(anybody: Visitor) -> None:
    page = (await anybody.send("GET", "/api/swagger")).text
    assert "/api/swagger/doc.json" in page and "cdn." not in page
    assert (
        "text/javascript"
        in (await anybody.send("GET", "/api/swagger/assets/swagger-ui-bundle.js")).headers["content-type"]
    )
    index = await anybody.send("GET", "/api/swagger/index.html", status=307)
    assert index.headers["location"] == "/api/swagger"
    await anybody.send("GET", "/api/swagger/oauth2-redirect")
    document = await anybody.get("/api/swagger/doc.json")
    assert document["openapi"].startswith("3.") and len(document["paths"]) > 60
    assert (await anybody.send("HEAD", "/api/swagger/doc.json")).content == b""


@pytest.mark.route("GET /healthz", "GET /readyz")
async def test_probes_need_no_credential(visitor: Visitor) -> None:
    assert await visitor.get("/healthz") == {"status": "ok"}
    assert (await visitor.get("/readyz"))["status"] == "ready"


@pytest.mark.route("GET /v1/version", "GET /v1/healthz", "GET /v1/readyz")
async def test_callers_ask_for_version_and_health(ann: Visitor) -> None:
    version = await ann.get("/v1/version")
    assert version.keys() == {"version", "env_reloaded_at"}
    assert datetime.fromisoformat(version["env_reloaded_at"]).tzinfo is not None
    assert await ann.get("/v1/healthz") == {"status": "ok"}
    assert (await ann.get("/v1/readyz"))["status"] == "ready"


@pytest.mark.route("GET /healthcheck")
async def test_what_operators_read_is_not_shown_to_the_world(anybody: Visitor, user_token: str) -> None:
    prefixed = replace(anybody, mount="/llm")
    refused = await anybody.get("/healthcheck", status=404)
    assert refused["message"] == "no Route matched with those values"
    await prefixed.get("/healthcheck", status=401)
    assert await prefixed.with_token(user_token).get("/healthcheck") == "ok"


@pytest.mark.route("GET /metrics")
async def test_metrics_are_read_at_the_services_own_port_alone(
    stack: WholeStack, visitor: Visitor, user_token: str, admin_token: str
) -> None:
    for caller in (visitor, visitor.with_token(user_token), visitor.with_token(admin_token)):
        refused = await caller.get("/metrics", status=404)
        assert refused["message"] == "no Route matched with those values"
    own_port = httpx.ASGITransport(app=stack.llm_api)
    async with httpx.AsyncClient(transport=own_port, base_url="http://llm-api") as operator:
        answer = await Visitor(operator, stack.visitor.asked).send("GET", "/metrics")
    assert "jan_llm_api_requests_total" in answer.text
