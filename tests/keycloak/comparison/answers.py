"""Answers as flat tables, with placeholders for what cannot be the same on two servers."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import jwt

from tests.keycloak.comparison.side import Side

HEADERS = (
    "content-type",
    "location",
    "www-authenticate",
    "cache-control",
    "pragma",
    "access-control-allow-origin",
    "access-control-allow-credentials",
    "access-control-allow-methods",
    "access-control-allow-headers",
    "access-control-expose-headers",
)
"""The headers that clients read. Cookies are between browsers and the issuer: no client knows their names."""

TOKENS = ("access_token", "id_token")
"""Members that are tokens whose claims others read. Refresh tokens are their issuer's own affair."""

REFUSAL = frozenset({"status", "error", "error_description", "errorMessage", "field"})
"""The rows that tell a refusal."""

LIFETIMES = ("expires_in", "refresh_expires_in", "lives")
"""Members that count seconds, which may differ by one."""

_ISSUED_LATER = {"exp": "lives"}
_TIMES = frozenset({"iat", "auth_time", "createdTimestamp", "createdDate", "start", "lastAccess", "nbf"})
_OPAQUE = frozenset(
    {"refresh_token", "code", "at_hash", "jti", "sid", "session_state", "kid", "n", "x5c", "x5t", "x5t#S256"}
)
_NAMES = ("name", "clientId", "username", "alg")
_PLACE = re.compile(r" at line \d+ column \d+")
_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def table(side: Side, answer: httpx.Response) -> dict[str, Any]:
    """An answer as a table: its status, its headers and every member, each under its path."""
    rows: dict[str, Any] = {"status": answer.status_code}
    for name in HEADERS:
        if name in answer.headers:
            value = answer.headers[name]
            if name in ("cache-control", "pragma") and not _may_be_kept(answer):
                continue
            if name == "content-type":
                value = value.partition(";")[0]
            rows |= _location(side, value) if name == "location" else {name: _text(side, _words(value))}
    media = answer.headers.get("content-type", "").partition(";")[0]
    if media == "application/json":
        rows |= dict(_rows(side, "", answer.json()))
    elif media == "application/jwt":
        rows |= dict(_claims(side, "body", answer.text))
    elif media != "text/html":
        rows["body"] = answer.text
    return rows


def _may_be_kept(answer: httpx.Response) -> bool:
    """Whether a cache could keep an answer, so that it matters what it is told (RFC 9111; RFC 6749, 5.1)."""
    of_tokens = answer.request.url.path.endswith("/token")
    return of_tokens or (answer.request.method == "GET" and answer.status_code < 400)


def differences(keycloak: Mapping[str, Any], embedded: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """The rows in which two tables differ, with both values; None stands for a row that is not there.

    Where one side refuses and the other does not, only the refusal counts: no members can be alike.
    """
    paths = keycloak.keys() | embedded.keys()
    if (keycloak["status"] < 400) != (embedded["status"] < 400):
        paths = paths & REFUSAL
    return {
        path: (keycloak.get(path), embedded.get(path))
        for path in sorted(paths)
        if not _same(path, keycloak.get(path), embedded.get(path))
    }


def _same(path: str, one: Any, other: Any) -> bool:
    if path.rpartition(".")[2] in LIFETIMES and isinstance(one, int) and isinstance(other, int):
        return abs(one - other) <= 1
    return type(one) is type(other) and bool(one == other)


def _rows(side: Side, path: str, value: Any) -> Iterator[tuple[str, Any]]:
    name = path.rpartition(".")[2]
    if isinstance(value, str) and name in TOKENS:
        yield from _claims(side, path, value)
    elif isinstance(value, dict):
        yield path or "body", "<object>"
        for member, inner in value.items():
            lives = _ISSUED_LATER.get(member)
            if lives and "iat" in value:
                yield from _rows(side, _join(path, lives), inner - value["iat"])
            else:
                yield from _rows(side, _join(path, _text(side, member)), inner)
    elif isinstance(value, list):
        yield path or "body", "<list>"
        if all(not isinstance(inner, dict | list) for inner in value):
            # The order of a claim's values means nothing.
            shown = (
                "<opaque texts>" if name in _OPAQUE else sorted((_text(side, one) for one in value), key=str)
            )
            yield f"{path}[]", shown
        else:
            for number, inner in enumerate(value):
                yield from _rows(side, f"{path}[{_title(side, inner, number)}]", inner)
    elif name in _TIMES and value:
        yield path, f"<time in {len(str(value))} digits>"
    elif name == "id" and value not in side.ids.values():
        yield path, "<id>"
    elif name in _OPAQUE and value:
        yield path, "<opaque text>" if isinstance(value, str) else value
    elif name == "scope" and isinstance(value, str):
        yield path, " ".join(sorted(value.split()))
    else:
        yield path or "body", _text(side, value)


def _claims(side: Side, path: str, token: str) -> Iterator[tuple[str, Any]]:
    header = jwt.get_unverified_header(token)
    yield from _rows(side, f"{path}.header", header)
    yield from _rows(side, path, jwt.decode(token, options={"verify_signature": False}))


def _location(side: Side, value: str) -> dict[str, Any]:
    """A redirect's target, and its parameters one by one."""
    parts = urlsplit(value)
    bare = value.partition("?")[0].partition("#")[0]
    found = {"location": _text(side, bare)}
    for name, text in parse_qsl(parts.query, keep_blank_values=True):
        found |= dict(_rows(side, f"location.query.{name}", text))
    for name, text in parse_qsl(parts.fragment, keep_blank_values=True):
        found |= dict(_rows(side, f"location.fragment.{name}", text))
    return found


def _text(side: Side, value: Any) -> Any:
    if not isinstance(value, str):
        return value
    known = {
        side.issuer.removesuffix("/realms/jan"): "<address>",
        side.server.url: "<address>",
        **{made: f"<id of {name}>" for name, made in side.ids.items()},
    }
    for text, placeholder in known.items():
        value = value.replace(text, placeholder)
    return _PLACE.sub("", _ID.sub("<id>", value))


def _words(value: str) -> str:
    """A header's value without what its grammar leaves free: spaces, and the order of directives."""
    if value.startswith("Bearer"):
        return value
    return ", ".join(sorted(part.strip().lower() for part in value.split(",")))


def _title(side: Side, value: Any, number: int) -> str:
    """What tells one member of a list from the next, on both servers alike."""
    if isinstance(value, dict):
        for name in _NAMES:
            if name in value:
                return str(_text(side, value[name]))
    return str(number)


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def shown(found: Mapping[str, tuple[Any, Any]]) -> str:
    """Differences for people."""
    return "\n".join(
        f"  {path}: Keycloak {json.dumps(one)}, embedded {json.dumps(other)}"
        for path, (one, other) in found.items()
    )
