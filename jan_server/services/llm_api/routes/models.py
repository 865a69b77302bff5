"""The routes of models and their providers, as users see them (contract/llm-api.md, section 9)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Path
from starlette.requests import Request
from starlette.responses import Response

from jan_server.http.error_document import ErrorBody
from jan_server.http.json_body import OrjsonResponse
from jan_server.services.llm_api.anthropic.model_list import (
    DEFAULT_LIMIT,
    MAXIMUM_LIMIT,
    model_info,
    model_page,
)
from jan_server.services.llm_api.catalogs import catalog_object, visible_catalog
from jan_server.services.llm_api.models import ModelTable, OfferedModel, model_list, model_object
from jan_server.services.llm_api.providers import provider_object
from jan_server.services.llm_api.refusals import Missing, Refusal
from jan_server.services.llm_api.resources import Open, resources
from jan_server.services.llm_api.routes.anthropic_callers import (
    VERSION_HEADER,
    anthropic_failure,
    speaks_anthropic,
    take_key,
    with_anthropics_errors,
)
from jan_server.services.llm_api.routes.caller import CallerPrincipal, CallerUser, current_user
from jan_server.services.llm_api.schemas.message import MessageErrorBody
from jan_server.services.llm_api.schemas.models import (
    AnthropicModel,
    AnthropicModelPage,
    CatalogInfo,
    ModelInfo,
    ModelList,
    ProviderInfo,
)
from jan_server.services.llm_api.sync import unknown_model
from jan_server.services.llm_api.users import CurrentUser

router = APIRouter(prefix="/v1/models", tags=["models"])

PROVIDER_DATA_HEADER = b"x-provider-data"

_ANTHROPICS_VERSION: dict[str, Any] = {
    "name": VERSION_HEADER,
    "in": "header",
    "required": False,
    "schema": {"type": "string", "examples": ["2023-06-01"]},
    "description": "Asks for Anthropic's shape.",
}

_EITHER_ERROR: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorBody | MessageErrorBody} for status in (400, 401, 404, 503)
}

LIST_DOCUMENT: dict[str, Any] = {
    "tags": ["models"],
    "summary": "List models",
    "openapi_extra": {
        "parameters": [
            _ANTHROPICS_VERSION,
            *(
                {"name": name, "in": "query", "required": False, "schema": schema, "description": description}
                for name, schema, description in (
                    (
                        "limit",
                        {"type": "integer", "minimum": 1, "maximum": MAXIMUM_LIMIT, "default": DEFAULT_LIMIT},
                        "Models of one page; in Anthropic's shape only.",
                    ),
                    ("after_id", {"type": "string"}, "The last model of the page before; likewise."),
                    ("before_id", {"type": "string"}, "The first model of the page behind; likewise."),
                )
            ),
        ]
    },
    "responses": {200: {"model": ModelList | AnthropicModelPage}, **_EITHER_ERROR},
}

ModelId = Annotated[str, Path(description="The model's id; its slashes may be raw or percent-encoded.")]


async def list_models(request: Request) -> Response:
    """The models that can be called. `X-PROVIDER-DATA: true` shows each provider's own entry.

    Anthropic's clients, who send `anthropic-version`, get pages of those that answer messages.
    """
    if speaks_anthropic(request):
        return await _list_for_anthropic(request)
    caller = await current_user(request)
    table = await _models(request, caller)
    detailed = _wants_provider_data(request)
    listing = table.detailed_listing if detailed else table.listing
    if resources(request).serving.limits.restricts_models(caller.id, caller.principal.key_id):
        shown = _allowed(request, caller, table.by_key.values() if detailed else table.merged)
        listing = model_list(shown, with_provider=detailed) if shown else None
    if listing is None:
        raise Missing("no models or providers found", code="no_models")
    return Response(listing, media_type="application/json")


@with_anthropics_errors
async def _list_for_anthropic(request: Request) -> Response:
    take_key(request.scope)
    caller = await current_user(request)
    models = _allowed(request, caller, (await _models(request, caller)).merged)
    return OrjsonResponse(model_page(models, request.query_params))


def _allowed(request: Request, caller: CurrentUser, models: Iterable[OfferedModel]) -> list[OfferedModel]:
    """The models that the caller may call."""
    limits = resources(request).serving.limits
    return [model for model in models if limits.allows(caller.id, caller.principal.key_id, model)]


async def _models(request: Request, caller: CurrentUser) -> ModelTable:
    serving = resources(request).serving
    if not serving.registry.table.first_id:
        await serving.sync.catch_up()
    return serving.registry.table.seen_by(caller.principal)


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


@router.get(
    "/{model_id:path}",
    summary="Retrieve a model",
    response_model=ModelInfo | AnthropicModel,
    openapi_extra={"parameters": [_ANTHROPICS_VERSION]},
    responses=_EITHER_ERROR,
)
async def retrieve_model(request: Request, model_id: ModelId, caller: CallerUser) -> Response:
    """One model of the list; for Anthropic's clients, who send `anthropic-version`, in its shape."""
    if speaks_anthropic(request):
        try:
            return OrjsonResponse(model_info(await _find(request, caller, model_id)))
        except Refusal as failure:
            return anthropic_failure(request.scope, failure)
    model = await _find(request, caller, model_id)
    return Response(orjson.dumps(model_object(model)), media_type="application/json")


async def _find(request: Request, caller: CurrentUser, model_id: str) -> OfferedModel:
    """One model that the caller may call; Missing for any other, as the list does not show it."""
    model = await resources(request).serving.sync.find(model_id, caller.principal)
    if not _allowed(request, caller, [model]):
        raise unknown_model(model_id)
    return model
