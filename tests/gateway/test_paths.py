"""Paths: their normal form, and Kong's table of how an upstream's path is made."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jan_server.gateway.paths import normalise, upstream_path


@pytest.mark.parametrize(
    ("sent", "normal"),
    [
        ("/", "/"),
        ("/v1/models", "/v1/models"),
        ("/v1/models/", "/v1/models/"),
        ("//v1///models", "/v1/models"),
        ("/v1/./models", "/v1/models"),
        ("/v1/../auth", "/auth"),
        ("/v1/%2e%2E/auth", "/auth"),
        ("/../../etc", "/etc"),
        ("/v1/..", "/"),
        ("/v1/models/vendor%2Fname", "/v1/models/vendor%2Fname"),
        ("/v1/models/vendor%2fname", "/v1/models/vendor%2Fname"),
        ("/%76%31/models", "/v1/models"),
        ("/v1/%252e%252e/auth", "/v1/%252e%252e/auth"),
        ("/caf%c3%a9", "/caf%C3%A9"),
        ("/a%20b", "/a%20b"),
        ("/gpt-4.1", "/gpt-4.1"),
        ("/100%", "/100%25"),
        ("/v1/%%32%65%%32e/auth", "/v1/%252e%252e/auth"),
    ],
)
def test_a_path_has_one_normal_form(sent: str, normal: str) -> None:
    assert normalise(sent.encode()) == normal


@given(st.text(alphabet="/.%2eEfF ab\xe9", max_size=24).map(lambda text: "/" + text))
def test_a_normal_path_stays_as_it_is_and_never_climbs(path: str) -> None:
    normal = normalise(path.encode())
    assert normalise(normal.encode()) == normal
    assert normal.startswith("/")
    assert not {".", ".."} & set(normal.split("/"))
    assert "//" not in normal


# Kong's admin API reference, "Path handling algorithms": service path, route path, request path,
# strip_path, path_handling, upstream path.
KONG_TABLE = [
    ("/", "/fv0", "/fv0req", False, "v0", "/fv0req"),
    ("/", "/fv0", "/fv0/req", False, "v0", "/fv0/req"),
    ("/", "/fv1", "/fv1req", False, "v1", "/fv1req"),
    ("/", "/tv0", "/tv0req", True, "v0", "/req"),
    ("/", "/tv0", "/tv0/req", True, "v0", "/req"),
    ("/", "/tv1", "/tv1req", True, "v1", "/req"),
    ("/", "/tv1", "/tv1/req", True, "v1", "/req"),
    ("/", "/fv0/", "/fv0/req", False, "v0", "/fv0/req"),
    ("/", "/tv0/", "/tv0/req", True, "v0", "/req"),
    ("/", "/tv1/", "/tv1/req", True, "v1", "/req"),
    ("/s", "/fv0", "/fv0req", False, "v0", "/s/fv0req"),
    ("/s", "/fv0", "/fv0/req", False, "v0", "/s/fv0/req"),
    ("/s", "/fv1", "/fv1req", False, "v1", "/sfv1req"),
    ("/s", "/fv1", "/fv1/req", False, "v1", "/sfv1/req"),
    ("/s", "/tv0", "/tv0req", True, "v0", "/s/req"),
    ("/s", "/tv0", "/tv0/req", True, "v0", "/s/req"),
    ("/s", "/tv1", "/tv1req", True, "v1", "/sreq"),
    ("/s", "/tv1", "/tv1/req", True, "v1", "/s/req"),
    ("/s/", "/fv0", "/fv0req", False, "v0", "/s/fv0req"),
    ("/s/", "/fv1", "/fv1/req", False, "v1", "/s/fv1/req"),
    ("/s/", "/tv0", "/tv0req", True, "v0", "/s/req"),
    ("/s/", "/tv0", "/tv0/req", True, "v0", "/s/req"),
    ("/s/", "/tv1", "/tv1req", True, "v1", "/s/req"),
    ("/s/", "/tv1", "/tv1/req", True, "v1", "/s/req"),
    ("/s", "/tv0", "/tv0", True, "v0", "/s"),
    ("/s/", "/tv0", "/tv0", True, "v0", "/s"),
    ("/s/", "/tv0", "/tv0/", True, "v0", "/s/"),
]


@pytest.mark.parametrize(("service", "route", "request_path", "strip", "handling", "expected"), KONG_TABLE)
def test_an_upstream_path_is_made_as_kong_makes_it(
    service: str, route: str, request_path: str, strip: bool, handling: str, expected: str
) -> None:
    rest = request_path[len(route) :] if strip else request_path[1:]
    made = upstream_path(service, request_path, rest, strip=strip, handling=handling)  # type: ignore[arg-type]
    assert made == expected
