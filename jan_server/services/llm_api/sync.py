"""Model sync: each provider is asked for its models, and what is new is written down.

Source: contract/llm-api.md, section 23. Models that an administrator changed are never
overwritten, and models that a provider no longer lists stay, with one exception: what this
installation's own engine no longer serves cannot be called until it comes back.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

import orjson
from sqlalchemy import text
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from jan_server.authentication.principal import Principal
from jan_server.database.engine import Database
from jan_server.http.errors import ApiError
from jan_server.inference.client import UpstreamClient
from jan_server.inference.engines.llamacpp_status import engine_status
from jan_server.inference.provider import Timeouts
from jan_server.inference.upstream_errors import UpstreamError
from jan_server.services.llm_api.catalogs import describe_catalog
from jan_server.services.llm_api.model_ids import display_name, public_model_id
from jan_server.services.llm_api.model_lists import EMBEDDING_MODEL, ListedModel, parse_model_list
from jan_server.services.llm_api.model_registry import ModelRegistry
from jan_server.services.llm_api.models import JAN_KIND, OfferedModel
from jan_server.services.llm_api.providers import AUTO_ENABLE, SYNC_MODELS, TOOL_SUPPORT, is_true
from jan_server.services.llm_api.refusals import Missing
from jan_server.services.llm_api.tables import now
from jan_server.services.llm_api.tables.model import MODEL_ID_LENGTH, ModelCatalog, ProviderModel
from jan_server.services.llm_api.tables.provider import Provider

logger = logging.getLogger("jan.llm-api.sync")

AT_ONCE = 10
"""How many providers are asked at the same moment."""

LIST_SECONDS = 30.0
"""How long a provider may take to list its models."""

FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0
"""How long to wait before a provider that did not answer is asked again; doubled each time."""

CATCH_UP_SECONDS = 3.0
"""How long a request for an unknown model waits for providers that were not asked yet."""

CATCH_UP_EVERY_SECONDS = 2.0

_LOCK = 0x6A616E33


class ModelSync:
    """Keeps the models of all active providers up to date.

    Args:
        database: Where providers and models are stored.
        upstream: Asks the providers.
        registry: Told when models changed, so that this process sees them at once.
    """

    def __init__(self, database: Database, upstream: UpstreamClient, registry: ModelRegistry) -> None:
        self._database = database
        self._upstream = upstream
        self._registry = registry
        self._synced: set[int | None] = set()
        self._failing: set[int | None] = set()
        self._round = asyncio.Lock()
        self._caught_up_at = float("-inf")

    @asynccontextmanager
    async def repeating(self, every_seconds: float | None) -> AsyncIterator[None]:
        """Ask all providers now and then every so often; None asks only now.

        Providers that do not answer are asked again sooner, until they do: an engine may still
        be loading its model.
        """
        task = asyncio.create_task(self._repeat(every_seconds), name="sync models")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _repeat(self, every_seconds: float | None) -> None:
        pause = FIRST_PAUSE_SECONDS
        fresh_until = float("-inf")
        while True:
            try:
                due = time.monotonic() >= fresh_until
                failed = await self.sync_providers(only_missing=not due)
                if due:
                    fresh_until = time.monotonic() + (every_seconds or float("inf"))
            except Exception as failure:
                logger.warning("the model sync failed, and is tried again: %s", failure)
                failed = True
            if not failed and every_seconds is None:
                return
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS) if failed else FIRST_PAUSE_SECONDS
            await asyncio.sleep(pause if failed else max(0.0, fresh_until - time.monotonic()))

    async def sync_providers(self, *, only_missing: bool = False) -> bool:
        """Ask the active providers; says whether any failed.

        Args:
            only_missing: Leave out those that answered this process before.
        """
        async with self._round:
            providers = await self._active_providers()
            if only_missing:
                providers = [provider for provider in providers if provider.id not in self._synced]
            slots = asyncio.Semaphore(AT_ONCE)

            async def one(provider: Provider) -> bool:
                async with slots:
                    return await self._try(provider)

            return not all(await asyncio.gather(*map(one, providers)))

    async def _active_providers(self) -> list[Provider]:
        query = select(Provider).where(col(Provider.active), col(Provider.deleted_at).is_(None))
        async with self._database.session() as session:
            rows = list(await session.exec(query))
        return [row for row in rows if is_true(row.details, SYNC_MODELS, default=True)]

    async def catch_up(self) -> bool:
        """Ask the providers that never answered this process, because an unknown model was wanted.

        Returns:
            Whether anybody was asked.
        """
        since = time.monotonic() - self._caught_up_at
        if since < CATCH_UP_EVERY_SECONDS:
            return False
        self._caught_up_at = time.monotonic()
        try:
            async with asyncio.timeout(CATCH_UP_SECONDS):
                if all(provider.id in self._synced for provider in await self._active_providers()):
                    return False
                await self.sync_providers(only_missing=True)
        except TimeoutError:
            pass
        return True

    async def find(self, model_id: str, principal: Principal) -> OfferedModel:
        """The model that answers for an id; for one that nobody knows yet, providers are asked first.

        Raises:
            Missing: No provider offers it, or only to those who hold a flag that the caller lacks.
        """
        model = self._registry.table.seen_by(principal).find(model_id)
        if model is None and await self.catch_up():
            model = self._registry.table.seen_by(principal).find(model_id)
        if model is None:
            raise unknown_model(model_id)
        return model

    async def _try(self, provider: Provider) -> bool:
        try:
            await self.sync_provider(provider)
        except (ApiError, ValueError) as failure:
            # Told once: it is tried again and again, and an engine that still loads is no trouble.
            first = provider.source != "engine" and provider.id not in self._failing
            logger.log(
                logging.WARNING if first else logging.DEBUG,
                "%s does not list its models: %s",
                provider.display_name,
                failure,
            )
            self._failing.add(provider.id)
            return False
        self._failing.discard(provider.id)
        return True

    async def sync_provider(self, provider: Provider) -> int:
        """Ask one provider and write down what is new; returns how many models it offers.

        Raises:
            UpstreamError: It did not answer, and no models were named for it.
            ValueError: Its answer is no model list.
        """
        listed = await self.list_models(provider)
        async with self._database.session() as session:
            await take_turn(session)
            await store_models(session, provider, listed)
        self._synced.add(provider.id)
        await self._registry.refresh()
        logger.info("%s offers %d models", provider.display_name, len(listed))
        return len(listed)

    async def list_models(self, provider: Provider) -> list[ListedModel]:
        """Ask one provider, stored or not, for its models.

        Raises:
            UpstreamError: It did not answer, and no models were named for it.
            ValueError: Its answer is no model list.
        """
        if not provider.endpoints:
            return [ListedModel(name, architecture=EMBEDDING_MODEL) for name in provider.offered_models]
        active = self._registry.active(provider)
        if active.problem:
            raise ValueError(active.problem)
        endpoints = len(active.upstream.endpoints)
        asked = replace(active.upstream, timeouts=Timeouts(answer=LIST_SECONDS), attempts=max(1, endpoints))
        try:
            answer = await self._upstream.complete(asked, "/models", method="GET")
        except UpstreamError:
            # Some servers list nothing; what people named for them is offered all the same.
            if provider.offered_models:
                return [ListedModel(name) for name in provider.offered_models]
            raise
        listed = parse_model_list(
            orjson.loads(answer.body), tool_support=is_true(provider.details, TOOL_SUPPORT)
        )
        if provider.source == "engine" and provider.kind == JAN_KIND:
            endpoint = active.upstream.endpoints[0]
            address = endpoint.url.removesuffix("/v1")
            status = await asyncio.to_thread(engine_status, address, endpoint.api_key)
            # The list tells what the model was trained for; a slot of the engine may have less.
            if status.context_length:
                listed = [replace(model, context_length=status.context_length) for model in listed]
        if not provider.offered_models:
            return listed
        by_id = {model.id: model for model in listed}
        return [by_id.get(name) or ListedModel(name) for name in provider.offered_models]


def unknown_model(model_id: str) -> Missing:
    """The refusal of a model that nobody offers to the caller."""
    return Missing(
        f"the model {model_id!r} does not exist; GET /v1/models lists those that do",
        param="model",
        code="model_not_found",
    )


async def take_turn(session: AsyncSession) -> None:
    """Wait until nobody else writes models: providers share catalogue entries, so writers take turns."""
    connection = await session.connection()
    await connection.execute(text("select pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})


async def store_models(session: AsyncSession, provider: Provider, listed: Sequence[ListedModel]) -> None:
    """Write a provider's models: catalogue entries, and the models that it did not have yet."""
    named = {public_model_id(model.id, provider.kind)[:MODEL_ID_LENGTH]: model for model in reversed(listed)}
    if len(named) < len(listed):
        logger.warning("%s lists models whose public ids coincide; the first is taken", provider.display_name)
    catalogs = await _catalogs(session, named)
    query = select(ProviderModel).where(ProviderModel.provider_id == provider.id)
    known = {row.model_public_id: row for row in await session.exec(query)}
    for public_id, model in reversed(named.items()):
        catalog = catalogs[public_id]
        describe_catalog(catalog, model)
        catalog.last_synced_at = now()
        session.add(catalog)
    await session.flush()
    for public_id, model in reversed(named.items()):
        row = known.get(public_id)
        if row is None:
            session.add(_provider_model(provider, public_id, model, catalogs[public_id]))
        else:
            _bring_back(provider, row, model)
    if provider.source == "engine" or provider.offered_models:
        for public_id, row in known.items():
            if public_id not in named and row.vanished_at is None:
                row.vanished_at = now()
    stored = await session.get_one(Provider, provider.id)
    stored.last_synced_at = now()


