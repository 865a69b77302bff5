"""What is sent to an upstream over HTTP and what comes back, as the client library wants it."""

from __future__ import annotations

import aiohttp

from jan_server.gateway.exchange import Exchange, Header
from jan_server.http.errors import ApiError

_RESPONSE_HOP_NAMES = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
_REQUEST_FRAMING = frozenset({"transfer-encoding", "expect"})


class NotReached(Exception):
    """The upstream got nothing of the request, so it may be tried elsewhere.

    Attributes:
        error: What to tell the client when there is no elsewhere.
    """

    def __init__(self, error: ApiError) -> None:
        super().__init__(str(error))
        self.error = error


def bad_response() -> ApiError:
    """The 502 of an upstream that answers nothing, or nonsense (contract/gateway.md, section 7)."""
    return ApiError(502, "An invalid response was received from the upstream server", code="upstream_error")


def host_header(host: str, port: int, protocol: str) -> bytes:
    """The `Host` of an upstream: its name, and its port where that is not the usual one."""
    usual = 443 if protocol == "https" else 80
    return (host if port == usual else f"{host}:{port}").encode("latin-1")


def target_of(exchange: Exchange) -> str:
    """The path and query that the upstream is asked for."""
    path = exchange.upstream_path if exchange.upstream_path is not None else exchange.match.upstream_path
    return f"{path}?{exchange.query.decode('latin-1')}" if exchange.query else path


def request_headers(headers: list[Header]) -> list[tuple[str, str]]:
    """The headers to send, as the client library wants them."""
    found = []
    for name, value in headers:
        text = name.decode("latin-1")
        if text not in _REQUEST_FRAMING:
            try:
                found.append((text, value.decode("utf-8")))
            except UnicodeDecodeError:
                # The library writes headers as UTF-8; the few others arrive as the letters they meant.
                found.append((text, value.decode("latin-1")))
    return found


def response_headers(response: aiohttp.ClientResponse) -> list[Header]:
    """The headers of a response that concern more than its connection."""
    found = []
    for name, value in response.raw_headers:
        lowered = name.lower()
        if lowered not in _RESPONSE_HOP_NAMES:
            found.append((lowered, value))
    return found
