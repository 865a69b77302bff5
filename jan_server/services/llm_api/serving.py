"""Serving: all that turns a model's id into an answer, opened and closed together."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from jan_server.authentication.identity_header import IdentitySigner
from jan_server.database.engine import Database
from jan_server.http.background import once_reachable
from jan_server.http.guarded_fetch import GuardedFetcher
from jan_server.http.readiness import Finding, Probe
from jan_server.inference import readiness as inference_readiness
from jan_server.inference.client import UpstreamClient
from jan_server.inference.engines.wordllama import MODEL as WORDLLAMA
from jan_server.inference.engines.wordllama import WordLlamaEmbedder
from jan_server.inference.provider import Timeouts
from jan_server.services.llm_api.accounting import Accounting
from jan_server.services.llm_api.bootstrap import (
    bootstrap_providers,
    described_providers,
    settings_routes,
)
from jan_server.services.llm_api.chat import Chat
from jan_server.services.llm_api.chat_preparation import ChatPreparation
from jan_server.services.llm_api.embeddings import Embeddings
from jan_server.services.llm_api.exchange_writer import ExchangeWriter
from jan_server.services.llm_api.image_files import MAXIMUM_BYTES, ImageReader
from jan_server.services.llm_api.images import Images
from jan_server.services.llm_api.limit_enforcement import LimitEnforcement
from jan_server.services.llm_api.media_client import MediaClient
from jan_server.services.llm_api.message_media import MessageMedia
from jan_server.services.llm_api.model_registry import ActiveProvider, ModelRegistry
from jan_server.services.llm_api.prices import Prices
from jan_server.services.llm_api.prompt_modules import PromptSwitches
from jan_server.services.llm_api.prompt_orchestration import PromptOrchestration
from jan_server.services.llm_api.provider_secrets import ProviderSecrets
from jan_server.services.llm_api.response_cache import ResponseCache
from jan_server.services.llm_api.routed_call import ModelCalls
from jan_server.services.llm_api.routing import Routing
from jan_server.services.llm_api.sync import ModelSync
from jan_server.services.llm_api.title_writer import TitleWriter
from jan_server.settings.home import JanHome
from jan_server.settings.tree import Settings

PROBE_SECONDS = 1.5
MEGABYTE = 1_000_000
USAGE_FOLDER = "llm-api-usage"
"""Below the home's data: calls that are not in the database yet."""

RETRY_SECONDS = 1.0
"""How long to wait for PostgreSQL before the next try."""


@dataclass(frozen=True, slots=True)
class Serving:
    """The parts of serving models.

    Attributes:
        secrets: Encrypts the keys of providers.
        upstream: Calls providers.
        registry: Knows the models of this moment.
        sync: Keeps them up to date.
        chat: Answers chat requests.
        calls: Makes calls to models for everything that is no chat.
        embeddings: Makes embeddings.
        images: Makes pictures.
        fetcher: Fetches what users name.
        exchanges: Writes those that belong to conversations.
        accounting: Takes down what calls of models use.
        limits: Holds keys and users to their limits.
        prompts: Adds to chats what prompt modules have to say; None where that is switched off.
    """

    secrets: ProviderSecrets
    upstream: UpstreamClient
    registry: ModelRegistry
    sync: ModelSync
    chat: Chat
    calls: ModelCalls
    embeddings: Embeddings
    images: Images
    fetcher: GuardedFetcher
    exchanges: ExchangeWriter
    accounting: Accounting
    limits: LimitEnforcement
    prompts: PromptOrchestration | None = None