async def _catalogs(session: AsyncSession, named: dict[str, ListedModel]) -> dict[str, ModelCatalog]:
    query = select(ModelCatalog).where(col(ModelCatalog.public_id).in_(named))
    found = {row.public_id: row for row in await session.exec(query)}
    for public_id in named:
        if public_id not in found:
            found[public_id] = ModelCatalog(public_id=public_id, model_display_name=public_id)
        found[public_id].deleted_at = None
    return found


def _provider_model(
    provider: Provider, public_id: str, model: ListedModel, catalog: ModelCatalog
) -> ProviderModel:
    assert provider.id is not None
    return ProviderModel(
        provider_id=provider.id,
        model_catalog_id=catalog.id,
        kind=provider.kind,
        model_public_id=public_id,
        provider_original_model_id=model.id[:255],
        model_display_name=(model.name or display_name(model.id))[:255],
        category=_category(public_id, model),
        pricing={"lines": list(model.prices) or None},
        token_limits=_token_limits(model),
        active=is_true(provider.details, AUTO_ENABLE, default=True),
    )


def _token_limits(model: ListedModel) -> dict[str, int] | None:
    limits = {
        "context_length": model.context_length,
        "max_completion_tokens": model.maximum_answer,
    }
    return {name: value for name, value in limits.items() if value} or None


def _bring_back(provider: Provider, row: ProviderModel, model: ListedModel) -> None:
    row.vanished_at = None
    row.deleted_at = None
    if provider.source == "engine":
        # The same model may be served from another file, or with another context.
        row.provider_original_model_id = model.id[:255]
        row.token_limits = _token_limits(model)


def _category(public_id: str, model: ListedModel) -> str:
    if "jan" in public_id:
        return "jan"
    if model.embeds:
        return "Embedding"
    if "image" in model.architecture.get("output_modalities", ()):
        return "Image Generation"
    if model.reasons:
        return "Reasoning"
    if model.reads_images:
        return "Vision"
    return "Audio" if model.reads_audio else ""
