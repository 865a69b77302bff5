"""Whether the service lives and can work, and what it counts (contract/response-api.md, section 1)."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from jan_server.services.response_api.metrics import REGISTRY
from jan_server.services.response_api.resources import Open

router = APIRouter(tags=["health"])


@router.get("/", summary="Which service this is")
async def front_page() -> dict[str, str]:
    """Its name, and that it answers."""
    return {"service": "response-api", "status": "ok"}


@router.get("/healthz", summary="The process answers")
async def healthz() -> dict[str, str]:
    """Nothing is asked: whether the service can work is what `/readyz` tells."""
    return {"status": "healthy"}


@router.get("/readyz", summary="What the service needs answers")
async def readyz(opened: Open, response: Response) -> dict[str, Any]:
    """PostgreSQL is asked; 503 when the service cannot work."""
    report = await opened.readiness.report()
    if report.status == "unavailable":
        response.status_code = 503
    checks = {name: {"status": found.status, "detail": found.detail} for name, found in report.checks.items()}
    return {"status": report.status, "checks": checks}


@router.get("/health/auth", summary="Credentials can be checked")
async def health_auth() -> dict[str, str]:
    """Keys are fetched when the first token comes, so the service can check from its start on."""
    return {"status": "ready"}


@router.get("/metrics", include_in_schema=False)
async def metrics() -> Response:
    """Prometheus' text format."""
    return Response(generate_latest(REGISTRY), media_type=CONTENT_TYPE_LATEST)
