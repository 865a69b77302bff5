"""What a plugin is: how its settings are read, when it runs, and what it may do."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import aiohttp
from redis.asyncio import Redis

from jan_server.authentication.identity_header import IdentitySigner
from jan_server.gateway.entities import Consumer, JwtCredential, Plugin
from jan_server.gateway.exchange import Exchange, ResponseHead
from jan_server.gateway.fields import Fields
from jan_server.gateway.refused_credentials import RefusedCredentials
from jan_server.gateway.rejection import Reply

ServiceCall = Callable[[str, bytes, str, float], Awaitable[tuple[int, bytes]]]
"""POSTs JSON to an address of the file: address, body, request id, seconds; gives status and body."""


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """Where a Redis is and how to log in."""

    host: str
    port: int = 6379
    database: int = 0
    username: str = ""
    password: str = field(default="", repr=False)
    tls: bool = False
    verify_tls: bool = False
    seconds: float = 2.0


@runtime_checkable
class AccessPlugin(Protocol):
    """Runs before the upstream is asked."""

    async def access(self, exchange: Exchange) -> Reply | None:
        """Look at the request, change it, or answer it.

        Raises:
            ApiError: The request is refused.
        """


@runtime_checkable
class ResponsePlugin(Protocol):
    """Runs on the head of every response of its routes, the gateway's own refusals included."""

    def on_response(self, exchange: Exchange, head: ResponseHead) -> None:
        """Change status and headers."""


@runtime_checkable
class BodyPlugin(Protocol):
    """Rewrites whole response bodies, which then do not stream."""

    def wants_body(self, head: ResponseHead) -> bool:
        """Whether this response is to be gathered and rewritten."""

    def rewrite(self, body: bytes) -> bytes:
        """The body to send instead."""


RunningPlugin = AccessPlugin | ResponsePlugin | BodyPlugin


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a running plugin may use.

    Attributes:
        client: The process's outgoing client.
        signer: Signs the identity header.
        call: Asks a service of the file.
        consumers: The consumers of the file by name.
        credentials: The JWT credentials of the file.
        redis: Gives the Redis behind an address, opened when first used.
        refusals: Counts the credentials that are refused, by address.
        shared: What plugins of this gateway share, by a key of their choice.
    """

    client: aiohttp.ClientSession
    signer: IdentitySigner
    call: ServiceCall
    consumers: Mapping[str, Consumer]
    credentials: Sequence[JwtCredential]
    redis: Callable[[RedisAddress], Redis]
    refusals: RefusedCredentials = field(default_factory=RefusedCredentials)
    shared: dict[Hashable, Any] = field(default_factory=dict)


Check = Callable[[Any, Mapping[str, Consumer], Sequence[JwtCredential], str], None]


@dataclass(frozen=True, slots=True)
class PluginKind:
    """A plugin that this gateway executes.

    Attributes:
        name: Kong's name.
        priority: Kong 3.5's; the greater runs first.
        read: Reads `config`.
        build: Makes the running plugin of an entity.
        by_consumer: Whether it may be attached to a consumer.
        check: Checks the config against the rest of the file.
    """

    name: str
    priority: int
    read: Callable[[Fields], Any]
    build: Callable[[Plugin, Surroundings], RunningPlugin]
    by_consumer: bool = True
    check: Check | None = None
