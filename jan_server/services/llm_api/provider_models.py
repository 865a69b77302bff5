"""Models as their providers offer them, for administrators (contract/llm-api.md, section 10.2)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, func, or_
from sqlalchemy.orm import aliased
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from jan_server.http.pagination import PageRequest
from jan_server.services.llm_api.models import LLM
from jan_server.services.llm_api.refusals import Conflict, Missing
from jan_server.services.llm_api.tables.model import ModelCatalog, ProviderModel
from jan_server.services.llm_api.tables.provider import Provider

CAPABILITIES = (
    "supports_images",
    "supports_embeddings",
    "supports_reasoning",
    "supports_instruct",
    "supports_audio",
    "supports_video",
)

_Partner = aliased(ProviderModel)

_JOINED = (
    select(ProviderModel, Provider, ModelCatalog, _Partner.public_id)
    .join(Provider, col(Provider.id) == ProviderModel.provider_id)
    .outerjoin(ModelCatalog, col(ModelCatalog.id) == ProviderModel.model_catalog_id)
    .outerjoin(_Partner, col(_Partner.id) == ProviderModel.instruct_model_id)
    .where(col(ProviderModel.deleted_at).is_(None), col(Provider.deleted_at).is_(None))
)


@dataclass(frozen=True, slots=True)
class ListedProviderModel:
    """A provider's model with what belongs to it.

    Attributes:
        row: The model.
        provider: Who offers it.
        catalog: What is known of it.
        instruct_public_id: The model that answers when thinking is switched off.
    """

    row: ProviderModel
    provider: Provider
    catalog: ModelCatalog | None
    instruct_public_id: str | None


@dataclass(frozen=True, slots=True)
class Toggled:
    """What a bulk change did: rows that were changed, passed over, and looked at."""

    updated: int
    skipped: int
    checked: int


async def list_provider_models(
    session: AsyncSession,
    page: PageRequest,
    *,
    provider_id: str | None = None,
    model_id: str | None = None,
    active: bool | None = None,
    category: str | None = None,
    family: str | None = None,
    search: str | None = None,
    capabilities: Mapping[str, bool] | None = None,
    by_place: bool = False,
) -> tuple[list[ListedProviderModel], int]:
    """A page of the models and the number of all that fit.

    Args:
        session: The open transaction.
        page: Which page; `offset` counts.
        provider_id: Only this provider's; an unknown one counts as none given.
        model_id: Only this public model id.
        active: Only those in use, or only those that are not.
        category: Only this category.
        family: Only this family.
        search: Part of the ids, the name or the kind, in any case.
        capabilities: Wanted values of `CAPABILITIES`.
        by_place: Sort as the public list does, instead of by age.
    """
    conditions: list[ColumnElement[bool]] = []
    if provider_id and (provider := await _provider_key(session, provider_id)) is not None:
        conditions.append(col(ProviderModel.provider_id) == provider)
    if model_id is not None:
        conditions.append(col(ProviderModel.model_public_id) == model_id)
    if active is not None:
        conditions.append(col(ProviderModel.active).is_(active))
    if category is not None:
        conditions.append(col(ProviderModel.category) == category)
    if family is not None:
        conditions.append(col(ModelCatalog.family) == family)
    conditions += [
        col(getattr(ModelCatalog, name)).is_(wanted) for name, wanted in (capabilities or {}).items()
    ]
    if search:
        conditions.append(
            or_(
                *(
                    col(column).icontains(search, autoescape=True)
                    for column in (
                        ProviderModel.model_public_id,
                        ProviderModel.model_display_name,
                        ProviderModel.provider_original_model_id,
                        ProviderModel.kind,
                    )
                )
            )
        )
    query = _JOINED.where(*conditions)
    total = (await session.exec(select(func.count()).select_from(query.order_by(None).subquery()))).one()
    key = col(ProviderModel.id)
    place = (
        func.nullif(ProviderModel.category_order_number, 0).asc().nulls_last(),
        func.nullif(ProviderModel.model_order_number, 0).asc().nulls_last(),
        (col(Provider.category) != LLM).asc(),
        key.asc(),
    )
    order = place if by_place else (key.desc() if page.order == "desc" else key.asc(),)
    rows = await session.exec(query.order_by(*order).offset(page.offset or 0).limit(page.limit))
    return [ListedProviderModel(*row) for row in rows], total


async def _provider_key(session: AsyncSession, public_id: str) -> int | None:
    return (await session.exec(select(Provider.id).where(Provider.public_id == public_id))).first()


async def find_provider_model(session: AsyncSession, public_id: str) -> ListedProviderModel:
    """The model with this id (`pmdl_…`); `Missing` when there is none."""
    row = (await session.exec(_JOINED.where(ProviderModel.public_id == public_id))).first()
    if row is None:
        raise Missing("provider model not found", param="provider_model_id")
    return ListedProviderModel(*row)


async def update_provider_model(
    session: AsyncSession, model: ListedProviderModel, changes: Mapping[str, Any]
) -> ListedProviderModel:
    """Change columns by name; `instruct_model_public_id` names a partner, and an empty text clears it.

    Raises:
        Conflict: The model cannot be switched on while its catalogue entry is off.
        Missing: There is no such partner.
    """
    row = model.row
    if changes.get("active") and model.catalog is not None and not model.catalog.active:
        raise Conflict(
            f"{model.catalog.public_id} is switched off in the catalogue; switch it on there first",
            param="active",
        )
    for name, value in changes.items():
        if name == "instruct_model_public_id":
            row.instruct_model_id = await _partner(session, row, value) if value else None
        else:
            setattr(row, name, value)
    session.add(row)
    await session.flush()
    return await find_provider_model(session, row.public_id)


async def _partner(session: AsyncSession, row: ProviderModel, name: str) -> int | None:
    """The partner by its own id, or by its model id at the same provider."""
    same_provider = (col(ProviderModel.provider_id) == row.provider_id) & (
        col(ProviderModel.model_public_id) == name
    )
    query = select(ProviderModel.id).where(
        (col(ProviderModel.public_id) == name) | same_provider, col(ProviderModel.deleted_at).is_(None)
    )
    key = (await session.exec(query)).first()
    if key is None:
        raise Missing(f"no model {name!r} to be the instruct partner", param="instruct_model_public_id")
    return key


async def toggle_provider_models(
    session: AsyncSession,
    *,
    enable: bool,
    provider_id: str | None,
    public_ids: Collection[str] | None,
    excepted: Collection[str],
) -> Toggled:
    """Switch all models, one provider's or some (`pmdl_…`) on or off, except some model ids.

    Models whose catalogue entry is off are not switched on.

    Raises:
        Missing: There is no such provider, or no such model.
    """
    query = _JOINED
    if public_ids is not None:
        query = query.where(col(ProviderModel.public_id).in_(public_ids))
    if provider_id is not None:
        key = await _provider_key(session, provider_id)
        if key is None:
            raise Missing("provider not found", param="provider_id")
        query = query.where(ProviderModel.provider_id == key)
    models = [ListedProviderModel(*row) for row in await session.exec(query)]
    unknown = set(public_ids or ()) - {model.row.public_id for model in models}
    if unknown:
        raise Missing(f"provider model not found: {min(unknown)}", param="provider_model_ids")
    updated = skipped = checked = 0
    for model in models:
        checked += 1
        barred = enable and model.catalog is not None and not model.catalog.active
        if barred or model.row.model_public_id in excepted:
            skipped += 1
        elif model.row.active != enable:
            model.row.active = enable
            session.add(model.row)
            updated += 1
    return Toggled(updated, skipped, checked)


def provider_model_object(model: ListedProviderModel) -> dict[str, Any]:
    """The model as administrators see it."""
    row, catalog = model.row, model.catalog
    shown: dict[str, Any] = {
        "id": row.public_id,
        "provider_id": model.provider.public_id,
        "provider_vendor": model.provider.kind,
        "model_public_id": row.model_public_id,
        "provider_original_model_id": row.provider_original_model_id,
        "model_display_name": row.model_display_name,
        "category": row.category,
        "category_order_number": row.category_order_number,
        "model_order_number": row.model_order_number,
        "pricing": {"lines": row.pricing.get("lines")},
        **{name: bool(catalog is not None and getattr(catalog, name)) for name in CAPABILITIES},
        "active": row.active and row.vanished_at is None,
        "created_at": int(row.created_at.timestamp()),
        "updated_at": int(row.updated_at.timestamp()),
    }
    if catalog is not None:
        shown["model_catalog_id"] = catalog.public_id
        if catalog.family:
            shown["family"] = catalog.family
    if row.token_limits:
        shown["token_limits"] = row.token_limits
    if row.default_parameters:
        shown["default_parameters"] = row.default_parameters
    if model.instruct_public_id:
        shown["instruct_model_public_id"] = model.instruct_public_id
    return shown
