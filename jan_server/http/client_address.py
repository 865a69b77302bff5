"""The address of the client behind a request: what limits count and logs keep.

Two things are believed. Within one process the gateway writes the client's address into the ASGI
scope (`scope["client"]`, see `jan_server.gateway.upstreams.in_process`), where no client reaches.
Over HTTP the header `X-Real-IP`, or the last entry of `X-Forwarded-For`, counts from peers that
the setting `infrastructure.gateway.trusted_ips` names, and from nobody else.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)

from starlette.types import Scope

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

SITE_BITS = 64
"""One IPv6 subscriber has at least this network to choose addresses from (RFC 6177)."""


def client_address(scope: Scope, trusted: Sequence[Network]) -> str:
    """The client's address; empty when nobody knows it.

    Args:
        scope: The connection.
        trusted: Networks of the proxies whose word is believed.
    """
    peer = str((scope.get("client") or ("",))[0])
    address = parse_address(peer)
    if address is None:
        return peer
    if trusted and is_within(address, trusted):
        address = _told(scope) or address
    return str(address)


def limit_key(address: str) -> str:
    """What limits count an address as: itself, and for IPv6 its network of 64 bits."""
    parsed = parse_address(address)
    if isinstance(parsed, IPv6Address):
        return str(IPv6Network((int(parsed), SITE_BITS), strict=False))
    return address if parsed is None else str(parsed)


def parse_address(text: str) -> Address | None:
    """An address as it is written; one of IPv4 within IPv6 counts as IPv4, and no address is None."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def parse_networks(written: Sequence[str], setting: str = "trusted_ips") -> tuple[Network, ...]:
    """Addresses and networks (CIDR) of a setting.

    Raises:
        ValueError: One of them is neither; setting and place are named.
    """
    found: list[Network] = []
    for index, text in enumerate(written):
        try:
            found.append(ip_network(text, strict=False))
        except ValueError as failure:
            raise ValueError(f"{setting}[{index}]: {text!r} is not an address or a network") from failure
    return tuple(found)


def is_within(address: Address, networks: Sequence[Network]) -> bool:
    """Whether an address lies in one of the networks."""
    return any(address.version == network.version and address in network for network in networks)


def _told(scope: Scope) -> Address | None:
    """The client as a trusted peer names it."""
    said = {name: value.decode("latin-1") for name, value in scope["headers"]}
    # The last entry is the one that the trusted peer itself saw.
    behind = said.get(b"x-forwarded-for", "").rpartition(",")[2]
    return parse_address((said.get(b"x-real-ip") or behind).strip())
