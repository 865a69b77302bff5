"""The model catalogue: what is known of a model, who may see it, and how it is shown.

Source: contract/llm-api.md, sections 9.2, 10.1 and 23.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from jan_server.authentication.principal import Principal
from jan_server.services.llm_api.model_ids import display_name, model_family
from jan_server.services.llm_api.model_lists import ListedModel
from jan_server.services.llm_api.refusals import Missing
from jan_server.services.llm_api.tables.model import ModelCatalog

EXPERIMENTAL_FLAG = "experimental_models"

INITIAL = "init"
FILLED = "filled"
EDITED = "updated"


async def visible_catalog(session: AsyncSession, public_id: str, principal: Principal) -> ModelCatalog:
    """The catalogue entry of a model, as far as the caller may see it.

    Raises:
        Missing: It is unknown, experimental or behind a flag that the caller lacks.
    """
    query = select(ModelCatalog).where(
        ModelCatalog.public_id == public_id, col(ModelCatalog.deleted_at).is_(None)
    )
    catalog = (await session.exec(query)).first()
    if catalog is None or not is_visible(catalog, principal):
        raise Missing("model catalog not found", code="model_catalog_not_found")
    return catalog


def is_visible(catalog: ModelCatalog, principal: Principal) -> bool:
    """Whether the caller's flags let it see this entry; administrators see all."""
    if principal.is_admin:
        return True
    if catalog.experimental and EXPERIMENTAL_FLAG not in principal.feature_flags:
        return False
    return not catalog.requires_feature_flag or catalog.requires_feature_flag in principal.feature_flags


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
