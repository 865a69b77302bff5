"""Whether a provider is said to be ready exactly when it is."""

from __future__ import annotations

import asyncio

from jan_server.http.client import open_client
from jan_server.inference.client import UpstreamClient
from jan_server.inference.provider import Endpoint, Provider
from jan_server.inference.readiness import probe, probe_regularly
from tests.doubles.openai_upstream import OpenAIUpstream


async def test_a_provider_is_ready_when_one_endpoint_is() -> None:
    async with open_client() as session, OpenAIUpstream(models=["a", "b"]) as sound:
        async with OpenAIUpstream() as gone:
            pass
        client = UpstreamClient(session)
        asked = Provider("prov_a", "Scripted", (Endpoint(gone.url), Endpoint(sound.url)))
        health = await probe(client, asked)
        assert (health.ok, health.detail) == (True, "healthy")
        assert [endpoint.ok for endpoint in health.endpoints] == [False, True]
        assert health.endpoints[1].models == ("a", "b")
        assert not client.selector.is_healthy(asked, asked.endpoints[0])


async def test_a_refused_key_is_not_ready_and_says_so() -> None:
    async with open_client() as session, OpenAIUpstream(api_key="right") as upstream:
        asked = Provider("prov_a", "Scripted", (Endpoint(upstream.url, api_key="wrong"),))
        health = await probe(UpstreamClient(session), asked)
        assert not health.ok
        assert "Scripted refused this server's credentials" in health.detail


async def test_regular_probes_bring_an_endpoint_back() -> None:
    async with open_client() as session, OpenAIUpstream() as upstream:
        client = UpstreamClient(session)
        asked = Provider("prov_a", "Scripted", (Endpoint(upstream.url),))
        client.selector.failed(asked, asked.endpoints[0])
        probing = asyncio.create_task(probe_regularly(client, lambda: [asked], pause_seconds=0.01))
        await upstream.wait_until(lambda: upstream.model_lists >= 2)
        probing.cancel()
        assert client.selector.is_healthy(asked, asked.endpoints[0])
