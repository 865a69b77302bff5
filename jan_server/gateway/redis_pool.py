"""The connections to Redis that plugins share, one client an address, opened when first used."""

from __future__ import annotations

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from jan_server.gateway.plugins.kind import RedisAddress


class RedisPool:
    """Clients by address."""

    def __init__(self) -> None:
        self._clients: dict[RedisAddress, Redis] = {}

    def at(self, address: RedisAddress) -> Redis:
        """The client of an address."""
        if address not in self._clients:
            self._clients[address] = Redis(
                host=address.host,
                port=address.port,
                db=address.database,
                username=address.username or None,
                password=address.password or None,
                ssl=address.tls,
                ssl_cert_reqs="required" if address.verify_tls else "none",
                socket_timeout=address.seconds,
                socket_connect_timeout=address.seconds,
                # A kept connection that Redis has closed is replaced once; counting twice is harmless.
                retry=Retry(NoBackoff(), 1),
            )
        return self._clients[address]

    async def close(self) -> None:
        """Close all connections."""
        for client in self._clients.values():
            await client.aclose()
        self._clients.clear()
