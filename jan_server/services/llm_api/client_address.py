"""The address of the client behind a request: what quotas count and the audit log keeps."""

from __future__ import annotations

from starlette.requests import HTTPConnection


def client_address(request: HTTPConnection) -> str:
    """The gateway's word for it, else the peer's; empty when neither is known."""
    told = request.headers.get("x-real-ip", "")
    return told or (request.client.host if request.client else "")
