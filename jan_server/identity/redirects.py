"""Redirect addresses: which of them a client registered, by Keycloak's rules.

An address matches when it equals a registered one, or begins with one that ends in `*`.
Anything that a browser might read differently from this code (credentials, back slashes,
dots that climb up, encoded dots, white space) never matches a wildcard.
Source: RFC 6749, section 3.1.2; RFC 9700, section 4.1 (security best practice).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit, urlunsplit

# White space, controls and back slashes: browsers drop or turn them.
_AMBIGUOUS = re.compile(r"[\x00-\x20\x7f\\]")
_SCRIPTS = frozenset({"javascript", "data", "vbscript"})


def is_registered(uri: str, registered: Sequence[str]) -> bool:
    """Whether a browser may be sent to `uri`."""
    if not uri or _AMBIGUOUS.search(uri):
        return False
    try:
        parts = urlsplit(uri)
        _ = parts.port
    except ValueError:
        return False
    if not parts.scheme or parts.scheme.lower() in _SCRIPTS:
        return False
    if uri in registered:
        return True
    if "@" in parts.netloc or _climbs(parts.path):
        return False
    plain = urlunsplit((parts.scheme, parts.netloc, parts.path, "", ""))
    return any(_matches(plain, pattern[:-1]) for pattern in registered if _is_wildcard(pattern))


def _is_wildcard(pattern: str) -> bool:
    # Without a path before the star, `http://host:80*` would take in port 8000, and `*` everything.
    return pattern.endswith("*") and urlsplit(pattern[:-1]).path.startswith("/")


def _climbs(path: str) -> bool:
    decoded = unquote(unquote(path))
    return any(segment in (".", "..") for segment in decoded.replace("\\", "/").split("/"))


def _matches(plain: str, prefix: str) -> bool:
    # `http://host/*` also stands for `http://host`.
    return plain.startswith(prefix) or (prefix.endswith("/") and plain == prefix[:-1])


def origins_of(uris: Iterable[str]) -> list[str]:
    """The web origins of http and https addresses, each once."""
    found = []
    for uri in uris:
        parts = urlsplit(uri)
        if parts.scheme in ("http", "https") and parts.netloc and "*" not in parts.netloc:
            found.append(f"{parts.scheme}://{parts.netloc}")
    return list(dict.fromkeys(found))


def with_parameters(uri: str, parameters: Iterable[tuple[str, str]], *, fragment: bool = False) -> str:
    """`uri` with further parameters in its query, or in its fragment."""
    parts = urlsplit(uri)
    if fragment:
        return urlunsplit(parts._replace(fragment=urlencode(list(parameters))))
    query = [*parse_qsl(parts.query, keep_blank_values=True), *parameters]
    return urlunsplit(parts._replace(query=urlencode(query), fragment=""))
