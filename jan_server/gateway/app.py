"""The app factory of the gateway."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.types import ASGIApp

from jan_server.authentication.identity_header import IdentitySigner
from jan_server.authentication.outages import identity_unavailable
from jan_server.gateway.gateway import Gateway
from jan_server.gateway.plugins.ip_restriction import read_networks
from jan_server.gateway.shipped_file import IDENTITY_SERVICES, gateway_file, service_ports
from jan_server.http.context import ServiceContext
from jan_server.settings.tree.follow import local_host


def create_app(context: ServiceContext, upstream_apps: Mapping[str, ASGIApp] | None = None) -> Gateway:
    """Make the gateway.

    Args:
        context: The surroundings of the service.
        upstream_apps: Apps of this process by the host name under which the file knows them
            (`llm-api`, `identity`, …); whoever made them runs their lifespans. A service of the
            stack that is not among them is asked at its port on this machine.

    Raises:
        KongFileError: The Kong file says something that is not executed.
        ValueError: The secret of the identity header is missing.
    """
    settings = context.settings
    section = settings.infrastructure.gateway
    return Gateway(
        gateway_file(settings),
        signer=IdentitySigner(settings.identity.header_secret.get_secret_value()),
        client=context.client,
        apps=upstream_apps or {},
        local_ports=service_ports(settings),
        local_host=local_host(settings.server.listen_address),
        trusted=read_networks(section.trusted_ips, "trusted_ips"),
        refused_credentials_per_minute=section.refused_credentials if section.rate_limits_enabled else 0,
        away=dict.fromkeys(IDENTITY_SERVICES, identity_unavailable),
    )
