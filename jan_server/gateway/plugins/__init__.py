"""The plugins that this gateway executes, one module each."""

from __future__ import annotations

from collections.abc import Mapping

from jan_server.gateway.plugins import (
    correlation_id,
    cors,
    ip_restriction,
    jwt,
    keycloak_apikey,
    rate_limiting,
    request_size_limiting,
    request_termination,
    request_transformer,
    response_transformer,
)
from jan_server.gateway.plugins.kind import PluginKind

KINDS: Mapping[str, PluginKind] = {
    kind.name: kind
    for kind in (
        correlation_id.KIND,
        cors.KIND,
        ip_restriction.KIND,
        jwt.KIND,
        keycloak_apikey.KIND,
        rate_limiting.KIND,
        request_size_limiting.KIND,
        request_termination.KIND,
        request_transformer.KIND,
        response_transformer.KIND,
    )
}
"""By Kong's name."""
