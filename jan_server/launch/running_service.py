"""One service in the server process: its app, its lifespan and its listener."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import logging
import socket
from collections.abc import Callable, Mapping
from typing import Any

from starlette.types import ASGIApp

from jan_server.http.context import ServiceContext
from jan_server.launch.health import probe, until_ready
from jan_server.launch.http_protocol import RequestLimits
from jan_server.launch.lifespan import Lifespan, StartError
from jan_server.launch.listener import Listener
from jan_server.launch.plan import PlannedPart
from jan_server.stack.service import Service

_READY_SECONDS = 20.0
_CLOSE_SECONDS = 10.0


def import_factory(service: Service) -> Callable[..., ASGIApp]:
    """Import the app factory of a service; slow, so it is done while other parts start."""
    module, _, function = service.app.partition(":")
    factory: Callable[..., ASGIApp] = getattr(importlib.import_module(module), function)
    return factory


class RunningService:
    """A service from its start to its end.

    Args:
        planned: What the plan says about it.
        bound: Its socket, bound and not listening yet.
    """

    def __init__(self, planned: PlannedPart, bound: socket.socket) -> None:
        assert isinstance(planned.part, Service)
        self.planned = planned
        self.service = planned.part
        self.app: ASGIApp | None = None
        self.listener: Listener | None = None
        self._bound = bound
        self._lifespan: Lifespan | None = None

    async def start(
        self, factory: Callable[..., ASGIApp], context: ServiceContext, apps: Mapping[str, ASGIApp]
    ) -> None:
        """Make the app, open its resources, listen, and ask it whether it can be used.

        Args:
            factory: Its app factory.
            context: Its surroundings.
            apps: The apps that run already, by name.

        Raises:
            StartError: It does not start, or it says that it cannot be used.
            OSError: Its port was taken in the meantime.
        """
        arguments: tuple[Any, ...] = (context, apps) if self.service.fronts else (context,)
        self.app = factory(*arguments)
        server = context.settings.server
        self._lifespan = Lifespan(self.app)
        await self._lifespan.start()
        self.listener = Listener(
            self.app,
            self._bound,
            self._lifespan.state,
            websockets=self.service.websockets,
            limits=RequestLimits(
                head_seconds=server.request_head_timeout.total_seconds(),
                body_seconds=server.request_body_timeout.total_seconds(),
            ),
        )
        await self.listener.start()
        health = await until_ready(
            lambda: probe(self.planned.address, self.service.health_path), seconds=_READY_SECONDS
        )
        if not health.ok:
            raise StartError(f"GET {self.service.health_path} {health.detail}")

    async def stop(self, drain_seconds: float, hurry: asyncio.Event) -> None:
        """Stop accepting, let open requests end, close the resources."""
        log = logging.getLogger(f"jan.{self.service.name}.launch")
        if self.listener is None:
            self._bound.close()
        else:
            self.listener.close()
            cut_off = await self.listener.drain(drain_seconds, hurry)
            if cut_off:
                log.warning("cut off %d open requests after %g s", cut_off, drain_seconds)
        if self._lifespan is not None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._lifespan.stop(), _CLOSE_SECONDS)
