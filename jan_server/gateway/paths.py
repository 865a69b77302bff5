"""Request paths: their normal form, and how an upstream's path is made from a request's.

Source: RFC 3986 section 6.2.2 and Kong 3.5, whose router compares normalised paths and hands
them to the upstream (table "Path handling algorithms" of its admin API reference).
"""

from __future__ import annotations

import re
from typing import Literal
from urllib.parse import unquote_to_bytes

PathHandling = Literal["v0", "v1"]

_TRIPLET = re.compile(rb"%([0-9A-Fa-f]{2})")
_STRAY = re.compile(rb"%(?![0-9A-Fa-f]{2})")
# A decoded reserved character would change what the path means; `%` itself would decode twice.
_RESERVED = frozenset(b"!*'();:@&=+$,/?%#[]")
# What may stand in a path as it is (RFC 3986, pchar and "/"); Kong keeps brackets and braces out too.
_UNSAFE = re.compile(rb"[^!#$&'()*+,/:;=?@\[\]A-Za-z0-9._~%-]")
# Whoever decodes the slashes finds a segment of dots here; those between real slashes are gone by then.
_HIDDEN_DOTS = re.compile(r"(?:/|%2F)\.{1,2}(?:/|%2F|\Z)")
_NAMED_GROUP = re.compile(r"\(\?<(?![=!])")
_PLAIN = re.compile(rb"(?:/[A-Za-z0-9_~!$&'()*+,;=:@-]+)+/?\Z|/\Z")


def normalise(raw: bytes) -> str:
    """The normal form of a path: triplets decoded where that keeps the meaning, dots and double slashes gone.

    Args:
        raw: The path as the client sent it, without its query, percent-encoded.

    Returns:
        The path percent-encoded, for example `/v1/models/vendor%2Fname`.
    """
    if _PLAIN.match(raw):
        return raw.decode("ascii")
    # A stray percent sign could make a triplet together with what is decoded after it.
    decoded = _TRIPLET.sub(_decoded_triplet, _STRAY.sub(b"%25", raw))
    return _escaped(_without_dots(decoded))


def climbs(path: str) -> bool:
    """Whether a normalised path would lead elsewhere once its encoded slashes were decoded (`..%2F`)."""
    return "%2F" in path and _HIDDEN_DOTS.search(path) is not None


def unquoted(path: str) -> str:
    """The decoded form of a percent-encoded path, as ASGI's `path` wants it."""
    return unquote_to_bytes(path).decode("utf-8", "replace") if "%" in path else path


def upstream_path(
    service_path: str, request_path: str, rest: str, *, strip: bool, handling: PathHandling = "v0"
) -> str:
    """The path that the upstream is asked for.

    Args:
        service_path: The service's own path, `/` when it has none.
        request_path: The normalised path of the request.
        rest: What follows the route's matched path; used when that is stripped.
        strip: The route's `strip_path`.
        handling: The route's `path_handling`: `v0` joins with a slash, `v1` appends.
    """
    if handling == "v1":
        if strip:
            if service_path.endswith("/") and rest.startswith("/"):
                return service_path[:-1] + rest
            return service_path + rest
        return service_path + request_path[1:]
    if service_path.endswith("/"):
        return _joined_to_slash(service_path, request_path, rest, strip=strip)
    if not strip:
        return service_path if request_path == "/" else service_path + request_path
    if rest:
        return service_path + (rest if rest.startswith("/") else f"/{rest}")
    return f"{service_path}/" if len(request_path) > 1 and request_path.endswith("/") else service_path


def safe_rest(rest: str) -> str:
    """What follows a stripped path, without the dots that would climb out of the service's path."""
    if rest in (".", ".."):
        return ""
    if rest.startswith("./"):
        return rest[2:]
    return rest[3:] if rest.startswith("../") else rest


def python_expression(expression: str) -> str:
    """A Kong regular expression as Python writes it: `(?<name>…)` becomes `(?P<name>…)`."""
    return _NAMED_GROUP.sub("(?P<", expression)


def _joined_to_slash(service_path: str, request_path: str, rest: str, *, strip: bool) -> str:
    if not strip:
        return service_path + request_path[1:]
    if rest:
        return service_path[:-1] + rest if rest.startswith("/") else service_path + rest
    if service_path == "/" or request_path.endswith("/"):
        return service_path
    return service_path[:-1]


def _decoded_triplet(match: re.Match[bytes]) -> bytes:
    value = int(match[1], 16)
    return match[0].upper() if value in _RESERVED else bytes((value,))


def _escaped(path: bytes) -> str:
    return _UNSAFE.sub(lambda match: b"%%%02X" % match[0][0], path).decode("ascii")


def _without_dots(path: bytes) -> bytes:
    kept: list[bytes] = []
    segments = path.split(b"/")
    for index, segment in enumerate(segments):
        last = index == len(segments) - 1
        if segment == b"..":
            if kept:
                kept.pop()
            if last:
                kept.append(b"")
        elif segment == b".":
            if last:
                kept.append(b"")
        elif segment or last:
            kept.append(segment)
    return b"/" + b"/".join(kept)
