"""Which route a request takes: Kong 3.5's precedence."""

from __future__ import annotations

import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jan_server.gateway.entities import Route, Service
from jan_server.gateway.router import Router, literal_beginning, rank

SERVICES = {"s": Service(name="s", host="s.example", port=80)}


def chosen(
    routes: list[Route],
    method: str = "GET",
    path: str = "/",
    *,
    host: str = "gateway.example",
    headers: list[tuple[bytes, bytes]] | None = None,
) -> str | None:
    match = Router(routes, SERVICES).match(method, path.encode(), host=host, headers=headers or [])
    return match.route.name if match else None


def route(name: str, **fields: object) -> Route:
    return Route(name=name, service="s", **fields)  # type: ignore[arg-type]


def test_the_longest_prefix_wins_whatever_the_order() -> None:
    routes = [route("short", paths=("/v1",)), route("long", paths=("/v1/realtime",))]
    for order in (routes, routes[::-1]):
        assert chosen(order, path="/v1/realtime/sessions") == "long"
        assert chosen(order, path="/v1/models") == "short"
        assert chosen(order, path="/v2") is None


def test_a_prefix_is_text_and_not_segments() -> None:
    assert chosen([route("a", paths=("/v1",))], path="/v10") == "a"


@pytest.mark.parametrize(
    ("winner", "loser"),
    [
        # More restrictions before fewer, whatever the length of the path.
        ({"paths": ("/a",), "methods": ("GET",)}, {"paths": ("/a/longer",)}),
        ({"paths": ("/a",), "hosts": ("gateway.example",)}, {"paths": ("/a/longer",)}),
        ({"paths": ("/a",), "headers": (("x-v", ("1",)),)}, {"paths": ("/a/longer",)}),
        (
            {"paths": ("/a",), "methods": ("GET",), "hosts": ("gateway.example",)},
            {"paths": ("/a/longer",), "methods": ("GET",)},
        ),
        # A plain host before a wildcard.
        (
            {"hosts": ("gateway.example",), "paths": ("/a",)},
            {"hosts": ("*.example",), "paths": ("/a/longer",)},
        ),
        # More headers before fewer.
        (
            {"headers": (("x-v", ("1",)), ("x-w", ("2",))), "paths": ("/a",)},
            {"headers": (("x-v", ("1",)),), "paths": ("/a/longer",)},
        ),
        # An expression before a prefix.
        ({"paths": ("~/a",)}, {"paths": ("/a/longer/and/longer",)}),
        # The greater regex_priority among expressions.
        ({"paths": ("~/a/.*",), "regex_priority": 2}, {"paths": ("~/a/longer/.*",), "regex_priority": 1}),
        # A header criterion outweighs an expression.
        ({"paths": ("/a",), "headers": (("x-v", ("1",)),)}, {"paths": ("~/a/.*",)}),
    ],
)
def test_the_more_specific_route_wins(winner: dict[str, object], loser: dict[str, object]) -> None:
    routes = [route("winner", **winner), route("loser", **loser)]
    sent = [(b"x-v", b"1"), (b"x-w", b"2")]
    for order in (routes, routes[::-1]):
        assert chosen(order, path="/a/longer/and/longer", headers=sent) == "winner"


def test_equal_routes_keep_the_order_of_the_file() -> None:
    routes = [route("first", paths=("/a",)), route("second", paths=("/a",))]
    assert chosen(routes, path="/a") == "first"


def test_a_route_with_paths_of_several_lengths_competes_with_each() -> None:
    routes = [route("many", paths=("/a", "/a/b/c")), route("one", paths=("/a/b",))]
    assert chosen(routes, path="/a/b/c") == "many"
    assert chosen(routes, path="/a/b") == "one"
    assert chosen(routes, path="/a") == "many"


def test_a_route_that_does_not_want_the_request_leaves_it_to_the_next() -> None:
    routes = [
        route("get", paths=("/v1/public",), methods=("GET",)),
        route("all", paths=("/v1",)),
    ]
    assert chosen(routes, "GET", "/v1/public/x") == "get"
    assert chosen(routes, "POST", "/v1/public/x") == "all"


@pytest.mark.parametrize(
    ("hosts", "host", "fits"),
    [
        (("api.example",), "API.example", True),
        (("api.example",), "api.example:8000", True),
        (("api.example:8000",), "api.example:8000", True),
        (("api.example:8000",), "api.example", False),
        (("api.example:80",), "api.example", True),
        (("*.example",), "a.b.example", True),
        (("*.example",), "example", False),
        (("api.*",), "api.example", True),
        (("api.*",), "www.api.example", False),
    ],
)
def test_hosts(hosts: tuple[str, ...], host: str, fits: bool) -> None:
    assert (chosen([route("a", hosts=tuple(hosts))], host=host) == "a") is fits


def test_header_values_ignore_case_and_may_be_expressions() -> None:
    routes = [route("a", headers=(("x-version", ("beta", "~*v[0-9]+$")),))]
    assert chosen(routes, headers=[(b"x-version", b"BETA")]) == "a"
    assert chosen(routes, headers=[(b"x-version", b"v12")]) == "a"
    assert chosen(routes, headers=[(b"x-version", b"old")]) is None
    assert chosen(routes) is None


