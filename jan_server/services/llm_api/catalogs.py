"""The model catalogue: what is known of a model, who may see it, and how it is shown.

Source: contract/llm-api.md, sections 9.2, 10.1 and 23.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from decimal import Decimal
from typing import Any

from sqlalchemy import func
from sqlmodel import col, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from jan_server.authentication.principal import Principal
from jan_server.http.pagination import PageRequest
from jan_server.services.llm_api.model_ids import display_name, model_family
from jan_server.services.llm_api.model_lists import ListedModel
from jan_server.services.llm_api.refusals import Missing
from jan_server.services.llm_api.tables import now
from jan_server.services.llm_api.tables.model import ModelCatalog, ProviderModel

EXPERIMENTAL_FLAG = "experimental_models"

INITIAL = "init"
FILLED = "filled"
EDITED = "updated"


async def visible_catalog(session: AsyncSession, public_id: str, principal: Principal) -> ModelCatalog:
    """The catalogue entry of a model, as far as the caller may see it.

    Raises:
        Missing: It is unknown, experimental or behind a flag that the caller lacks.
    """
    catalog = await find_catalog(session, public_id)
    if not is_visible(catalog, principal):
        raise Missing("model catalog not found", code="model_catalog_not_found")
    return catalog


async def find_catalog(session: AsyncSession, public_id: str) -> ModelCatalog:
    """The catalogue entry of a model; `Missing` when there is none."""
    query = select(ModelCatalog).where(
        ModelCatalog.public_id == public_id, col(ModelCatalog.deleted_at).is_(None)
    )
    catalog = (await session.exec(query)).first()
    if catalog is None:
        raise Missing("model catalog not found", code="model_catalog_not_found")
    return catalog


async def list_catalogs(
    session: AsyncSession, page: PageRequest, filters: Mapping[str, Any]
) -> tuple[list[ModelCatalog], int]:
    """A page of the catalogue by age, and the number of all entries that fit.

    Args:
        session: The open transaction.
        page: Which page; `offset` counts.
        filters: Wanted values of columns.
    """
    query = select(ModelCatalog).where(
        col(ModelCatalog.deleted_at).is_(None),
        *(col(getattr(ModelCatalog, name)) == value for name, value in filters.items()),
    )
    total = (await session.exec(select(func.count()).select_from(query.subquery()))).one()
    age = (col(ModelCatalog.created_at), col(ModelCatalog.id))
    order = [column.desc() if page.order == "desc" else column.asc() for column in age]
    rows = await session.exec(query.order_by(*order).offset(page.offset or 0).limit(page.limit))
    return list(rows), total


async def update_catalog(
    session: AsyncSession, catalog: ModelCatalog, changes: Mapping[str, Any]
) -> ModelCatalog:
    """Change columns by name; the entry is protected from syncs from then on.

    A new display name goes to all providers' models of the entry as well.
    """
    for name, value in changes.items():
        setattr(catalog, name, value)
    catalog.status = EDITED
    catalog.updated_at = now()
    session.add(catalog)
    if "model_display_name" in changes:
        await session.exec(
            update(ProviderModel)
            .where(col(ProviderModel.model_catalog_id) == catalog.id)
            .values(model_display_name=changes["model_display_name"])
        )
    return catalog


async def toggle_catalogs(
    session: AsyncSession, *, enable: bool, public_ids: Sequence[str] | None, excepted: Collection[str]
) -> tuple[int, int, int]:
    """Switch catalogue entries on or off, except some; says how many changed, were passed over, were seen.

    Switching an entry off switches its models off too; switching it on leaves them as they are.

    Raises:
        Missing: One of the ids is unknown.
    """
    query = select(ModelCatalog).where(col(ModelCatalog.deleted_at).is_(None))
    if public_ids:
        query = query.where(col(ModelCatalog.public_id).in_(public_ids))
    rows = list(await session.exec(query))
    unknown = set(public_ids or ()) - {row.public_id for row in rows}
    if unknown:
        raise Missing(f"model catalog not found: {min(unknown)}", param="catalog_ids")
    chosen = [row for row in rows if row.public_id not in excepted]
    changed = [row for row in chosen if row.active != enable]
    for row in changed:
        row.active = enable
        session.add(row)
    if not enable:
        await session.exec(
            update(ProviderModel)
            .where(col(ProviderModel.model_catalog_id).in_([row.id for row in chosen]))
            .values(active=False)
        )
    return len(changed), len(rows) - len(chosen), len(rows)


def is_visible(catalog: ModelCatalog, principal: Principal) -> bool:
    """Whether the caller's flags let it see this entry; administrators see all."""
    if principal.is_admin:
        return True
    return required_flags(catalog) <= {flag.lower() for flag in principal.feature_flags}


