"""Redirect addresses: exact, or by a wildcard at the end of a path."""

import pytest

from jan_server.identity.redirects import is_registered, origins_of, with_parameters

REGISTERED = (
    "http://app.example/callback",
    "http://localhost:3000/*",
    "http://host/deep/*",
    "com.example.app:/back",
)


@pytest.mark.parametrize(
    "uri",
    [
        "http://app.example/callback",
        "http://localhost:3000",
        "http://localhost:3000/",
        "http://localhost:3000/a/b?c=d",
        "http://host/deep/er",
        "com.example.app:/back",
    ],
)
def test_registered(uri: str):
    assert is_registered(uri, REGISTERED)


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "http://app.example/callback?x=1",
        "http://app.example/callback/",
        "HTTP://app.example/callback",
        "http://localhost:3001/",
        "http://localhost:30000/",
        "http://localhost:3000@evil.example/",
        "http://user@localhost:3000/",
        "http://localhost:3000\\evil",
        "http://localhost:3000/a\nb",
        "http://localhost:3000/ b",
        "http://host/deep/../elsewhere",
        "http://host/deep/%2e%2E/elsewhere",
        "http://host/deep/%252e%252e/elsewhere",
        "http://host/deep/%2e%2e%2felsewhere",
        "http://host/deepest",
        "http://[broken",
        "http://host:port/",
        "javascript:alert(1)",
        "data:text/html,x",
        "//localhost:3000/",
        "/deep/er",
    ],
)
def test_not_registered(uri: str):
    assert not is_registered(uri, REGISTERED)


@pytest.mark.parametrize("pattern", ["*", "http://*", "http://localhost:80*", "http*"])
def test_a_star_stands_only_for_the_end_of_a_path(pattern: str):
    assert not is_registered("http://localhost:8000/callback", (pattern,))


def test_scripts_are_never_addresses():
    assert not is_registered("javascript:alert(1)", ("javascript:alert(1)", "javascript:*"))


def test_origins_of_addresses():
    uris = ("http://a:1/x", "http://a:1/*", "https://b/", "com.example.app:/back", "*")
    assert origins_of(uris) == ["http://a:1", "https://b"]


def test_parameters_join_those_that_are_there():
    assert with_parameters("http://a/b?c=d", [("e", "f&g")]) == "http://a/b?c=d&e=f%26g"
    assert with_parameters("http://a/b", [("e", "f")], fragment=True) == "http://a/b#e=f"
    assert with_parameters("http://a/b#old", [("e", "f")]) == "http://a/b?e=f"