def test_what_an_expression_matched_is_stripped_and_its_groups_are_kept() -> None:
    router = Router([route("a", paths=(r"~/v(?P<number>\d+)/(\w+)",))], SERVICES)
    match = router.match("GET", b"/v12/things/more")
    assert match is not None
    assert (match.prefix, match.upstream_path) == ("/v12/things", "/more")
    assert match.captures == {"number": "12", "1": "12", "2": "things"}


def test_a_route_without_paths_leaves_the_path_alone() -> None:
    router = Router([route("a", methods=("GET",), strip_path=True)], SERVICES)
    match = router.match("GET", b"/x/y")
    assert match is not None
    assert match.upstream_path == "/x/y"


def test_dots_cannot_reach_another_route() -> None:
    routes = [route("public", paths=("/v1/public",), methods=("GET",)), route("all", paths=("/v1",))]
    assert chosen(routes, path="/v1/public/../admin") == "all"
    assert chosen(routes, path="/v1/public/%2e%2e/admin") == "all"


@pytest.mark.parametrize(
    ("expression", "literal"),
    [
        ("/api/swagger.*", "/api/swagger"),
        ("/v1/x?", "/v1/"),
        ("/a|/b", ""),
        ("/a(?:b|c)", "/a"),
        (r"/a\(b|c\)", ""),
        ("/a[(]b|c[)]", ""),
        (r"/v1\.0", "/v1"),
        ("(?i)/a", ""),
    ],
)
def test_the_literal_beginning_of_an_expression(expression: str, literal: str) -> None:
    assert literal_beginning(expression) == literal


SEGMENTS = st.sampled_from(["a", "b", "ab", "c1"])
PREFIXES = st.lists(SEGMENTS, min_size=1, max_size=3).map(lambda parts: "/" + "/".join(parts))
EXPRESSIONS = st.sampled_from([r"~/a/.*", r"~/[ab]+/c\d", r"~/a(?:/b)?", r"~/(?:a|b)/ab$", "~/.*c1"])
ROUTES = st.lists(
    st.builds(
        lambda paths, methods, hosts, headers, priority: {
            "paths": tuple(paths),
            "methods": methods,
            "hosts": hosts,
            "headers": headers,
            "regex_priority": priority,
        },
        st.lists(st.one_of(PREFIXES, EXPRESSIONS), min_size=1, max_size=3, unique=True),
        st.sampled_from([(), ("GET",), ("POST",), ("GET", "POST")]),
        st.sampled_from([(), ("one.example",), ("*.example",)]),
        st.sampled_from([(), (("x-v", ("1",)),), (("x-v", ("1",)), ("x-w", ("2",)))]),
        st.integers(0, 3),
    ),
    min_size=1,
    max_size=8,
)


def by_reading_every_route(
    routes: list[Route], method: str, path: str, host: str, headers: list[tuple[bytes, bytes]]
) -> str | None:
    """The plain meaning of the precedence: try all parts of all routes, best rank first."""
    parts = []
    for position, each in enumerate(routes):
        for one in each.paths:
            expression = one.startswith("~")
            number = rank(each, expression=True) if expression else rank(each, prefix_length=len(one))
            parts.append((-number, position, one, each))
    given_headers = dict(headers)
    for _, _, one, each in sorted(parts, key=lambda part: part[:2]):
        fits_path = re.match(one[1:], path) if one.startswith("~") else path.startswith(one)
        fits_host = not each.hosts or any(
            host == name or (name.startswith("*") and host.endswith(name[1:])) for name in each.hosts
        )
        fits_headers = all(
            given_headers.get(name.encode(), b"").decode() in values for name, values in each.headers
        )
        if fits_path and fits_host and fits_headers and (not each.methods or method in each.methods):
            return each.name
    return None


@given(
    ROUTES,
    st.sampled_from(["GET", "POST", "PUT"]),
    PREFIXES,
    st.sampled_from(["one.example", "two.example", "other"]),
    st.sampled_from([[], [(b"x-v", b"1")], [(b"x-v", b"1"), (b"x-w", b"2")]]),
)
def test_the_index_chooses_what_reading_every_route_would_choose(
    fields: list[dict[str, object]], method: str, path: str, host: str, headers: list[tuple[bytes, bytes]]
) -> None:
    routes = [route(str(number), **each) for number, each in enumerate(fields)]
    expected = by_reading_every_route(routes, method, path, host, headers)
    assert chosen(routes, method, path, host=host, headers=headers) == expected


def test_a_match_is_remembered_and_the_memory_is_bounded() -> None:
    router = Router([route("a", paths=("/a",))], SERVICES)
    assert router.match("GET", b"/a/1") is router.match("GET", b"/a/1")
    names = [f"/a/{random.random()}".encode() for _ in range(6000)]
    for name in names:
        router.match("GET", name)
    assert len(router._cache) <= 5000
    long_path = b"/a/" + b"x" * 5000
    assert router.match("GET", long_path) is not None
    assert len(router._cache) <= 5000
