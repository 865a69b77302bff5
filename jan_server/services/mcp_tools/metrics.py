"""The metrics of MCP Tools, for Prometheus (contract/mcp-tools.md, section 12).

Whoever measures something declares it here, in this service's own registry: in one process
every service answers `/metrics` for itself.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, ProcessCollector

REGISTRY = CollectorRegistry()
ProcessCollector(registry=REGISTRY)

PREFIX = "jan_mcp"