def required_flags(catalog: ModelCatalog) -> frozenset[str]:
    """The feature flags, in small letters, without which nobody sees the models of an entry."""
    flags = {EXPERIMENTAL_FLAG} if catalog.experimental else set()
    if catalog.requires_feature_flag:
        flags.add(catalog.requires_feature_flag.lower())
    return frozenset(flags)


def describe_catalog(catalog: ModelCatalog, listed: ListedModel) -> None:
    """Fill an entry from a provider's list; one that an administrator edited stays as it is."""
    if catalog.status == EDITED:
        return
    known = catalog.status == FILLED and not listed.rich
    if known:
        return
    catalog.status = FILLED if listed.rich else INITIAL
    catalog.model_display_name = (listed.name or display_name(listed.id))[:255]
    catalog.description = listed.description
    catalog.context_length = listed.context_length or catalog.context_length
    catalog.family = model_family(catalog.public_id)
    catalog.is_moderated = listed.is_moderated
    catalog.architecture = dict(listed.architecture)
    catalog.supported_parameters = {
        "names": list(listed.parameters),
        "default": {name: format(Decimal(str(value)), "f") for name, value in listed.defaults.items()},
    }
    catalog.supports_images = listed.reads_images
    catalog.supports_audio = listed.reads_audio
    catalog.supports_embeddings = listed.embeds
    catalog.supports_reasoning = listed.reasons
    catalog.supports_tools = listed.calls_tools


def catalog_object(catalog: ModelCatalog) -> dict[str, Any]:
    """The entry as the API shows it."""
    optional = {
        "description": catalog.description,
        "notes": catalog.notes,
        "tags": catalog.tags,
        "extras": catalog.extras,
        "context_length": catalog.context_length,
        "is_moderated": catalog.is_moderated,
        "requires_feature_flag": catalog.requires_feature_flag,
    }
    architecture = catalog.architecture or {}
    return {
        "id": catalog.public_id,
        "public_id": catalog.public_id,
        "model_display_name": catalog.model_display_name,
        **{name: value for name, value in optional.items() if value not in (None, [], {}, "")},
        "supported_parameters": {
            "names": catalog.supported_parameters.get("names", []),
            "default": catalog.supported_parameters.get("default", {}),
        },
        "architecture": {
            "modality": architecture.get("modality", ""),
            "input_modalities": architecture.get("input_modalities", []),
            "output_modalities": architecture.get("output_modalities", []),
            "tokenizer": architecture.get("tokenizer", ""),
            "instruct_type": architecture.get("instruct_type"),
        },
        "active": catalog.active,
        "family": catalog.family,
        "status": catalog.status,
        "experimental": catalog.experimental,
        "supports_images": catalog.supports_images,
        "supports_embeddings": catalog.supports_embeddings,
        "supports_reasoning": catalog.supports_reasoning,
        "supports_instruct": catalog.supports_instruct,
        "supports_audio": catalog.supports_audio,
        "supports_video": catalog.supports_video,
        "supports_tools": catalog.supports_tools,
        "supports_browser": catalog.supports_browser,
        "created_at": int(catalog.created_at.timestamp()),
        "updated_at": int(catalog.updated_at.timestamp()),
    }
