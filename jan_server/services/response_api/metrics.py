"""The metrics of the Response API, for Prometheus (contract/response-api.md, section 12).

Whoever measures something declares it here, in this service's own registry: in one process
every service answers `/metrics` for itself.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector

REGISTRY = CollectorRegistry()
ProcessCollector(registry=REGISTRY)

PREFIX = "jan_response_api"

TOOL_CALLS = Counter(
    "tool_calls",
    "Calls of tools, and how they ended.",
    ("tool_name", "status"),
    namespace=PREFIX,
    registry=REGISTRY,
)
TOOL_SECONDS = Histogram(
    "tool_duration_seconds",
    "Time that calls of tools took.",
    ("tool_name",),
    namespace=PREFIX,
    registry=REGISTRY,
    buckets=(0.1, 0.5, 1, 2, 5, 10, 30),
)
