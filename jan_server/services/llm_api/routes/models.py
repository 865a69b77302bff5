"""The routes of models and their providers, as users see them (contract/llm-api.md, section 9)."""

from __future__ import annotations

from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Path
from starlette.requests import Request
from starlette.responses import Response

from jan_server.http.json_body import OrjsonResponse
from jan_server.services.llm_api.catalogs import catalog_object, visible_catalog
from jan_server.services.llm_api.models import model_object
from jan_server.services.llm_api.providers import provider_object
from jan_server.services.llm_api.refusals import Missing
from jan_server.services.llm_api.resources import Open, resources
from jan_server.services.llm_api.routes.caller import CallerPrincipal, CallerUser, current_user
from jan_server.services.llm_api.schemas.models import CatalogInfo, ModelInfo, ModelList, ProviderInfo

router = APIRouter(prefix="/v1/models", tags=["models"])

PROVIDER_DATA_HEADER = b"x-provider-data"

LIST_DOCUMENT: dict[str, Any] = {
    "tags": ["models"],
    "summary": "List models",
    "responses": {200: {"model": ModelList}},
}

ModelId = Annotated[str, Path(description="The model's id; its slashes may be raw or percent-encoded.")]


async def list_models(request: Request) -> Response:
    """The models that can be called. `X-PROVIDER-DATA: true` shows each provider's own entry."""
    await current_user(request)
    serving = resources(request).serving
    if not serving.registry.table.first_id:
        await serving.sync.catch_up()
    table = serving.registry.table
    listing = table.detailed_listing if _wants_provider_data(request) else table.listing
    if listing is None:
        raise Missing("no models or providers found", code="no_models")
    return Response(listing, media_type="application/json")


def _wants_provider_data(request: Request) -> bool:
    return (PROVIDER_DATA_HEADER, b"true") in request.scope["headers"]


@router.get(
    "/providers",
    summary="List providers",
    response_model=list[ProviderInfo],
)
async def list_providers(principal: CallerPrincipal, opened: Open) -> Response:
    """The active providers. Their addresses are shown to administrators only."""
    serving = opened.serving
    shown = []
    for active in serving.registry.providers:
        provider = active.upstream
        healthy = {
            endpoint.url
            for endpoint in provider.endpoints
            if serving.upstream.selector.is_healthy(provider, endpoint)
        }
        shown.append(provider_object(active.row, healthy, with_addresses=principal.is_admin))
    return OrjsonResponse(shown)


@router.get("/catalogs/{model_id:path}", summary="Describe a model", response_model=CatalogInfo)
async def retrieve_catalog(model_id: ModelId, principal: CallerPrincipal, opened: Open) -> Response:
    """What is known of one model, whoever offers it."""
    async with opened.database.session() as session:
        return OrjsonResponse(catalog_object(await visible_catalog(session, model_id, principal)))


@router.get("/{model_id:path}", summary="Retrieve a model", response_model=ModelInfo)
async def retrieve_model(model_id: ModelId, caller: CallerUser, opened: Open) -> Response:
    """One model of the list."""
    model = await opened.serving.sync.find_late(model_id)
    return Response(orjson.dumps(model_object(model)), media_type="application/json")
