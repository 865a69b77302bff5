"""The one pooled outgoing HTTP client of a process."""

from __future__ import annotations

import aiohttp
import orjson

CONNECTIONS = 1000
KEEPALIVE_SECONDS = 60.0


def open_client(*, connect_seconds: float = 10.0) -> aiohttp.ClientSession:
    """Open the client; call it inside the running loop and close it with the process.

    There is no total time limit here: a stream may last as long as its own limits allow, so
    callers set their limits per request. Cookies are never kept and environment proxies are
    honoured only where a caller asks for them.
    """
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(
            limit=CONNECTIONS,
            limit_per_host=0,
            keepalive_timeout=KEEPALIVE_SECONDS,
            ttl_dns_cache=60,
        ),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=connect_seconds),
        cookie_jar=aiohttp.DummyCookieJar(),
        json_serialize=lambda value: orjson.dumps(value).decode(),
        auto_decompress=True,
    )
