"""The metrics of the Response API, for Prometheus (contract/response-api.md, section 12).

Whoever measures something declares it here, in this service's own registry: in one process
every service answers `/metrics` for itself.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, ProcessCollector

REGISTRY = CollectorRegistry()
ProcessCollector(registry=REGISTRY)

PREFIX = "jan_response_api"
