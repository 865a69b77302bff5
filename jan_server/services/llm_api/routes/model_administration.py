"""The routes with which administrators keep the catalogue and the models of providers.

Source: contract/llm-api.md, sections 10.1 and 10.2.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import Response

from jan_server.http.errors import invalid_request
from jan_server.http.json_body import OrjsonResponse
from jan_server.http.pagination import PageRequest, page_request
from jan_server.http.typed_body import body_of, documented
from jan_server.services.llm_api.catalogs import (
    catalog_object,
    find_catalog,
    list_catalogs,
    toggle_catalogs,
    update_catalog,
)
from jan_server.services.llm_api.feature_flags import required_flag
from jan_server.services.llm_api.provider_models import (
    CAPABILITIES,
    find_provider_model,
    list_provider_models,
    provider_model_object,
    toggle_provider_models,
    update_provider_model,
)
from jan_server.services.llm_api.resources import Open
from jan_server.services.llm_api.routes.caller import require_admin
from jan_server.services.llm_api.routes.listing import flag_filter, lenient, query_parameter, text_filter
from jan_server.services.llm_api.schemas.administration import (
    CatalogChanges,
    CatalogList,
    CatalogToggle,
    ProviderModelChanges,
    ProviderModelInfo,
    ProviderModelList,
    ProviderModelToggle,
    ToggleOutcome,
)
from jan_server.services.llm_api.schemas.error import errors
from jan_server.services.llm_api.schemas.models import CatalogInfo

router = APIRouter(
    prefix="/v1/admin/models",
    tags=["model administration"],
    dependencies=[Depends(require_admin)],
    responses=errors(400, 401, 403, 404),
)

_CATALOG_FLAGS = (
    "is_moderated",
    "active",
    "supports_images",
    "supports_embeddings",
    "supports_reasoning",
    "supports_audio",
    "supports_video",
    "supports_tools",
)
# What is not `true` is taken for false.
_FLAG = lenient({"type": "boolean"})


def _page(request: Request) -> PageRequest:
    page = page_request(request.query_params)
    if page.after is not None:
        raise invalid_request("this list has no cursors; use offset", param="after")
    return page


def _page_parameters(*further: dict[str, Any]) -> dict[str, Any]:
    return {
        "parameters": [
            query_parameter("limit", "", {"type": "integer", "minimum": 1, "default": 20}),
            query_parameter("offset", "", {"type": "integer", "minimum": 0}),
            query_parameter("order", "", {"type": "string", "enum": ["asc", "desc"], "default": "desc"}),
            *further,
        ]
    }


@router.get(
    "/catalogs",
    summary="List the catalogue",
    response_model=CatalogList,
    openapi_extra=_page_parameters(
        query_parameter("status", "`init`, `filled` or `updated`."),
        query_parameter("family", ""),
        *(query_parameter(name, "", _FLAG) for name in _CATALOG_FLAGS),
    ),
)
async def listed_catalogs(request: Request, opened: Open) -> Response:
    """By age, the newest first unless `order` says otherwise."""
    page = _page(request)
    filters: dict[str, Any] = {
        name: flag for name in _CATALOG_FLAGS if (flag := flag_filter(request, name)) is not None
    }
    filters |= {name: text for name in ("status", "family") if (text := text_filter(request, name))}
    async with opened.database.session() as session:
        rows, total = await list_catalogs(session, page, filters)
    return OrjsonResponse({"data": list(map(catalog_object, rows)), "total": total, "limit": page.limit})


@router.post(
    "/catalogs/bulk-toggle",
    summary="Switch catalogue entries on or off",
    response_model=ToggleOutcome,
    openapi_extra=documented(CatalogToggle),
)
async def toggled_catalogs(
    opened: Open, body: Annotated[CatalogToggle, Depends(body_of(CatalogToggle))]
) -> Response:
    """Switching off reaches the models of the entries too; switching on leaves them as they are."""
    async with opened.database.session() as session:
        updated, skipped, checked = await toggle_catalogs(
            session, enable=body.enable, public_ids=body.catalog_ids, excepted=set(body.except_models)
        )
    await opened.serving.registry.refresh()
    return _outcome(updated, skipped, checked)


@router.get("/catalogs/{model_id:path}", summary="Read a catalogue entry", response_model=CatalogInfo)
async def read_catalog(opened: Open, model_id: str) -> Response:
    """Hidden ones included."""
    async with opened.database.session() as session:
        return OrjsonResponse(catalog_object(await find_catalog(session, model_id)))


@router.patch(
    "/catalogs/{model_id:path}",
    summary="Change a catalogue entry",
    response_model=CatalogInfo,
    openapi_extra=documented(CatalogChanges),
)
async def change_catalog(
    opened: Open, model_id: str, body: Annotated[CatalogChanges, Depends(body_of(CatalogChanges))]
) -> Response:
    """Any change, an empty one too, sets `status` to `updated`, which protects the entry from syncs."""
    changes = body.model_dump(exclude_unset=True)
    for name, empty in (("tags", []), ("extras", {}), ("architecture", {}), ("supported_parameters", {})):
        if name in changes and changes[name] is None:
            changes[name] = empty
    for name in ("notes", "description", "family", "requires_feature_flag"):
        if changes.get(name) == "":
            changes[name] = None
    async with opened.database.session() as session:
        catalog = await find_catalog(session, model_id)
        if flag := changes.get("requires_feature_flag"):
            changes["requires_feature_flag"] = await required_flag(session, flag)
        catalog = await update_catalog(session, catalog, changes)
    await opened.serving.registry.refresh()
    return OrjsonResponse(catalog_object(catalog))


@router.get(
    "/provider-models",
    summary="List providers' models",
    response_model=ProviderModelList,
    openapi_extra=_page_parameters(
        query_parameter("provider_id", "An unknown one is ignored."),
        query_parameter("model_key", "The public model id."),
        query_parameter("category", ""),
        query_parameter("family", ""),
        query_parameter("search", "Part of the ids, the name or the vendor, in any case."),
        query_parameter("sort_by", "`category_order,model_order` sorts as the public list is."),
        *(query_parameter(name, "", _FLAG) for name in ("active", "include_catalog", *CAPABILITIES)),
    ),
)
async def listed_models(request: Request, opened: Open) -> Response:
    """By age, the newest first, or as the public list is sorted."""
    page = _page(request)
    with_catalog = flag_filter(request, "include_catalog")
    async with opened.database.session() as session:
        models, total = await list_provider_models(
            session,
            page,
            provider_id=text_filter(request, "provider_id"),
            model_id=text_filter(request, "model_key"),
            active=flag_filter(request, "active"),
            category=text_filter(request, "category"),
            family=text_filter(request, "family"),
            search=text_filter(request, "search"),
            capabilities={
                name: flag for name in CAPABILITIES if (flag := flag_filter(request, name)) is not None
            },
            by_place=text_filter(request, "sort_by") == "category_order,model_order",
        )
    data = []
    for model in models:
        shown = provider_model_object(model)
        if with_catalog and model.catalog is not None:
            shown["catalog"] = catalog_object(model.catalog)
        data.append(shown)
    return OrjsonResponse({"data": data, "total": total, "limit": page.limit})


@router.post(
    "/provider-models/bulk-toggle",
    summary="Switch providers' models on or off",
    response_model=ToggleOutcome,
    openapi_extra=documented(ProviderModelToggle),
)
async def toggled_models(
    opened: Open, body: Annotated[ProviderModelToggle, Depends(body_of(ProviderModelToggle))]
) -> Response:
    """Models whose catalogue entry is off are not switched on."""
    async with opened.database.session() as session:
        outcome = await toggle_provider_models(
            session,
            enable=body.enable,
            provider_id=body.provider_id,
            public_ids=body.provider_model_ids,
            excepted=set(body.except_models),
        )
    await opened.serving.registry.refresh()
    return _outcome(outcome.updated, outcome.skipped, outcome.checked)


@router.get(
    "/provider-models/{provider_model_id}",
    summary="Read a provider's model",
    response_model=ProviderModelInfo,
)
async def read_model(opened: Open, provider_model_id: str) -> Response:
    """Its id is `pmdl_…`."""
    async with opened.database.session() as session:
        return OrjsonResponse(provider_model_object(await find_provider_model(session, provider_model_id)))


_CLEARED = ("token_limits", "default_parameters")
"""What null takes away from a provider's model, as a whole or by its members."""


@router.patch(
    "/provider-models/{provider_model_id}",
    summary="Change a provider's model",
    response_model=ProviderModelInfo,
    openapi_extra=documented(ProviderModelChanges),
    responses=errors(409),
)
async def change_model(
    opened: Open,
    provider_model_id: str,
    body: Annotated[ProviderModelChanges, Depends(body_of(ProviderModelChanges))],
) -> Response:
    """What is left out stays."""
    changes = body.model_dump(exclude_unset=True)
    changes = {name: value for name, value in changes.items() if value is not None or name in _CLEARED}
    for name in _CLEARED:
        if changes.get(name):
            changes[name] = {key: value for key, value in changes[name].items() if value is not None} or None
    async with opened.database.session() as session:
        model = await find_provider_model(session, provider_model_id)
        shown = provider_model_object(await update_provider_model(session, model, changes))
    await opened.serving.registry.refresh()
    return OrjsonResponse(shown)


def _outcome(updated: int, skipped: int, checked: int) -> Response:
    return OrjsonResponse(
        {"updated_count": updated, "skipped_count": skipped, "failed_count": 0, "total_checked": checked}
    )
