"""Whether a provider can be used: asked once for a readiness route, or regularly in the background."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import orjson

from jan_server.inference.client import UpstreamClient
from jan_server.inference.provider import Endpoint, Provider, Timeouts
from jan_server.inference.upstream_errors import UpstreamError

PROBE_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class EndpointHealth:
    """The outcome of one probe of one endpoint.

    Attributes:
        endpoint: Which one.
        ok: Whether it listed its models.
        detail: `healthy`, or what is wrong.
        milliseconds: How long it took.
        models: The models it lists, by its own ids.
    """

    endpoint: Endpoint
    ok: bool
    detail: str
    milliseconds: float
    models: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ProviderHealth:
    """The outcome of a probe of a provider's endpoints, in their order."""

    provider: Provider
    endpoints: tuple[EndpointHealth, ...]

    @property
    def ok(self) -> bool:
        """Whether at least one endpoint can be used."""
        return any(endpoint.ok for endpoint in self.endpoints)

    @property
    def detail(self) -> str:
        """`healthy`, or what is wrong with the first endpoint."""
        if self.ok:
            return "healthy"
        return self.endpoints[0].detail if self.endpoints else "it has no address"


async def probe(
    client: UpstreamClient, provider: Provider, *, seconds: float = PROBE_SECONDS
) -> ProviderHealth:
    """Ask every endpoint for its list of models, all at once.

    What comes out also counts for the selection of endpoints.

    Args:
        client: Whose session and selector are used.
        provider: Whose endpoints.
        seconds: How long an endpoint may take.
    """
    outcomes = await asyncio.gather(
        *(_probe_endpoint(client, provider, endpoint, seconds) for endpoint in provider.endpoints)
    )
    return ProviderHealth(provider, tuple(outcomes))


async def probe_regularly(
    client: UpstreamClient, providers: Callable[[], Sequence[Provider]], *, pause_seconds: float
) -> None:
    """Probe the endpoints again and again, until cancelled.

    Args:
        client: Whose selector learns the outcome.
        providers: Says before each round which providers there are.
        pause_seconds: Between two rounds.
    """
    while True:
        current = providers()
        client.selector.forget({provider.id for provider in current})
        await asyncio.gather(*(probe(client, provider) for provider in current))
        await asyncio.sleep(pause_seconds)


async def _probe_endpoint(
    client: UpstreamClient, provider: Provider, endpoint: Endpoint, seconds: float
) -> EndpointHealth:
    limits = Timeouts(connect=seconds, first_token=seconds, idle=seconds, answer=seconds)
    alone = replace(provider, endpoints=(endpoint,), timeouts=limits, attempts=1)
    started = time.perf_counter()
    models: tuple[str, ...] = ()
    try:
        answer = await client.complete(alone, "/models", method="GET")
        models = _model_ids(answer.body)
        detail = "healthy"
    except UpstreamError as error:
        detail = error.message
    except ValueError:
        detail = f"{provider.name} answers /models with something else than a list of models"
    spent = round((time.perf_counter() - started) * 1000, 1)
    return EndpointHealth(endpoint, detail == "healthy", detail, spent, models)


def _model_ids(body: bytes) -> tuple[str, ...]:
    value = orjson.loads(body)
    entries = value.get("data") if isinstance(value, dict) else value
    if not isinstance(entries, list):
        raise ValueError("no list of models")
    return tuple(str(entry["id"]) for entry in entries if isinstance(entry, dict) and "id" in entry)
