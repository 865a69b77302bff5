"""What `/metrics` says about calls of models, under the names that the dashboards read."""

from __future__ import annotations

import uuid
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from tests.doubles.openai_upstream import Failure, Stream
from tests.services.llm_api.platform import Platform

MODEL = "unknown/scripted-model"
HELLO: Any = [{"role": "user", "content": "Hello"}]
CALL = {"model": MODEL, "provider": "Remote provider"}


async def values(platform: Platform) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Every sample by its name, without the prefix of all, and its labels."""
    async with platform.client() as client:
        page = (await client.get("/metrics", headers={"User-Agent": "Prometheus/3.5"})).text
    return {
        (sample.name.removeprefix("jan_llm_api_"), frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
    }


async def test_calls_are_measured(platform: Platform) -> None:
    before = await values(platform)
    async with platform.client(f"measured-{uuid.uuid4().hex[:8]}") as client:
        client.headers["User-Agent"] = "OpenAI/Python 3.57.0"
        body = {"model": MODEL, "messages": HELLO}
        assert (await client.post("/v1/chat/completions", json=body)).status_code == 200
        assert (
            await client.post("/v1/chat/completions", json=body | {"conversation": {}})
        ).status_code == 200
        platform.upstream.next(Stream(frames=9))
        assert (await client.post("/v1/chat/completions", json=body | {"stream": True})).status_code == 200
        platform.upstream.always(Failure(429, "slow down"))
        assert (await client.post("/v1/chat/completions", json=body)).status_code == 429
    after = await values(platform)

    def grown(name: str, **labels: str) -> float:
        place = (name, frozenset(labels.items()))
        return after[place] - before.get(place, 0.0)

    assert grown("tokens_prompt_total", **CALL) == 3 * 7
    assert grown("tokens_completion_total", **CALL) == 5 + 5 + 9
    assert grown("tokens_per_request_count", model=MODEL, type="prompt") == 3
    assert grown("tokens_per_request_bucket", model=MODEL, type="completion", le="10.0") == 3
    assert grown("llm_duration_seconds_count", **CALL, stream="false") == 2
    assert grown("llm_duration_seconds_count", **CALL, stream="true") == 1
    assert grown("first_token_seconds_count", **CALL) == 1
    assert grown("provider_errors_total", provider="Remote provider", error_type="rate_limit") == 1
    assert grown("conversations_created_total") == 1
    assert grown("user_agents_total", user_agent="openai") == 4
    assert grown("user_agent_family_total", family="sdk") == 4
    assert after["active_streams", frozenset({("model", MODEL)})] == 0
    assert after["provider_health", frozenset({("provider", "Remote provider")})] == 1
    request = {"method": "POST", "endpoint": "/v1/chat/completions", "status": "429"}
    assert grown("requests_total", **request, model=MODEL, stream="false") == 1
    assert grown("request_duration_seconds_count", **request) == 1
