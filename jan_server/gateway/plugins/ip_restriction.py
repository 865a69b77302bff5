"""ip-restriction: lets in, or keeps out, addresses and networks.

Source: Kong 3.5's plugin of the same name.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass

from jan_server.gateway.entities import Plugin
from jan_server.gateway.exchange import Exchange
from jan_server.gateway.fields import Fields, KongFileError
from jan_server.gateway.plugins.kind import PluginKind, Surroundings
from jan_server.gateway.rejection import Reply
from jan_server.http.errors import ApiError

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class Config:
    """The plugin's settings, named as Kong names them."""

    allow: tuple[Network, ...]
    deny: tuple[Network, ...]
    status: int
    message: str


def read(fields: Fields) -> Config:
    """Read `config`."""
    config = Config(
        allow=networks(fields, "allow"),
        deny=networks(fields, "deny"),
        status=fields.whole("status", 403, least=400, most=599),
        message=fields.text("message", "Your IP address is not allowed"),
    )
    fields.end()
    if not config.allow and not config.deny:
        raise KongFileError(fields.path, "at least one of allow or deny is required")
    return config


def networks(fields: Fields, name: str) -> tuple[Network, ...]:
    """Addresses and networks (CIDR) of a field."""
    return read_networks(fields.texts(name), fields.place(name))


def read_networks(written: Sequence[str], place: str) -> tuple[Network, ...]:
    """Addresses and networks (CIDR).

    Raises:
        KongFileError: One of them is neither; it is named by its place.
    """
    found = []
    for index, text in enumerate(written):
        try:
            found.append(ipaddress.ip_network(text, strict=False))
        except ValueError as failure:
            raise KongFileError(f"{place}[{index}]", f"{text!r} is not an address or a network") from failure
    return tuple(found)


def within(address: str, among: tuple[Network, ...]) -> bool:
    """Whether an address lies in one of the networks; an IPv4 address may be written as IPv6."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
        parsed = parsed.ipv4_mapped
    return any(parsed in network for network in among if network.version == parsed.version)


class IpRestriction:
    """Refuses addresses; `deny` is looked at first."""

    def __init__(self, config: Config) -> None:
        self._config = config

    async def access(self, exchange: Exchange) -> Reply | None:
        """Refuse the request when its address is not welcome."""
        config = self._config
        if within(exchange.client_ip, config.deny) or (
            config.allow and not within(exchange.client_ip, config.allow)
        ):
            raise ApiError(config.status, config.message, code="address_not_allowed")
        return None


def build(plugin: Plugin, surroundings: Surroundings) -> IpRestriction:
    """Make the running plugin."""
    return IpRestriction(plugin.config)


KIND = PluginKind("ip-restriction", 990, read, build)
