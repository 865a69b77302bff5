"""The routes about the service itself: whether it lives, can work, and what it counts.

Source: contract/llm-api.md, section 5. The documentation at `/api/swagger` comes with the
platform's edge.
"""

from __future__ import annotations

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from jan_server import __version__
from jan_server.services.llm_api.metrics import PROVIDER_HEALTH, REGISTRY
from jan_server.services.llm_api.resources import Open
from jan_server.services.llm_api.routes.caller import CallerPrincipal
from jan_server.services.llm_api.schemas.health import CheckInfo, Health, ReadinessInfo, VersionInfo

root_router = APIRouter(tags=["health"])
"""What is served at the root alone, without a credential."""

router = APIRouter(prefix="/v1", tags=["health"])
"""What is served below `/v1`, to callers with a credential."""


@root_router.get("/healthz", summary="The process answers")
async def healthz() -> Health:
    """Nothing is asked: whether the service can work is what `/readyz` tells."""
    return Health()


@root_router.get("/healthcheck", include_in_schema=False)
async def healthcheck() -> str:
    """The JSON text `"ok"`."""
    return "ok"


@root_router.get(
    "/readyz",
    summary="What the service needs answers",
    response_model_exclude_none=True,
    responses={503: {"model": ReadinessInfo}},
)
async def readyz(opened: Open, response: Response) -> ReadinessInfo:
    """PostgreSQL and the providers of models are asked; 503 when the service cannot work."""
    report = await opened.readiness.report()
    if report.status == "unavailable":
        response.status_code = 503
    checks = {
        name: CheckInfo(status=finding.status, detail=finding.detail or None)
        for name, finding in report.checks.items()
    }
    return ReadinessInfo(status=report.status, checks=checks)


@root_router.get("/metrics", include_in_schema=False)
async def metrics(opened: Open) -> Response:
    """Prometheus' text format."""
    serving = opened.serving
    PROVIDER_HEALTH.clear()
    for active in serving.registry.providers:
        provider, selector = active.upstream, serving.upstream.selector
        works = any(selector.is_healthy(provider, endpoint) for endpoint in provider.endpoints)
        PROVIDER_HEALTH.labels(provider.name).set(works and not active.problem)
    return Response(generate_latest(REGISTRY), media_type=CONTENT_TYPE_LATEST)


@router.get("/version", summary="Which version runs")
async def version(_: CallerPrincipal, opened: Open) -> VersionInfo:
    """The version, and the moment when the settings were read."""
    return VersionInfo(version=__version__, env_reloaded_at=opened.started_at)


@router.get("/healthz", summary="As /healthz, through the gateway")
async def gateway_healthz(_: CallerPrincipal) -> Health:
    """The process answers, and so does the way to it."""
    return Health()


@router.get(
    "/readyz",
    summary="As /readyz, through the gateway",
    response_model_exclude_none=True,
    responses={503: {"model": ReadinessInfo}},
)
async def gateway_readyz(_: CallerPrincipal, opened: Open, response: Response) -> ReadinessInfo:
    """As `/readyz`."""
    return await readyz(opened, response)
