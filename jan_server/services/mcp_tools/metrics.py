"""The metrics of MCP Tools, for Prometheus (contract/mcp-tools.md, section 12).

Whoever measures something declares it here, in this service's own registry: in one process
every service answers `/metrics` for itself.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector

REGISTRY = CollectorRegistry()
ProcessCollector(registry=REGISTRY)

PREFIX = "jan_mcp"

_SECONDS = (0.1, 0.5, 1, 2, 5, 10, 30)

REQUESTS = Counter("requests", "Requests served.", ("method", "status"), namespace=PREFIX, registry=REGISTRY)
TOOL_CALLS = Counter(
    "tool_calls",
    "Calls of tools, and how they ended.",
    ("tool_name", "provider", "status"),
    namespace=PREFIX,
    registry=REGISTRY,
)
TOOL_SECONDS = Histogram(
    "tool_duration_seconds",
    "Time that calls of tools took.",
    ("tool_name", "provider"),
    namespace=PREFIX,
    registry=REGISTRY,
    buckets=_SECONDS,
)
TOOL_TOKENS = Counter(
    "tool_tokens",
    "Tokens of the tools' results, about.",
    ("tool_name", "provider"),
    namespace=PREFIX,
    registry=REGISTRY,
)
