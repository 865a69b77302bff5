"""The address under which a caller reaches the platform, for links that are handed out.

Behind the gateway it is not the address of this service: the gateway says what the client
used in `X-Forwarded-Proto`, `-Host` and `-Port`.
"""

from __future__ import annotations

import re

from starlette.requests import Request

from jan_server.services.llm_api.resources import resources

_AUTHORITY = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?P<port>:[0-9]{1,5})?\Z")
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}


def public_origin(request: Request) -> str:
    """Scheme and authority as the client used them, for example `https://jan.example.com`.

    Where neither the gateway nor the client names a usable host, the gateway's public address
    is taken (`JAN_PUBLIC_URL`).
    """
    scheme = _first(request, "x-forwarded-proto").lower()
    if scheme not in _DEFAULT_PORTS:
        scheme = "https" if request.url.scheme == "https" else "http"
    authority = _forwarded_authority(request) or request.headers.get("host", "")
    found = _AUTHORITY.match(authority)
    if found is None:
        return resources(request).settings.infrastructure.gateway.public_url.rstrip("/")
    return f"{scheme}://{authority.removesuffix(_DEFAULT_PORTS[scheme])}"


def _forwarded_authority(request: Request) -> str:
    host, port = _first(request, "x-forwarded-host"), _first(request, "x-forwarded-port")
    found = _AUTHORITY.match(host)
    return f"{host}:{port}" if found and not found["port"] and port else host


def _first(request: Request, name: str) -> str:
    """What stands first in a header: proxies that add to it add behind."""
    return request.headers.get(name, "").partition(",")[0].strip()
