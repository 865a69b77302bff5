"""An upstream that is an ASGI app of this process: no socket, no copy of any byte."""

from __future__ import annotations

import logging

from starlette.types import ASGIApp, Scope

from jan_server.gateway.entities import Service
from jan_server.gateway.exchange import Exchange
from jan_server.gateway.paths import unquoted
from jan_server.gateway.responder import Responder
from jan_server.gateway.upstreams.deadline import SilenceLimit
from jan_server.gateway.upstreams.outgoing import bad_response, host_header

logger = logging.getLogger("jan.gateway.upstreams")


class InProcess:
    """Calls the app of a service.

    Args:
        app: The app; whoever made it runs its lifespan.
        service: The service of the file, for its address and its limits.
    """

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self._app = app
        self._service = service
        self._server = (service.host, service.port)
        self.host = host_header(service.host, service.port, service.protocol)

    async def serve(self, exchange: Exchange, respond: Responder) -> None:
        """Let the app answer.

        Raises:
            ApiError: 502 or 504; the response may have begun.
        """
        scope = self._scope(exchange)
        if exchange.is_websocket:
            await self._app(scope, exchange.receive, respond)
            return
        limit = SilenceLimit(self._service.read_seconds)
        respond.limit = limit
        receive = limit.around(exchange.receive) if exchange.has_body else exchange.receive
        with limit:
            try:
                await self._app(scope, receive, respond)
            except Exception as failure:
                # An app that answered by itself before it failed has said what there is to say.
                if exchange.refusal is None:
                    logger.exception(
                        "%s failed", self._service.name, extra={"request_id": exchange.request_id}
                    )
                if not respond.started and exchange.refusal is None:
                    raise bad_response() from failure

    def _scope(self, exchange: Exchange) -> Scope:
        match = exchange.match
        path = exchange.upstream_path
        scope = dict(exchange.scope)
        if path is None:
            scope["path"] = match.decoded_path
            scope["raw_path"] = match.upstream_path.encode("ascii")
        else:
            scope["path"] = unquoted(path)
            scope["raw_path"] = path.encode("ascii")
        if not exchange.is_websocket:
            scope["method"] = exchange.method
        scope["root_path"] = ""
        scope["query_string"] = exchange.query
        scope["headers"] = exchange.headers
        scope["server"] = self._server
        client = scope.get("client")
        scope["client"] = (exchange.client_ip, client[1] if client else 0)
        # Nothing that was noted about this request outside may pass for the app's own note.
        scope["state"] = {}
        return scope
