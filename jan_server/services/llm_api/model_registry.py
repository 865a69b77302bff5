"""The models of this moment, kept in the process and told by PostgreSQL when they change.

The hot path looks models up here and never asks the database. A trigger notifies every
listening process of each change to providers, catalogues, models and routes, whoever made it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass
from typing import Any

from sqlmodel import col, select

from jan_server.database.engine import Database
from jan_server.inference.provider import ConcurrencyLimit, Endpoint, Timeouts
from jan_server.inference.provider import Provider as UpstreamProvider
from jan_server.services.llm_api.catalogs import required_flags
from jan_server.services.llm_api.models import ModelTable, OfferedModel, RouteDescription, price_of
from jan_server.services.llm_api.notices import hearing
from jan_server.services.llm_api.prices import pricing_of
from jan_server.services.llm_api.provider_secrets import ProviderSecrets, UnreadableKey
from jan_server.services.llm_api.providers import TOOL_SUPPORT, is_true
from jan_server.services.llm_api.tables.model import ModelCatalog, ProviderModel
from jan_server.services.llm_api.tables.model_route import ModelRoute
from jan_server.services.llm_api.tables.provider import Provider
from jan_server.services.llm_api.usage_limits import may_call

logger = logging.getLogger("jan.llm-api.models")

CHANNEL = "llm_api_models"

_Row = tuple[ProviderModel, ModelCatalog | None]


@dataclass(frozen=True, slots=True)
class ActiveProvider:
    """A provider in use.

    Attributes:
        row: As it is stored.
        upstream: As the inference client takes it.
        problem: What keeps it from working; empty when nothing does.
    """

    row: Provider
    upstream: UpstreamProvider
    problem: str = ""


_ACTIVE_PROVIDERS = (
    select(Provider)
    .where(col(Provider.active), col(Provider.deleted_at).is_(None))
    .order_by(col(Provider.id))
)
_ACTIVE_MODELS = (
    select(ProviderModel, ModelCatalog)
    .outerjoin(ModelCatalog, col(ModelCatalog.id) == ProviderModel.model_catalog_id)
    .where(
        col(ProviderModel.active),
        col(ProviderModel.vanished_at).is_(None),
        col(ProviderModel.deleted_at).is_(None),
    )
    .order_by(col(ProviderModel.id))
)
_ACTIVE_ROUTES = (
    select(ModelRoute)
    .where(col(ModelRoute.active), col(ModelRoute.deleted_at).is_(None))
    .order_by(col(ModelRoute.id))
)


class ModelRegistry:
    """Knows which models can be called, and stays up to date while it is open.

    Args:
        database: Where providers and models are stored.
        secrets: Decrypts the providers' keys.
        timeouts: How long providers may take.
        allowed: Patterns of the models that are offered to anybody at all; None for all.
        denied: Patterns of the models that are offered to nobody.

    Attributes:
        table: The models of this moment.
        providers: The active providers, whether they offer models or not.
    """

    def __init__(
        self,
        database: Database,
        secrets: ProviderSecrets,
        timeouts: Timeouts,
        *,
        allowed: Sequence[str] | None = None,
        denied: Sequence[str] = (),
    ) -> None:
        self.table = ModelTable()
        self.providers: tuple[ActiveProvider, ...] = ()
        self._database = database
        self._secrets = secrets
        self._timeouts = timeouts
        self._allowed = allowed
        self._denied = denied
        self._reading = asyncio.Lock()

    def open(self) -> AbstractAsyncContextManager[None]:
        """Read the models, and again after each notice, while the context lasts."""
        return hearing(
            "models",
            self._database.url,
            CHANNEL,
            begin=self.refresh,
            changed=lambda _: self.refresh(),
        )

    async def refresh(self) -> None:
        """Read providers and models from the database."""
        async with self._reading:
            async with self._database.session() as session:
                providers = [self.active(row) for row in await session.exec(_ACTIVE_PROVIDERS)]
                rows: list[_Row] = [(row[0], row[1]) for row in await session.exec(_ACTIVE_MODELS)]
                routes = [_described(row) for row in await session.exec(_ACTIVE_ROUTES)]
            by_key = {provider.row.id: provider for provider in providers}
            self.providers = tuple(providers)
            offered = [
                _offered(model, catalog, by_key[model.provider_id])
                for model, catalog in rows
                if model.provider_id in by_key
                and (catalog is None or (catalog.active and catalog.deleted_at is None))
                and may_call(
                    (model.model_public_id, model.provider_original_model_id), self._allowed, self._denied
                )
            ]
            self.table = ModelTable(offered, routes)

    def active(self, row: Provider) -> ActiveProvider:
        """A provider's row as the inference client takes it, its key decrypted."""
        problem = key = ""
        try:
            key = self._secrets.decrypt(row.encrypted_api_key)
        except UnreadableKey as failure:
            problem = f"{row.display_name}: {failure}"
            logger.error("%s", problem)
        endpoints = tuple(
            Endpoint(
                url=entry["url"],
                weight=entry.get("weight", 1),
                priority=entry.get("priority", 0),
                api_key=key,
            )
            for entry in row.endpoints
        )
        upstream = UpstreamProvider(
            id=row.public_id,
            name=row.display_name,
            endpoints=endpoints,
            kind=row.kind,
            timeouts=self._timeouts,
            prompted_tools=not is_true(row.details, TOOL_SUPPORT, default=True),
            supervised=row.source == "engine" and row.kind == "jan",
            limit=_limit(row),
        )
        return ActiveProvider(row, upstream, problem)


