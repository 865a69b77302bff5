"""The metrics of the LLM API, for Prometheus (contract/llm-api.md, section 26).

Whoever measures something declares it here, in this service's own registry: in one process
every service answers `/metrics` for itself.
"""

from __future__ import annotations

import time
from functools import lru_cache

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

REGISTRY = CollectorRegistry()
ProcessCollector(registry=REGISTRY)

PREFIX = "jan_llm_api"

REQUESTS = Counter(
    "requests",
    "Requests served.",
    ("method", "endpoint", "status", "model", "stream"),
    namespace=PREFIX,
    registry=REGISTRY,
)
REQUEST_SECONDS = Histogram(
    "request_duration_seconds",
    "Time from a request's arrival to the last byte of its answer.",
    ("method", "endpoint", "status"),
    namespace=PREFIX,
    registry=REGISTRY,
    buckets=(0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
)
AUTH_REQUESTS = Counter(
    "auth_requests",
    "Log-ins, refreshes and key checks, and how they ended.",
    ("auth_type", "status"),
    namespace=PREFIX,
    registry=REGISTRY,
)

SHARES = Counter(
    "shares",
    "Shares that were asked for, and how that ended.",
    ("scope", "status"),
    namespace=PREFIX,
    registry=REGISTRY,
)
PUBLIC_SHARE_REQUESTS = Counter(
    "public_share_requests",
    "Reads of public links, and how they ended.",
    ("method", "status"),
    namespace=PREFIX,
    registry=REGISTRY,
)


class RequestMetrics:
    """Counts requests by route; a chat route names its model in the request's state."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = time.perf_counter()
        status = 0

        async def send_and_note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, send_and_note)
        finally:
            route = scope.get("route")
            # Only routes that exist become labels: anybody can invent paths.
            endpoint = str(getattr(route, "path", "unknown"))
            state = scope.get("state", {})
            requests, seconds = _children(
                scope["method"],
                endpoint,
                str(status),
                str(state.get("model", "")),
                str(state.get("stream", "")).lower(),
            )
            requests.inc()
            seconds.observe(time.perf_counter() - started)


@lru_cache(maxsize=2048)
def _children(method: str, endpoint: str, status: str, model: str, stream: str) -> tuple[Counter, Histogram]:
    # Finding a child by its labels costs more than counting with it.
    return (
        REQUESTS.labels(method, endpoint, status, model, stream),
        REQUEST_SECONDS.labels(method, endpoint, status),
    )
