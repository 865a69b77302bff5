"""The routes with which administrators keep providers (contract/llm-api.md, section 10.3)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import Response

from jan_server.http.errors import conflict, upstream_failed
from jan_server.http.json_body import OrjsonResponse
from jan_server.http.pagination import PageRequest
from jan_server.http.typed_body import body_of, documented
from jan_server.services.llm_api.model_ids import provider_kind
from jan_server.services.llm_api.provider_administration import (
    CountedProvider,
    count_models,
    delete_provider,
    find_provider,
    list_providers,
    refuse_second_of_kind,
    register_provider,
    update_provider,
)
from jan_server.services.llm_api.provider_checks import check_provider
from jan_server.services.llm_api.provider_models import list_provider_models, provider_model_object
from jan_server.services.llm_api.providers import (
    AUTO_ENABLE,
    ProviderSpec,
    apply_spec,
    endpoint_list,
    provider_object,
)
from jan_server.services.llm_api.resources import Open, Resources
from jan_server.services.llm_api.routes.caller import require_admin
from jan_server.services.llm_api.routes.listing import flag_filter, lenient, query_parameter, text_filter
from jan_server.services.llm_api.schemas.administration import (
    CountedProviderInfo,
    NewProvider,
    ProviderChanges,
    ProviderCheck,
    RegisteredProviderInfo,
    SyncedProviderInfo,
)
from jan_server.services.llm_api.schemas.error import errors
from jan_server.services.llm_api.sync import take_turn
from jan_server.services.llm_api.tables.provider import Provider

router = APIRouter(
    prefix="/v1/admin/providers",
    tags=["provider administration"],
    dependencies=[Depends(require_admin)],
    responses=errors(400, 401, 403, 404, 409),
)

_MOST_SHOWN = 10_000


@router.get(
    "",
    summary="List providers",
    response_model=list[CountedProviderInfo],
    openapi_extra={
        "parameters": [
            query_parameter("search", "Part of a name, in any case."),
            query_parameter("kind", "Only this vendor."),
            query_parameter("category", "Only what answers this."),
            query_parameter("active", "", lenient({"type": "boolean"})),
        ]
    },
)
async def listed(request: Request, opened: Open) -> Response:
    """Inactive ones included, the oldest first."""
    async with opened.database.session() as session:
        found = await list_providers(
            session,
            search=text_filter(request, "search"),
            kind=text_filter(request, "kind"),
            category=text_filter(request, "category"),
            active=flag_filter(request, "active"),
        )
    return OrjsonResponse([_shown(opened, counted) for counted in found])


@router.post(
    "",
    summary="Register a provider",
    response_model=RegisteredProviderInfo,
    openapi_extra=documented(NewProvider),
    responses=errors(502, 504),
)
async def register(opened: Open, body: Annotated[NewProvider, Depends(body_of(NewProvider))]) -> Response:
    """It is asked for its models at once; when it does not list them, nothing is stored."""
    serving = opened.serving
    spec = ProviderSpec(
        name=body.name,
        kind=provider_kind(body.vendor),
        endpoints=endpoint_list(body.addresses),
        api_key=body.api_key or "",
        category=body.category,
        active=body.active,
        details={AUTO_ENABLE: "true", **(body.metadata or {})},
        default_image_generate=bool(body.default_provider_image_generate),
        default_image_edit=bool(body.default_provider_image_edit),
        **body.limits,
    )
    async with opened.database.session() as session:
        await refuse_second_of_kind(session, spec.kind)
    wanted = Provider(display_name=spec.name, kind=spec.kind)
    apply_spec(wanted, spec, serving.secrets)
    try:
        models = await serving.sync.list_models(wanted)
    except ValueError as failure:
        raise upstream_failed(f"{spec.name} does not list its models: {failure}") from failure
    async with opened.database.session() as session:
        await take_turn(session)
        await refuse_second_of_kind(session, spec.kind)
        row = await register_provider(session, spec, models, serving.secrets)
        counted = await count_models(session, row)
        page = PageRequest(limit=_MOST_SHOWN, order="asc")
        offered, _ = await list_provider_models(session, page, provider_id=row.public_id)
    await serving.registry.refresh()
    shown = _shown(opened, counted)
    shown["models"] = [provider_model_object(model) for model in offered]
    return OrjsonResponse(shown)


@router.get(
    "/{provider_id}",
    summary="Read a provider",
    response_model=CountedProviderInfo,
    openapi_extra={"parameters": [query_parameter("include_counts", "", lenient({"type": "boolean"}))]},
)
async def read(request: Request, opened: Open, provider_id: str) -> Response:
    """Its key is never shown."""
    async with opened.database.session() as session:
        counted = await count_models(session, await find_provider(session, provider_id))
    shown = _shown(opened, counted)
    if flag_filter(request, "include_counts"):
        shown["total_models"] = counted.models
        shown["active_models"] = counted.active_models
    return OrjsonResponse(shown)


@router.patch(
    "/{provider_id}",
    summary="Change a provider",
    response_model=CountedProviderInfo,
    openapi_extra=documented(ProviderChanges),
)
async def change(
    opened: Open, provider_id: str, body: Annotated[ProviderChanges, Depends(body_of(ProviderChanges))]
) -> Response:
    """What is left out stays. Switching it off switches its models off too.

    A stored key is removed when the provider moves to another host and no key comes along.
    """
    async with opened.database.session() as session:
        row = await find_provider(session, provider_id)
        key_removed = await update_provider(session, row, _columns(body), opened.serving.secrets)
        counted = await count_models(session, row)
    await opened.serving.registry.refresh()
    shown = _shown(opened, counted)
    return OrjsonResponse({**shown, "api_key_removed": True} if key_removed else shown)


@router.delete("/{provider_id}", summary="Remove a provider", status_code=204)
async def delete(opened: Open, provider_id: str) -> Response:
    """Its models go with it."""
    async with opened.database.session() as session:
        await delete_provider(session, await find_provider(session, provider_id))
    await opened.serving.registry.refresh()
    return Response(status_code=204)


@router.post(
    "/{provider_id}/sync",
    summary="Ask a provider for its models",
    response_model=SyncedProviderInfo,
    responses=errors(502, 503, 504),
)
async def sync(opened: Open, provider_id: str) -> Response:
    """What is new is written down; models that it no longer lists stay."""
    serving = opened.serving
    async with opened.database.session() as session:
        row = await find_provider(session, provider_id)
        before = await count_models(session, row)
    if not row.active:
        raise conflict(f"{row.display_name} is switched off; switch it on first")
    try:
        listed = await serving.sync.sync_provider(row)
    except ValueError as failure:
        raise upstream_failed(f"{row.display_name} does not list its models: {failure}") from failure
    async with opened.database.session() as session:
        counted = await count_models(session, await find_provider(session, provider_id))
    shown = _shown(opened, counted)
    return OrjsonResponse(
        {**shown, "listed_models": listed, "added_models": max(0, counted.models - before.models)}
    )


@router.post("/{provider_id}/test", summary="Test a provider", response_model=ProviderCheck)
async def check(opened: Open, provider_id: str) -> Response:
    """Each of its addresses is asked for its models; one that does not answer is no error here."""
    async with opened.database.session() as session:
        row = await find_provider(session, provider_id)
    checks = await check_provider(opened.serving.registry.active(row), opened.serving.upstream)
    endpoints = [{"ok": not check.message, **asdict(check)} for check in checks]
    return OrjsonResponse({"ok": all(entry["ok"] for entry in endpoints), "endpoints": endpoints})


def _columns(body: ProviderChanges) -> Mapping[str, Any]:
    """The changes by the names of their columns."""
    given: dict[str, Any] = body.model_dump(
        exclude_unset=True, exclude_none=True, exclude={"base_url", "url", "endpoints", "name", "metadata"}
    )
    if body.name is not None:
        given["display_name"] = body.name
    given |= body.limits
    if body.metadata is not None:
        given["details"] = body.metadata
    if body.addresses is not None:
        endpoints = endpoint_list(body.addresses)
        given["endpoints"] = list(endpoints)
        given["base_url"] = endpoints[0]["url"]
    return given


def _shown(opened: Resources, counted: CountedProvider) -> dict[str, Any]:
    serving = opened.serving
    provider = serving.registry.active(counted.row).upstream
    healthy = {
        endpoint.url
        for endpoint in provider.endpoints
        if serving.upstream.selector.is_healthy(provider, endpoint)
    }
    row = counted.row
    return {
        **provider_object(row, healthy, with_addresses=True),
        "source": row.source,
        "api_key_hint": row.api_key_hint,
        "last_synced_at": int(row.last_synced_at.timestamp()) if row.last_synced_at else None,
        "model_count": counted.models,
        "model_active_count": counted.active_models,
    }
