"""Whether a provider answers: each of its addresses is asked for its models, and the time is taken."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, replace

import orjson

from jan_server.http.errors import ApiError
from jan_server.inference.client import UpstreamClient
from jan_server.inference.provider import Endpoint, Provider, Timeouts
from jan_server.services.llm_api.model_lists import parse_model_list
from jan_server.services.llm_api.model_registry import ActiveProvider

CHECK_SECONDS = 15.0
"""How long one address may take."""


@dataclass(frozen=True, slots=True)
class EndpointCheck:
    """What came of asking one address.

    Attributes:
        url: The address.
        latency_ms: How long the answer took, or how long it took to fail.
        models: How many models it listed; None when it listed none that could be read.
        message: What is wrong; empty when it answered.
    """

    url: str
    latency_ms: int
    models: int | None = None
    message: str = ""


async def check_provider(active: ActiveProvider, upstream: UpstreamClient) -> list[EndpointCheck]:
    """Ask all addresses of a provider, whether it is in use or not.

    An address that answers is used again at once; one that fails rests as after any other call. A
    provider that answers inside this process has no address, and nothing to be asked.
    """
    if active.problem:
        return [EndpointCheck(each.url, 0, message=active.problem) for each in active.upstream.endpoints]
    return await asyncio.gather(
        *(_check(active.upstream, endpoint, upstream) for endpoint in active.upstream.endpoints)
    )


async def _check(provider: Provider, endpoint: Endpoint, upstream: UpstreamClient) -> EndpointCheck:
    alone = replace(provider, endpoints=(endpoint,), attempts=1, timeouts=Timeouts(answer=CHECK_SECONDS))
    models, message = None, ""
    begun = time.perf_counter()
    try:
        answer = await upstream.complete(alone, "/models", method="GET")
        models = len(parse_model_list(orjson.loads(answer.body), tool_support=False))
    except ApiError as failure:
        message = failure.message
    except ValueError as failure:
        message = f"its answer is no list of models: {failure}"
    return EndpointCheck(endpoint.url, round((time.perf_counter() - begun) * 1000), models, message)
