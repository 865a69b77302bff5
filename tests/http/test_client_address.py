"""Whose word counts for a client's address."""

from __future__ import annotations

import pytest

from jan_server.http.client_address import client_address, limit_key, parse_networks

TRUSTED = parse_networks(["10.0.0.0/8", "2001:db8:1::/48"])


def seen(peer: str | None, **headers: str) -> str:
    pairs = [(name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in headers.items()]
    scope = {"type": "http", "client": (peer, 1) if peer is not None else None, "headers": pairs}
    return client_address(scope, TRUSTED)


@pytest.mark.parametrize("peer", ["192.0.2.1", "127.0.0.1", "2001:db8:2::1"])
def test_the_headers_of_clients_are_not_believed(peer: str) -> None:
    assert seen(peer, x_real_ip="203.0.113.9", x_forwarded_for="203.0.113.9") == peer


@pytest.mark.parametrize("peer", ["10.1.2.3", "::ffff:10.1.2.3", "2001:db8:1::5"])
def test_a_trusted_proxy_names_the_client(peer: str) -> None:
    assert seen(peer, x_real_ip=" 203.0.113.9 ") == "203.0.113.9"
    assert seen(peer, x_forwarded_for="forged, 203.0.113.9") == "203.0.113.9"
    assert seen(peer, x_real_ip="2001:DB8:0::7") == "2001:db8::7"


@pytest.mark.parametrize("told", ["", "unknown", "203.0.113.9:443", "<script>", "\xff"])
def test_what_is_no_address_leaves_the_peer(told: str) -> None:
    assert seen("10.1.2.3", x_real_ip=told, x_forwarded_for=told) == "10.1.2.3"


def test_a_setting_that_names_no_network_is_refused_by_its_place() -> None:
    with pytest.raises(ValueError, match=r"trusted_ips\[1\]: 'proxy' is not an address or a network"):
        parse_networks(["10.0.0.1", "proxy"])


def test_an_unknown_peer_has_no_address() -> None:
    assert seen(None, x_real_ip="203.0.113.9") == ""
    assert seen("", x_real_ip="203.0.113.9") == ""


def test_limits_count_a_network_of_ipv6_once() -> None:
    assert limit_key("2001:db8::1") == limit_key("2001:db8::ffff:2") == "2001:db8::/64"
    assert limit_key("2001:db8:0:1::1") != limit_key("2001:db8::1")
    assert limit_key("::ffff:192.0.2.1") == limit_key("192.0.2.1") == "192.0.2.1"
    assert limit_key("192.0.2.2") != limit_key("192.0.2.1")
    assert limit_key("") == ""