def _limit(row: Provider) -> ConcurrencyLimit | None:
    if row.max_concurrent_requests is None:
        return None
    return ConcurrencyLimit(row.max_concurrent_requests, row.max_queued_requests, row.queue_timeout_seconds)


def _described(row: ModelRoute) -> RouteDescription:
    return RouteDescription(
        name=row.name,
        targets=tuple(
            (
                target["model"],
                target.get("provider_id") or "",
                target.get("weight", 1),
                target.get("priority", 0),
            )
            for target in row.targets
        ),
        fallback_on=frozenset(row.fallback_on),
        created=int(row.created_at.timestamp()),
    )


def _offered(model: ProviderModel, catalog: ModelCatalog | None, provider: ActiveProvider) -> OfferedModel:
    limits = model.token_limits or {}
    return OfferedModel(
        id=model.model_public_id,
        provider_model_id=model.provider_original_model_id,
        key=model.id or 0,
        provider=provider.upstream,
        display_name=model.model_display_name,
        category=model.category,
        provider_category=provider.row.category,
        category_order=model.category_order_number,
        model_order=model.model_order_number,
        created=int(model.created_at.timestamp()),
        price=price_of(model.pricing),
        pricing=pricing_of(model.pricing),
        context_length=limits.get("context_length") or (catalog.context_length if catalog else None),
        defaults=_defaults(catalog.supported_parameters if catalog else {})
        | (model.default_parameters or {}),
        instruct_key=model.instruct_model_id,
        required_flags=required_flags(catalog) if catalog else frozenset(),
        problem=provider.problem,
    )


def _defaults(supported: Mapping[str, Any]) -> dict[str, Any]:
    """The catalogue's default parameters, which are stored as decimals in text, as numbers."""
    found: dict[str, Any] = {}
    for name, text in (supported.get("default") or {}).items():
        if text is None or name not in _FILLED:
            continue
        with suppress(ValueError):
            found[name] = _FILLED[name](float(text))
    return found


_FILLED: Mapping[str, type[int] | type[float]] = {
    "temperature": float,
    "top_p": float,
    "presence_penalty": float,
    "frequency_penalty": float,
    "max_tokens": int,
    "top_k": int,
    "repetition_penalty": float,
}
