"""What happens to a request's headers on entry, before any plugin: what no client may say is removed.

Source: contract/gateway.md sections 6 and 8; Kong 3.5's `trusted_ips` and `X-Forwarded-*`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache

from starlette.types import Scope

from jan_server.gateway.exchange import Header
from jan_server.gateway.plugins.ip_restriction import Network, within
from jan_server.gateway.router import split_port
from jan_server.http.errors import invalid_request

IDENTITY_PREFIXES = ("x-user-", "x-consumer-", "x-credential-", "x-jan-", "x-gateway-", "x-authenticated-")
"""Beginnings of headers that speak about who a request is from."""

IDENTITY_NAMES = frozenset({"x-anonymous-consumer", "x-auth-method", "x-principal-id", "x-scopes"})

HOP_NAMES = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "upgrade",
    }
)
"""Headers that concern one connection alone (RFC 9110, section 7.6.1); framing is the server's matter."""

FORWARDED_NAMES = frozenset(
    {
        "x-real-ip",
        "x-forwarded-for",
        "x-forwarded-proto",
        "x-forwarded-host",
        "x-forwarded-port",
        "x-forwarded-path",
        "x-forwarded-prefix",
        "x-kong-request-id",
    }
)
"""Headers that the gateway writes anew for every request."""

SINGLE_NAMES = (b"authorization", b"x-api-key", b"apikey", b"host", b"content-length")
"""Headers of which two would mean different things to different readers."""

# An address in brackets, or a name, or nothing; then a port perhaps (RFC 9110, section 7.2).
_HOST = re.compile(rb"(?:\[[0-9A-Fa-f:.]+\]|[^\x00-\x20\x7f/:@?#\\\[\]]*)(?::[0-9]{0,5})?\Z")
_TOLD_NAMES = frozenset({b"x-forwarded-host", b"x-forwarded-port"})
_NOTHING: Mapping[bytes, bytes] = {}
_KNOWN_CONNECTIONS = 2_000
_KNOWN_NAMES = 2_000
_dropped: dict[bytes, bool] = {}


def is_identity(name: str) -> bool:
    """Whether a header speaks about who a request is from; an underscore counts as a dash."""
    plain = name.lower().replace("_", "-")
    return plain in IDENTITY_NAMES or plain.startswith(IDENTITY_PREFIXES)


def kept(headers: Sequence[Header]) -> list[Header]:
    """The headers that a client may send on to an upstream, less `Host`, which every upstream has anew."""
    result = []
    nominated: frozenset[bytes] = frozenset()
    for header in headers:
        name = header[0]
        drop = _dropped.get(name)
        if drop is None:
            drop = _is_dropped(name)
        if not drop:
            result.append(header)
        elif name == b"connection" and header[1] not in (b"keep-alive", b"close", b"Upgrade", b"upgrade"):
            nominated |= _nominated(header[1])
    if nominated:
        result = [header for header in result if header[0] not in nominated]
    return result


def by_name(headers: Sequence[Header]) -> dict[bytes, bytes]:
    """Headers by name.

    Raises:
        ApiError: 400 for a second credential, host or length.
    """
    found = dict(headers)
    if len(found) != len(headers):
        for single in SINGLE_NAMES:
            if sum(name == single for name, _ in headers) > 1:
                raise invalid_request(
                    f"the header {single.decode()} stands there twice", code="duplicate_header"
                )
    return found


def host_of(original: Mapping[bytes, bytes]) -> str:
    """The `Host` of a request, empty where it has none.

    Raises:
        ApiError: 400 for a host that is none, or a port that is no number.
    """
    host = original.get(b"host", b"")
    if _HOST.match(host) is None:
        raise invalid_request("the header Host names no host and port", code="invalid_host")
    return host.decode("latin-1")


def client_address(scope: Scope, given: Mapping[bytes, bytes], trusted: tuple[Network, ...]) -> str:
    """The client's address: the connection's, or what a trusted proxy says in `X-Real-IP`."""
    peer = str((scope.get("client") or ("", 0))[0])
    if trusted and within(peer, trusted):
        told = given.get(b"x-real-ip", b"").decode("latin-1").strip()
        if not told:
            # The last address is the one that the trusted proxy itself saw.
            told = given.get(b"x-forwarded-for", b"").decode("latin-1").rpartition(",")[2].strip()
        return told or peer
    return peer


def forwarded(
    scope: Scope, original: Mapping[bytes, bytes], *, client_ip: str, scheme: str, trusted: bool
) -> list[Header]:
    """What upstreams may want to know about the connection as the client sees it.

    Args:
        scope: The connection.
        original: The client's headers, untouched.
        client_ip: The client's address.
        scheme: The client's scheme.
        trusted: Whether the connection comes from a trusted proxy, whose words are passed on.
    """
    peer = (scope.get("client") or (client_ip, 0))[0]
    server = scope.get("server") or ("", 0)
    headers = list(_plain_forwarded(client_ip, original.get(b"host", b""), scheme, server[1]))
    told = original.get(b"x-forwarded-for")
    if told:
        headers[1] = (b"x-forwarded-for", told + b", " + str(peer).encode("latin-1"))
    if trusted:
        headers = [
            (name, original.get(name) or value) if name in _TOLD_NAMES else (name, value)
            for name, value in headers
        ]
    return headers


@lru_cache(maxsize=_KNOWN_CONNECTIONS)
def _plain_forwarded(client_ip: str, host: bytes, scheme: str, listener: int | None) -> tuple[Header, ...]:
    name, port = split_port(host.decode("latin-1"))
    address = client_ip.encode("latin-1")
    shown = port or listener or (443 if scheme == "https" else 80)
    return (
        (b"x-real-ip", address),
        (b"x-forwarded-for", address),
        (b"x-forwarded-proto", scheme.encode()),
        (b"x-forwarded-host", name.encode("latin-1")),
        (b"x-forwarded-port", str(shown).encode()),
    )


def forwarded_path(original: Mapping[bytes, bytes], path: str, prefix: str, *, trusted: bool) -> list[Header]:
    """What upstreams may want to know about the path as the client asked for it.

    Args:
        original: The client's headers, untouched.
        path: The path that was asked for.
        prefix: What is stripped from the front of that path.
        trusted: Whether a trusted proxy's words are passed on.
    """
    said = original if trusted else _NOTHING
    headers = [(b"x-forwarded-path", said.get(b"x-forwarded-path") or path.encode("latin-1"))]
    before = said.get(b"x-forwarded-prefix") or prefix.encode("latin-1")
    if before:
        headers.append((b"x-forwarded-prefix", before))
    return headers


def client_scheme(scope: Scope, given: Mapping[bytes, bytes], trusted: bool) -> str:
    """`http` or `https`, as the client used it."""
    if trusted and (told := given.get(b"x-forwarded-proto")):
        return "https" if told.strip().lower() == b"https" else "http"
    return "https" if scope.get("scheme") in ("https", "wss") else "http"


def _is_dropped(name: bytes) -> bool:
    text = name.decode("latin-1").lower()
    drop = is_identity(text) or text in HOP_NAMES or text in FORWARDED_NAMES or text == "host"
    # Clients choose the names: what is remembered about them stays bounded.
    if len(_dropped) >= _KNOWN_NAMES:
        _dropped.clear()
    _dropped[name] = drop
    return drop


def _nominated(value: bytes) -> frozenset[bytes]:
    return frozenset(part.strip().lower() for part in value.split(b","))
