"""The address under which a caller reaches the platform, for links that are handed out.

Behind the gateway it is not the address of this service: the gateway says what the client
used in `X-Forwarded-Proto`, `-Host` and `-Port`.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from starlette.requests import Request

from jan_server.services.llm_api.resources import resources

_AUTHORITY = re.compile(r"(?P<host>[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?P<port>:[0-9]{1,5})?\Z")
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}


def public_origin(request: Request) -> str:
    """Scheme and authority as the client used them, for example `https://jan.example.com`.

    Where nobody names a usable host, the gateway's public address is taken (`JAN_PUBLIC_URL`).
    """
    gateway = resources(request).settings.infrastructure.gateway
    public_url = gateway.public_url.rstrip("/")
    scheme = _first(request, "x-forwarded-proto").lower()
    if scheme not in _DEFAULT_PORTS:
        scheme = "https" if request.url.scheme == "https" else "http"
    told = _first(request, "x-forwarded-host")
    found = _AUTHORITY.match(told or request.headers.get("host", ""))
    if found is None:
        return public_url
    port = found["port"] or ""
    if told and not port and (number := _first(request, "x-forwarded-port")).isdecimal():
        port = f":{number}"
    if port == f":{gateway.kong.http_port}":
        # The gateway names its own port as well where a proxy stands in front that names none.
        public = urlsplit(public_url)
        if found["host"].strip("[]") == public.hostname and scheme in ("http", public.scheme):
            return public_url
        if scheme == "https":
            port = ""
    return f"{scheme}://{found['host']}{port.removesuffix(_DEFAULT_PORTS[scheme])}"


def _first(request: Request, name: str) -> str:
    """What stands first in a header: proxies that add to it add behind."""
    return request.headers.get(name, "").partition(",")[0].strip()
