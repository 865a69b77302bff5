"""The gateway: a Kong file, executed for every request that comes in."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Mapping
from typing import Any

import aiohttp
from starlette.types import ASGIApp, Receive, Scope, Send

from jan_server.authentication.identity_header import HEADER_BYTES, IdentitySigner
from jan_server.gateway import entry
from jan_server.gateway.entities import KongFile, Route
from jan_server.gateway.exchange import Exchange
from jan_server.gateway.pipeline import Plans
from jan_server.gateway.plugins.ip_restriction import Network, within
from jan_server.gateway.plugins.kind import Surroundings
from jan_server.gateway.redis_pool import RedisPool
from jan_server.gateway.refused_credentials import RefusedCredentials
from jan_server.gateway.rejection import Reply, no_route, refused
from jan_server.gateway.responder import Responder
from jan_server.gateway.router import Match, Router
from jan_server.gateway.upstreams.outgoing import bad_response
from jan_server.gateway.upstreams.table import Away, UpstreamTable
from jan_server.http.errors import ApiError

logger = logging.getLogger("jan.gateway")
access_log = logging.getLogger("jan.gateway.access")

QUIET_PATHS = frozenset({"/healthz", "/readyz"})

CLIENT_GONE = 499
"""The status in the log of a request whose client went away before any answer (nginx's number)."""

INTERNAL_ERROR = 1011
"""The close code for the client of a WebSocket whose service failed."""

_NOWHERE = Route(name="")


class Gateway:
    """An ASGI app that executes a Kong file.

    Args:
        file: The file.
        signer: Signs the identity header.
        client: The process's outgoing client.
        apps: Apps of this process, by the host name under which the file knows them.
        local_ports: Ports of this stack's services, by host name.
        trusted: Networks whose `X-Forwarded-*` and `X-Real-IP` are believed.
        refused_credentials_per_minute: How many refused credentials an address may present; 0 for any number.
        away: What is told of a service that cannot be reached, by its name in the file.
    """

    def __init__(
        self,
        file: KongFile,
        *,
        signer: IdentitySigner,
        client: aiohttp.ClientSession,
        apps: Mapping[str, ASGIApp],
        local_ports: Mapping[str, int],
        local_host: str = "127.0.0.1",
        trusted: tuple[Network, ...] = (),
        refused_credentials_per_minute: int = 0,
        away: Mapping[str, Away] | None = None,
    ) -> None:
        self.file = file
        self.router = Router(file.routes, file.services)
        self.upstreams = UpstreamTable(file, apps, local_ports, client, local_host=local_host, away=away)
        self._redis = RedisPool()
        surroundings = Surroundings(
            client=client,
            signer=signer,
            call=self.upstreams.call,
            consumers=file.consumers,
            credentials=file.jwt_credentials,
            redis=self._redis.at,
            refusals=RefusedCredentials(refused_credentials_per_minute),
        )
        self.plans = Plans(file, surroundings)
        self._signer = signer
        self._trusted = trusted
        self._open_requests = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        received_at = time.perf_counter()
        self._open_requests += 1
        try:
            await self._serve(scope, receive, send, received_at)
        finally:
            self._open_requests -= 1

    def status(self) -> dict[str, Any]:
        """What the gateway is doing, for `jan status`; it is ready as soon as it exists."""
        return {
            "status": "ok",
            "services": len(self.file.services),
            "routes": len(self.file.routes),
            "plugins": len(self.file.plugins),
            "open_requests": self._open_requests,
        }

    async def _serve(self, scope: Scope, receive: Receive, send: Send, received_at: float) -> None:
        # Not a secret, only a name: the fast generator is good enough.
        kong_id = f"{random.getrandbits(128):032x}"
        sent = scope["headers"]
        failure: ApiError | None = None
        original, host = dict(sent), ""
        try:
            original = entry.by_name(sent)
            host = entry.host_of(original)
        except ApiError as error:
            failure = error
        headers = entry.kept(sent)
        peer_trusted = bool(self._trusted) and within(_peer(scope), self._trusted)
        scheme = entry.client_scheme(scope, original, peer_trusted)
        match: Match | None = None
        try:
            match = self._match(scope, sent, host, scheme)
        except ApiError as error:
            failure = failure or error
        except Exception:
            # What comes in from outside must not leave as an exception, whatever it finds in here.
            logger.exception("no route could be chosen", extra={"request_id": kong_id})
            failure = ApiError(500, "An unexpected error occurred", code="internal_error")
        exchange = Exchange(
            scope,
            receive,
            match=match or Match(_NOWHERE, None, raw_path(scope).decode("latin-1"), "/", "/"),
            plan=self.plans.of_route[match.route.name] if match else self.plans.of_nothing,
            given={**dict(headers), b"host": original.get(b"host", b"")},
            headers=headers,
            client_ip=entry.client_address(scope, original, self._trusted),
            scheme=scheme,
            kong_id=kong_id,
        )
        respond = Responder(exchange, send, received_at)
        try:
            reply = await self._answer(exchange, respond, match, original, failure, trusted=peer_trusted)
            if reply is not None and not respond.started:
                await respond.reply(reply)
            elif reply is not None and not respond.complete:
                logger.warning(
                    "the response of %s broke off",
                    exchange.match.path,
                    extra={"request_id": exchange.request_id},
                )
        except Exception:
            logger.exception("unexpected failure", extra={"request_id": exchange.request_id})
            if not respond.started:
                unexpected = ApiError(500, "An unexpected error occurred", code="internal_error")
                await respond.reply(refused(unexpected, exchange.request_id))
            elif exchange.is_websocket:
                await send({"type": "websocket.close", "code": INTERNAL_ERROR})
        finally:
            if access_log.isEnabledFor(logging.INFO) and scope["path"] not in QUIET_PATHS:
                _log(exchange, respond, received_at)

    async def _answer(
        self,
        exchange: Exchange,
        respond: Responder,
        match: Match | None,
        original: Mapping[bytes, bytes],
        failure: ApiError | None,
        *,
        trusted: bool,
    ) -> Reply | None:
        """Let the upstream answer; a reply is what is to be sent in its place."""
        if failure is not None or match is None:
            return refused(failure or no_route(), exchange.request_id)
        if exchange.scheme == "http" and "http" not in match.route.protocols:
            return https_only(exchange, match.route)
        headers = exchange.headers
        headers.append((b"x-kong-request-id", exchange.kong_id.encode()))
        headers += entry.forwarded(
            exchange.scope, original, client_ip=exchange.client_ip, scheme=exchange.scheme, trusted=trusted
        )
        headers += entry.forwarded_path(original, match.path, match.prefix, trusted=trusted)
        upstream = self.upstreams.of_service[match.service.name] if match.service else None
        host = original.get(b"host", b"") if upstream is None or match.route.preserve_host else upstream.host
        headers.append((b"host", host))
        reply = await exchange.plan.access(exchange)
        if reply is not None:
            return reply
        if upstream is None:
            return refused(ApiError(503, "no Service found with those values"), exchange.request_id)
        self._add_identity(exchange)
        respond.asking()
        try:
            await upstream.serve(exchange, respond)
        except ApiError as error:
            return refused(error, exchange.request_id)
        if exchange.refusal is not None:
            return exchange.refusal
        if not respond.started and not exchange.gone:
            return refused(bad_response(), exchange.request_id)
        return None

    def _match(self, scope: Scope, sent: Any, host: str, scheme: str) -> Match | None:
        return self.router.match(
            scope.get("method", "GET"),
            raw_path(scope),
            host=host,
            scheme=scheme,
            headers=sent,
        )

    def _add_identity(self, exchange: Exchange) -> None:
        """Tell the upstream whom the request speaks for, signed."""
        principal = exchange.principal
        if principal is not None:
            exchange.headers.append((HEADER_BYTES, self._signer.sign(principal).encode()))
            exchange.headers.append((b"x-auth-method", principal.method.encode()))

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await send({"type": "lifespan.startup.complete"})
            else:
                await self._redis.close()
                await send({"type": "lifespan.shutdown.complete"})
                return


def raw_path(scope: Scope) -> bytes:
    """The path as it was sent, percent-encoded."""
    raw: bytes | None = scope.get("raw_path")
    if raw is None:
        raw = str(scope["path"]).encode()
    # Some servers leave the query on; a path that is not absolute (`OPTIONS *`) matches nothing.
    return raw.partition(b"?")[0]


def https_only(exchange: Exchange, route: Route) -> Reply:
    """What plain http gets on a route for https: a redirect, or Kong's 426."""
    if route.https_status == 426:
        headers = {"Upgrade": "TLS/1.2, HTTP/1.1", "Connection": "Upgrade"}
        error = ApiError(426, "Please use HTTPS protocol", code="https_required", headers=headers)
        return refused(error, exchange.request_id)
    host = exchange.given.get(b"host", b"").decode("latin-1").partition(":")[0]
    query = f"?{exchange.query.decode('latin-1')}" if exchange.query else ""
    location = f"https://{host}{raw_path(exchange.scope).decode('latin-1')}{query}"
    return Reply(route.https_status, b"", ((b"location", location.encode("latin-1")),))


def _peer(scope: Scope) -> str:
    client = scope.get("client")
    return str(client[0]) if client else ""


def _log(exchange: Exchange, respond: Responder, received_at: float) -> None:
    status = respond.status or (CLIENT_GONE if exchange.gone else 0)
    access_log.info(
        "%s %s %d",
        exchange.method if not exchange.is_websocket else "WEBSOCKET",
        exchange.match.path,
        status,
        extra={
            "request_id": exchange.request_id,
            "status": status,
            "route": exchange.match.route.name,
            "client": exchange.client_ip,
            "milliseconds": round((time.perf_counter() - received_at) * 1000, 2),
        },
    )