def make_serving(settings: Settings, database: Database, client: aiohttp.ClientSession) -> Serving:
    """Put the parts together; nothing is asked of anybody yet. Call it inside the running loop.

    Raises:
        ValueError: `MODEL_PROVIDER_SECRET` is not set.
    """
    own, timeouts = settings.services.llm_api, settings.inference.timeouts
    secrets = ProviderSecrets(own.model_provider_secret.get_secret_value())
    upstream = UpstreamClient(client, largest_answer_mb=own.max_response_mb)
    registry = ModelRegistry(
        database,
        secrets,
        Timeouts(
            connect=timeouts.connect.total_seconds(),
            first_token=timeouts.first_token.total_seconds(),
            idle=timeouts.idle.total_seconds(),
            answer=own.stream_timeout.total_seconds(),
        ),
        allowed=own.allowed_models or None,
        denied=own.denied_models,
    )
    sync = ModelSync(database, upstream, registry)
    routing = Routing(registry, sync, upstream.selector)
    prompts = make_prompts(settings, database)
    limits = LimitEnforcement(database)
    prices = Prices({model_id: price.model_dump() for model_id, price in own.usage.prices.items()})
    accounting = Accounting(database, prices, limits)
    titles = None
    if own.conversations.title_generation_enabled:
        titles = TitleWriter(registry, upstream, accounting, own.conversations.title_generation_model_id)
    exchanges = ExchangeWriter(database, titles)
    media = MediaClient(
        client,
        IdentitySigner(settings.identity.header_secret.get_secret_value()),
        ingest_url=own.media_ingest_url,
        public_url=settings.services.media_api.public_url,
        seconds=own.http_timeout.total_seconds(),
        maximum_bytes=MAXIMUM_BYTES,
    )
    cache = ResponseCache(own.response_cache_mb * MEGABYTE, limits.cache_wish)
    preparation = ChatPreparation(
        registry,
        sync,
        exchanges,
        accounting,
        routing,
        cache,
        ask_usage=own.usage.ask_in_streams,
        prompts=prompts,
        media=MessageMedia(media, seconds=own.media_resolve_timeout.total_seconds()),
        user_tokens=own.max_user_message_tokens,
    )
    chat = Chat(preparation, upstream, exchanges, stream_seconds=own.stream_timeout.total_seconds())
    calls = ModelCalls(
        sync,
        upstream,
        accounting,
        routing,
        cache,
        stream_seconds=own.stream_timeout.total_seconds(),
    )
    fetcher = GuardedFetcher(settings.server.fetch_allowed_networks)
    images = Images(database, registry, calls, media, ImageReader(fetcher, media), own.images)
    return Serving(
        secrets=secrets,
        upstream=upstream,
        registry=registry,
        sync=sync,
        chat=chat,
        calls=calls,
        embeddings=Embeddings(calls, {WORDLLAMA: WordLlamaEmbedder()}),
        images=images,
        fetcher=fetcher,
        exchanges=exchanges,
        accounting=accounting,
        limits=limits,
        prompts=prompts,
    )


def make_prompts(settings: Settings, database: Database) -> PromptOrchestration | None:
    """The orchestration of prompts as the settings allow it; None where it is switched off."""
    chosen = settings.services.llm_api.prompt_orchestration
    if not chosen.enabled:
        return None
    allowed = PromptSwitches(
        memory=chosen.enable_memory, templates=chosen.enable_templates, tools=chosen.enable_tools
    )
    return PromptOrchestration(database, allowed)


@asynccontextmanager
async def open_serving(
    serving: Serving, settings: Settings, database: Database, home: Path
) -> AsyncIterator[None]:
    """Write the described providers, read the models and keep both up to date.

    Without PostgreSQL the service comes up as well: it says so when it is asked for its
    readiness, and begins here as soon as it can.

    Raises:
        ProviderFileError: The provider file is named but not usable.
        Invalid: A provider or a route of the settings is not usable.
    """
    own = settings.services.llm_api
    specs, routes = described_providers(settings, home), settings_routes(settings)

    async def begin() -> None:
        await bootstrap_providers(database, specs, serving.secrets, routes)
        await serving.registry.refresh()
        if serving.prompts is not None:
            await serving.prompts.registry.refresh()

    every_seconds = own.model_sync_interval_minutes * 60.0 if own.model_sync_enabled else None
    async with (
        serving.limits.open(),
        serving.fetcher,
        serving.accounting.open(JanHome(home).data / USAGE_FOLDER),
        once_reachable("writing providers", RETRY_SECONDS, begin),
        serving.registry.open(),
        serving.sync.repeating(every_seconds),
        serving.prompts.open() if serving.prompts is not None else nullcontext(),
    ):
        try:
            yield
        finally:
            await serving.exchanges.close()


def inference_probe(serving: Serving) -> Probe:
    """Asks the engine of this installation; of providers elsewhere it tells how their last call went."""

    async def probe() -> Finding:
        providers = [active for active in serving.registry.providers if active.row.category == "llm"]
        if not providers:
            return Finding("degraded", "no provider of models; `jan quickstart` sets one up")
        for active in providers:
            if (problem := await _problem(serving, active)) is not None:
                return Finding("degraded", problem)
        return Finding("ok")

    return probe


async def _problem(serving: Serving, active: ActiveProvider) -> str | None:
    if active.problem:
        return active.problem
    provider, selector = active.upstream, serving.upstream.selector
    if active.row.source == "engine":
        health = await inference_readiness.probe(serving.upstream, provider, seconds=PROBE_SECONDS)
        return None if health.ok else health.detail
    if any(selector.is_healthy(provider, endpoint) for endpoint in provider.endpoints):
        return None
    return f"{provider.name} did not answer its last call"
