"""The address of the client behind a request: what limits count and the audit log keeps."""

from __future__ import annotations

from starlette.requests import HTTPConnection

from jan_server.http import client_address as addresses
from jan_server.services.llm_api.resources import resources


def client_address(request: HTTPConnection) -> str:
    """The peer, the client that the gateway of this process names, or the one of a trusted proxy."""
    return addresses.client_address(request.scope, resources(request).trusted_proxies)


def limit_key(request: HTTPConnection) -> str:
    """What limits count the client as: its address, or its network of 64 bits."""
    return addresses.limit_key(client_address(request))
