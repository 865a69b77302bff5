"""Which service of the file is reached how: the table that the gateway asks for every request."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol
from urllib.parse import urlsplit

import aiohttp
from starlette.types import ASGIApp

from jan_server.gateway.entities import KongFile, Service
from jan_server.gateway.exchange import Exchange
from jan_server.gateway.responder import Responder
from jan_server.gateway.upstreams.balancer import RoundRobin
from jan_server.gateway.upstreams.call import call_address, call_app
from jan_server.gateway.upstreams.in_process import InProcess
from jan_server.gateway.upstreams.outgoing import NotReached
from jan_server.gateway.upstreams.remote import Remote
from jan_server.http.errors import ApiError

Away = Callable[[], ApiError]
"""Makes what is told of a service that cannot be reached, where it is not Kong's words."""

NOT_REACHED = frozenset({502, 503, 504})


class Address(Protocol):
    """One place that answers for a service."""

    host: bytes

    async def serve(self, exchange: Exchange, respond: Responder) -> None:
        """Answer; raises NotReached where another place may be tried."""


class Upstream:
    """Everything that answers for one service.

    Args:
        service: The service.
        addresses: Where it is asked.
        weights: How often each address is asked, in proportion.
        away: Told when none can be reached, in place of Kong's 502, 503 and 504.

    Attributes:
        host: The `Host` that it is asked with, unless a route preserves the client's.
    """

    def __init__(
        self,
        service: Service,
        addresses: Sequence[Address],
        weights: Sequence[int],
        away: Away | None = None,
    ) -> None:
        self._away = away
        self._addresses = tuple(addresses)
        self._turns = RoundRobin(weights)
        self._tries = service.retries + 1
        self.host = addresses[0].host

    async def serve(self, exchange: Exchange, respond: Responder) -> None:
        """Let the service answer, trying again while nothing of the request was sent.

        Raises:
            ApiError: 502, 503 or 504 (contract/gateway.md, section 7).
        """
        if len(self._addresses) == 1 and isinstance(self._addresses[0], InProcess):
            await self._addresses[0].serve(exchange, respond)
            return
        try:
            await self._try_all(exchange, respond)
        except ApiError as failure:
            if self._away is None or failure.status not in NOT_REACHED:
                raise
            raise self._away() from failure

    async def _try_all(self, exchange: Exchange, respond: Responder) -> None:
        tried: set[int] = set()
        for attempt in range(1, self._tries + 1):
            position = self._turns.next(tried)
            tried.add(position)
            try:
                await self._addresses[position].serve(exchange, respond)
                return
            except NotReached as failure:
                if attempt == self._tries:
                    raise failure.error from failure


class UpstreamTable:
    """The upstreams of a file.

    Args:
        file: The file.
        apps: Apps of this process by the host name under which the file knows them.
        local_ports: Ports of this stack's other services by host name, for those that run
            outside this process; one that does not run is told by name.
        client: The process's outgoing client.
        local_host: Where those services listen.
        away: What is told of a service that cannot be reached, by the name of the service.
    """

    def __init__(
        self,
        file: KongFile,
        apps: Mapping[str, ASGIApp],
        local_ports: Mapping[str, int],
        client: aiohttp.ClientSession,
        *,
        local_host: str = "127.0.0.1",
        away: Mapping[str, Away] | None = None,
    ) -> None:
        self._away = away or {}
        self._file = file
        self._local_host = local_host
        self._apps = apps
        self._local_ports = local_ports
        self._client = client
        self.of_service = {name: self._upstream(service) for name, service in file.services.items()}

    def _upstream(self, service: Service) -> Upstream:
        away = self._away.get(service.name)
        balanced = self._file.upstreams.get(service.host)
        if balanced is None:
            return Upstream(service, [self._address(service, service.host, service.port)], [1], away)
        addresses = [self._address(service, target.host, target.port) for target in balanced.targets]
        return Upstream(service, addresses, [target.weight for target in balanced.targets], away)

    def _address(self, service: Service, host: str, port: int) -> Address:
        if host in self._apps:
            return InProcess(self._apps[host], service)
        if host in self._local_ports:
            return Remote(self._client, service, self._local_host, self._local_ports[host], absent=host)
        return Remote(self._client, service, host, port)

    async def call(self, url: str, body: bytes, request_id: str, seconds: float) -> tuple[int, bytes]:
        """POST JSON to an address whose host may be a service of this stack.

        Raises:
            ApiError: It cannot be reached.
            TimeoutError: It does not answer in time.
        """
        parts = urlsplit(url)
        host = (parts.hostname or "").lower()
        headers = [(b"content-type", b"application/json"), (b"x-request-id", request_id.encode())]
        if host in self._apps:
            port = parts.port or 80
            named = [(b"host", f"{host}:{port}".encode()), *headers]
            async with asyncio.timeout(seconds):
                return await call_app(self._apps[host], parts.path or "/", body, named, (host, port))
        if host in self._local_ports:
            url = f"http://{self._local_host}:{self._local_ports[host]}{parts.path or '/'}"
        return await call_address(self._client, url, body, headers, seconds)
