"""An LLM API with three providers, and routes that lead to their models."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from tests.doubles.openai_upstream import OpenAIUpstream
from tests.services.llm_api.administrators import fresh_name
from tests.services.llm_api.platform import Platform

ROUTES = "/v1/admin/models/routes"
PROVIDERS = "/v1/admin/providers"
PLACES = ("north", "south", "east")


def model_at(place: str) -> str:
    """The id of the model of the provider with this name."""
    return f"acme/{place}"


@dataclass(frozen=True)
class RoutedModels:
    """Three providers, `north`, `south` and `east`, each with one model.

    Attributes:
        platform: The LLM API.
        admin: A client of an administrator.
        upstreams: The scripted providers by name.
        providers: Their public ids.
    """

    platform: Platform
    admin: httpx.AsyncClient
    upstreams: dict[str, OpenAIUpstream]
    providers: dict[str, str]

    def reset(self) -> None:
        """Forget what was scripted, and which endpoints rest."""
        for upstream in self.upstreams.values():
            upstream.reset()
        self.platform.serving.upstream.selector.forget(())

    def asked(self) -> dict[str, int]:
        """How many calls each provider got, those without any left out."""
        return {name: len(one.calls) for name, one in self.upstreams.items() if one.calls}

    async def route(self, *targets: str | dict[str, Any], **members: Any) -> str:
        """The name of a new route with these targets: places, or objects in full; the later the lower."""
        listed = [
            {"model": model_at(target), "priority": number} if isinstance(target, str) else target
            for number, target in enumerate(targets)
        ]
        body = {"name": fresh_name("route"), "targets": listed, **members}
        made = await self.admin.post(ROUTES, json=body)
        assert made.status_code == 201, made.text
        return str(made.json()["name"])

    async def limit(self, place: str, **limits: Any) -> None:
        """Give a provider other limits."""
        changed = await self.admin.patch(f"{PROVIDERS}/{self.providers[place]}", json=limits)
        assert changed.status_code == 200, changed.text


@asynccontextmanager
async def routed_models(platform: Platform, places: Sequence[str] = PLACES) -> AsyncIterator[RoutedModels]:
    """Register the three providers; they go with the context."""
    async with AsyncExitStack() as stack:
        admin = await stack.enter_async_context(platform.client(fresh_name("root"), admin=True))
        upstreams, providers = {}, {}
        for place in places:
            upstream = OpenAIUpstream(models=[model_at(place)])
            upstreams[place] = await stack.enter_async_context(upstream)
            body = {"name": place.title(), "vendor": "acme", "base_url": upstream.url}
            made = await admin.post(PROVIDERS, json=body)
            assert made.status_code == 200, made.text
            providers[place] = made.json()["id"]
        yield RoutedModels(platform, admin, upstreams, providers)
        for provider in providers.values():
            await admin.delete(f"{PROVIDERS}/{provider}")
