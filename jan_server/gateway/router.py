"""Chooses the route of a request, with the precedence of Kong 3.5's `traditional_compatible` router.

A route's rank is one number: how many of methods, hosts, headers and paths it restricts; whether
its hosts are all plain; how many headers it names; whether its path is an expression; the
expression's priority; the length of its prefix. Routes with prefixes of several lengths, or with
prefixes and expressions, compete as several routes. Equal ranks go to the one that stands first
in the file (Kong: an arbitrary one). Prefixes, and the literal beginnings of expressions, are
looked up in a dictionary, so that a request meets only the routes that its path can match.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from jan_server.gateway.entities import Route, Service
from jan_server.gateway.paths import climbs, normalise, python_expression, safe_rest, unquoted, upstream_path
from jan_server.http.errors import invalid_request

Headers = Sequence[tuple[bytes, bytes]]

CACHED_MATCHES = 5_000
# A cache key is as long as the path, which the client chooses.
LONGEST_CACHED_PATH = 512

_PLAIN_HOSTS = 1 << 60
_EXPRESSION = 1 << 51
_MOST_HEADERS = 255
_LONGEST_RANKED_PREFIX = 0x7FFFF
_SPECIAL = frozenset(".^$*+?{}[]\\|()")


@dataclass(frozen=True, slots=True)
class Match:
    """A chosen route, and what follows from it for this request.

    Attributes:
        route: The route.
        service: Its service, None for a route that only plugins answer.
        path: The normalised path of the request.
        upstream_path: The path that the upstream is asked for, percent-encoded.
        decoded_path: The same, decoded.
        prefix: What was stripped from the front of the path.
        captures: The groups of the expression, by number (as text) and by name.
    """

    route: Route
    service: Service | None
    path: str
    upstream_path: str
    decoded_path: str
    prefix: str = ""
    captures: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Host:
    """One entry of `hosts`: exact, or with a wildcard at one end."""

    text: str
    kind: str
    port: int

    @classmethod
    def read(cls, written: str) -> _Host:
        host, port = split_port(written)
        if host.startswith("*"):
            return cls(host[1:], "end", port)
        if host.endswith("*"):
            return cls(host[:-1], "start", port)
        return cls(host, "whole", port)

    def fits(self, host: str, port: int) -> bool:
        if self.port and self.port != port:
            return False
        if self.kind == "end":
            return host.endswith(self.text)
        return host.startswith(self.text) if self.kind == "start" else host == self.text


@dataclass(frozen=True, slots=True)
class _HeaderRule:
    """One entry of `headers`: any of the values, exactly or by expression, ignoring case."""

    name: bytes
    values: frozenset[bytes]
    expressions: tuple[re.Pattern[str], ...]

    @classmethod
    def read(cls, name: str, values: Iterable[str]) -> _HeaderRule:
        plain = frozenset(value.lower().encode() for value in values if not value.startswith("~*"))
        expressions = tuple(
            re.compile(python_expression(value[2:].lower())) for value in values if value.startswith("~*")
        )
        return cls(name.encode(), plain, expressions)

    def fits(self, headers: Headers) -> bool:
        for name, value in headers:
            if name == self.name:
                lowered = value.lower()
                if lowered in self.values:
                    return True
                if any(found.search(lowered.decode("latin-1")) for found in self.expressions):
                    return True
        return False


@dataclass(frozen=True, slots=True)
class _Entry:
    """A route, or the part of a route whose paths rank alike."""

    route: Route
    rank: int
    prefixes: tuple[str, ...] = ()
    expressions: tuple[re.Pattern[str], ...] = ()
    methods: frozenset[str] = frozenset()
    hosts: tuple[_Host, ...] = ()
    headers: tuple[_HeaderRule, ...] = ()

    def fits(self, method: str, host: str, port: int, headers: Headers) -> bool:
        return (
            (not self.methods or method in self.methods)
            and (not self.hosts or any(each.fits(host, port) for each in self.hosts))
            and all(rule.fits(headers) for rule in self.headers)
        )


class Router:
    """Matches requests against the routes of a file.

    Args:
        routes: The routes, in the order of the file.
        services: The services by name.
    """

    def __init__(self, routes: Sequence[Route], services: Mapping[str, Service]) -> None:
        self._services = services
        entries = [entry for route in routes for entry in _entries(route)]
        # `sorted` is stable: equal ranks keep the order of the file.
        self._entries = sorted(entries, key=lambda entry: -entry.rank)
        self._by_prefix: dict[str, list[int]] = {}
        self._by_literal: dict[str, list[tuple[int, int, re.Pattern[str]]]] = {}
        self._anywhere: list[int] = []
        for position, entry in enumerate(self._entries):
            for prefix in entry.prefixes:
                self._by_prefix.setdefault(prefix, []).append(position)
            for order, expression in enumerate(entry.expressions):
                literal = literal_beginning(expression.pattern)
                self._by_literal.setdefault(literal, []).append((position, order, expression))
            if not entry.prefixes and not entry.expressions:
                self._anywhere.append(position)
        self._prefix_lengths = sorted({len(prefix) for prefix in self._by_prefix}, reverse=True)
        self._literal_lengths = sorted({len(literal) for literal in self._by_literal}, reverse=True)
        self._reads_hosts = any(entry.hosts for entry in self._entries)
        self._reads_headers = any(entry.headers for entry in self._entries)
        self._cache: dict[tuple[str, bytes, str, str], Match | None] = {}

    def match(
        self, method: str, raw_path: bytes, *, host: str = "", scheme: str = "http", headers: Headers = ()
    ) -> Match | None:
        """The route of a request, None when no route wants it.

        Args:
            method: The HTTP method.
            raw_path: The path as it was sent, percent-encoded, without its query.
            host: The `Host` header.
            scheme: `http` or `https`; it says the port where the host names none.
            headers: All headers, names in lower case.

        Raises:
            ApiError: 400 for a path in which encoded slashes stand beside dots.
        """
        if not self._reads_hosts:
            host = ""
        if self._reads_headers or len(raw_path) > LONGEST_CACHED_PATH:
            return self._find(method, raw_path, host, scheme, headers)
        key = (method, raw_path, host, scheme)
        try:
            return self._cache[key]
        except KeyError:
            found = self._find(method, raw_path, host, scheme, headers)
        if len(self._cache) >= CACHED_MATCHES:
            self._cache.clear()
        self._cache[key] = found
        return found

    def _find(self, method: str, raw_path: bytes, host: str, scheme: str, headers: Headers) -> Match | None:
        path = normalise(raw_path)
        if climbs(path):
            raise invalid_request("the path has dots beside an encoded slash", code="invalid_path")
        name, port = split_port(host.lower())
        port = port or (443 if scheme == "https" else 80)
        for position, length, found in self._candidates(path):
            entry = self._entries[position]
            if entry.fits(method, name, port, headers):
                return self._made(entry.route, path, length, found)
        return None

    def _candidates(self, path: str) -> list[tuple[int, int, re.Match[str] | None]]:
        """Entries whose paths match, best first, with the length of what matched."""
        matched: dict[int, tuple[int, re.Match[str]]] = {}
        size = len(path)
        for length in self._literal_lengths:
            if length > size:
                continue
            for position, order, expression in self._by_literal.get(path[:length], ()):
                # Of a route's expressions the one that stands first decides what is stripped.
                if position not in matched or order < matched[position][0]:
                    hit = expression.match(path)
                    if hit is not None:
                        matched[position] = (order, hit)
        found: list[tuple[int, int, re.Match[str] | None]] = [
            (position, hit.end(), hit) for position, (_, hit) in matched.items()
        ]
        for length in self._prefix_lengths:
            if length <= size:
                found.extend((position, length, None) for position in self._by_prefix.get(path[:length], ()))
        found.extend((position, 0, None) for position in self._anywhere)
        found.sort(key=lambda each: each[0])
        return found

    def _made(self, route: Route, path: str, length: int, found: re.Match[str] | None) -> Match:
        service = self._services.get(route.service)
        strips = route.strip_path and length > 0
        rest = safe_rest(path[length:] if strips else path[1:])
        target = upstream_path(
            service.path if service else "/", path, rest, strip=route.strip_path, handling=route.path_handling
        )
        captures: dict[str, str] = {}
        if found is not None:
            captures = {str(number): text or "" for number, text in enumerate(found.groups(), 1)}
            captures.update({name: text or "" for name, text in found.groupdict().items()})
        return Match(
            route=route,
            service=service,
            path=path,
            upstream_path=target,
            decoded_path=unquoted(target),
            prefix=path[:length] if strips else "",
            captures=captures,
        )


def rank(route: Route, *, prefix_length: int = 0, expression: bool = False) -> int:
    """The priority of a route, or of the part of it with this kind of path; the greater is tried first.

    Source: Kong 3.5, `traditional_compatible` (the layout of its 64-bit matcher priority).
    """
    restricted = (route.methods, route.hosts, route.headers, route.paths)
    number = sum(bool(each) for each in restricted) << 61
    if route.hosts and not any("*" in host for host in route.hosts):
        number |= _PLAIN_HOSTS
    number |= min(len(route.headers), _MOST_HEADERS) << 52
    if expression:
        number |= _EXPRESSION | (route.regex_priority << 19)
    return number | min(prefix_length, _LONGEST_RANKED_PREFIX)


def best_rank(route: Route) -> int:
    """The rank of a route, or of the part of it that is tried first."""
    ranks = [rank(route, expression=True) for path in route.paths if path.startswith("~")]
    ranks += [rank(route, prefix_length=len(path)) for path in route.paths if not path.startswith("~")]
    return max(ranks, default=rank(route))


def split_port(host: str) -> tuple[str, int]:
    """A host and its port, 0 where it names none or no port at all; `[::1]:80` and `*.example.com:80` too."""
    name, separator, port = host.rpartition(":")
    # Digits of other scripts are digits too, and numbers of thousands of digits are not read at all.
    if (
        separator
        and len(port) <= 5
        and port.isascii()
        and port.isdigit()
        and (":" not in name or name.endswith("]"))
    ):
        return name, int(port)
    return host, 0


def literal_beginning(expression: str) -> str:
    """The text that everything an expression matches begins with; empty where that is not plain to see."""
    # Escaped letters and classes may hold brackets that group nothing.
    bare = re.sub(r"\[[^\]]*\]", "", re.sub(r"\\.", "", expression))
    if "|" in re.sub(r"\([^()]*\)", "", bare):
        return ""
    end = next((index for index, letter in enumerate(expression) if letter in _SPECIAL), len(expression))
    if end < len(expression) and expression[end] in "*?{":
        end -= 1
    return expression[: max(end, 0)]


def _entries(route: Route) -> Iterable[_Entry]:
    methods = frozenset(route.methods)
    hosts = tuple(_Host.read(host) for host in route.hosts)
    headers = tuple(_HeaderRule.read(name, values) for name, values in route.headers)
    expressions = tuple(re.compile(path[1:]) for path in route.paths if path.startswith("~"))
    by_length: dict[int, list[str]] = {}
    for path in route.paths:
        if not path.startswith("~"):
            by_length.setdefault(len(path), []).append(path)
    if expressions:
        yield _Entry(route, rank(route, expression=True), (), expressions, methods, hosts, headers)
    for length, prefixes in by_length.items():
        number = rank(route, prefix_length=length)
        yield _Entry(route, number, tuple(prefixes), (), methods, hosts, headers)
    if not route.paths:
        yield _Entry(route, rank(route), (), (), methods, hosts, headers)
