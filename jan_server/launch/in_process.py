"""The in-process mode: every service on one event loop, children beside it, in the order of their needs."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import aiohttp
from starlette.types import ASGIApp

from jan_server.http.client import open_client
from jan_server.http.context import ServiceContext
from jan_server.inference.model_store import ModelMissingError
from jan_server.launch import database
from jan_server.launch.children import ChildFailedError, ChildNotes, Program, SupervisedChild
from jan_server.launch.engine import engine_program
from jan_server.launch.health import probe, until_ready
from jan_server.launch.plan import Kind, Plan, PlannedPart
from jan_server.launch.ports import PortsBusyError, bind, check
from jan_server.launch.running_service import RunningService, import_factory
from jan_server.launch.state import Phase, StateBoard
from jan_server.settings.tree import Settings
from jan_server.stack.catalogue import IDENTITY, INFERENCE, POSTGRES
from jan_server.stack.order import start_order
from jan_server.stack.service import Part, Service
from jan_server.telemetry.logs import LogSink

_EXTERNAL_SECONDS = 30.0
_MODEL_POLL_SECONDS = 2.0

log = logging.getLogger("jan.server.launch")


class StackFailedError(RuntimeError):
    """The stack did not start.

    Attributes:
        name: The part that failed.
        reason: Why.
    """

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{name} did not start: {reason}")
        self.name = name
        self.reason = reason


class InProcessStack:
    """A running stack.

    Args:
        plan: What to run.
        settings: The settings.
        home: `$JAN_HOME`; this process holds its lock.
        board: Where the states are kept.
        sink: Where the children's output goes.
    """

    def __init__(self, plan: Plan, settings: Settings, home: Path, board: StateBoard, sink: LogSink) -> None:
        self.plan = plan
        self.settings = settings
        self.home = home
        self.board = board
        self.sink = sink
        self._notes = ChildNotes(home)
        self._client: aiohttp.ClientSession | None = None
        self._services: dict[str, RunningService] = {}
        self._children: dict[str, SupervisedChild] = {}
        self._ready: dict[str, asyncio.Event] = {}
        self._background: list[asyncio.Task[None]] = []
        self._migrations: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Start everything: at once what needs nothing, the rest as soon as what it needs is ready.

        Raises:
            PortsBusyError: A port is taken; nothing was started.
            StackFailedError: A part failed; the others are still to be stopped.
        """
        await asyncio.to_thread(self._notes.end_leftovers)
        busy = check(self.plan.ports())
        if busy:
            raise PortsBusyError(busy)
        for planned in self.plan.parts:
            if planned.kind is Kind.SERVICE and planned.port is not None:
                bound = bind(planned.port.host, planned.port.port)
                self._services[planned.name] = RunningService(planned, bound)
        self._client = open_client()
        imports = self._begin_imports()
        self._ready = {planned.name: asyncio.Event() for planned in self.plan.parts}
        starts = {
            asyncio.create_task(self._start_part(planned, imports), name=f"start {planned.name}")
            for planned in self.plan.parts
        }
        try:
            done, _ = await asyncio.wait(starts, return_when=asyncio.FIRST_EXCEPTION)
        finally:
            pending = [task for task in (*starts, *imports.values(), *self._migrations) if not task.done()]
            for task in pending:
                task.cancel()
            await asyncio.gather(*pending, return_exceptions=True)
        for task in done:
            task.result()
        self._background.append(asyncio.create_task(self._tick()))

    async def stop(self, hurry: asyncio.Event) -> None:
        """Stop in order: the front door first, then the services, then the children.

        Args:
            hurry: Once set, nothing is waited for any more.
        """
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        for name in reversed(start_order(planned.part for planned in self.plan.parts)):
            if name in self._services:
                await self._stop_service(self._services[name], hurry)
        for name in reversed(start_order(planned.part for planned in self.plan.parts)):
            if name in self._children:
                self.board.set_part(name, Phase.STOPPING)
                await self._stop_child(self._children[name], hurry)
        if self._client is not None:
            await self._client.close()

    def _begin_imports(self) -> dict[str, asyncio.Task[Callable[..., ASGIApp]]]:
        # One after the other, in the order of need: imports in parallel wait for each other, and where
        # modules import one another in a circle (SQLAlchemy's do) they see each other half made.
        lock = asyncio.Lock()
        order = start_order(planned.part for planned in self.plan.parts)
        if self.plan.schemas():
            self._migrations.append(asyncio.create_task(self._import_migrations(lock)))

        async def load(service: Service) -> Callable[..., ASGIApp]:
            async with lock:
                return await asyncio.to_thread(import_factory, service)

        services = [self._services[name].service for name in order if name in self._services]
        return {service.name: asyncio.create_task(load(service)) for service in services}

    async def _import_migrations(self, lock: asyncio.Lock) -> None:
        async with lock:
            await asyncio.to_thread(database.import_migrations)

    async def _start_part(
        self, planned: PlannedPart, imports: Mapping[str, asyncio.Task[Callable[..., ASGIApp]]]
    ) -> None:
        for need in planned.part.needs:
            if need in self._ready:
                await self._ready[need].wait()
        self.board.set_part(planned.name, Phase.STARTING)
        try:
            if planned.kind is Kind.EXTERNAL:
                await self._reach_external(planned)
            elif planned.kind is Kind.CHILD:
                await self._start_child(planned.part)
            else:
                await self._start_service(planned, await imports[planned.name])
        except StackFailedError:
            raise
        except Exception as error:
            reason = error.reason if isinstance(error, ChildFailedError) else _reason(error)
            logging.getLogger(f"jan.{planned.name}.launch").exception("could not start: %s", reason)
            self.board.set_part(planned.name, Phase.FAILED, detail=reason)
            raise StackFailedError(planned.name, reason) from error
        self._ready[planned.name].set()

    async def _start_service(self, planned: PlannedPart, factory: Callable[..., ASGIApp]) -> None:
        assert self._client is not None
        running = self._services[planned.name]
        context = ServiceContext(
            settings=self.settings,
            home=self.home,
            database_url=database.database_url(self.settings, self.home),
            client=self._client,
        )
        apps = {name: other.app for name, other in self._services.items() if other.app is not None}
        await running.start(factory, context, apps)
        self.board.set_part(planned.name, Phase.READY, pid=os.getpid())

    async def _start_child(self, child: Part) -> None:
        if child is INFERENCE:
            await self._start_engine()
            return
        if child is IDENTITY:
            await self._start_keycloak()
            return
        assert child is POSTGRES
        await self._supervise(child, database.embedded(self.settings, self.home).program())
        await self._open_database()
        self.board.set_part(child.name, Phase.READY)

    async def _start_keycloak(self) -> None:
        """Start Keycloak and bring its realm to what the realm file says."""
        from jan_server.identity.keycloak.realm_server import Administrator
        from jan_server.identity.keycloak.setup import set_up
        from jan_server.launch.keycloak import keycloak_program, plan_keycloak

        child = await asyncio.to_thread(plan_keycloak, self.settings, self.home)
        await self._supervise(IDENTITY, keycloak_program(self.settings, self.home, child))
        self.board.set_part(IDENTITY.name, Phase.STARTING, detail="setting up the realm")
        changes = await asyncio.to_thread(set_up, self.settings, Administrator.of(self.settings))
        for change in changes:
            log.info("%s: %s", IDENTITY.name, change)
        self.board.set_part(IDENTITY.name, Phase.READY)

    async def _start_engine(self) -> None:
        """Start the engine; without it the rest is of use too, so nothing here fails the start."""
        try:
            await self._supervise(INFERENCE, engine_program(self.settings, self.home))
        except ModelMissingError as error:
            self.board.set_part(INFERENCE.name, Phase.STOPPED, detail=str(error))
            log.warning("%s: %s", INFERENCE.name, error)
            self._background.append(asyncio.create_task(self._await_model()))
        except ChildFailedError as error:
            log.warning("%s", error)

    async def _await_model(self) -> None:
        """Start the engine as soon as its model is there."""
        while True:
            await asyncio.sleep(_MODEL_POLL_SECONDS)
            try:
                program = await asyncio.to_thread(engine_program, self.settings, self.home)
            except ModelMissingError:
                continue
            with suppress(ChildFailedError):
                await self._supervise(INFERENCE, program)
            return

    async def _supervise(self, child: Part, program: Program) -> None:
        supervised = SupervisedChild(program, self._notes, self.sink, self._report(child))
        self._children[child.name] = supervised
        await supervised.start()

    def _report(self, child: Part) -> Callable[[Phase, str, int, int], None]:
        def report(phase: Phase, detail: str, pid: int, restarts: int) -> None:
            # The database counts as ready once it is migrated too, and Keycloak once its realm is set up;
            # `_start_child` says so the first time.
            if (
                child in (POSTGRES, IDENTITY)
                and phase is Phase.READY
                and not self._ready[child.name].is_set()
            ):
                phase = Phase.STARTING
            self.board.set_part(child.name, phase, detail=detail, pid=pid, restarts=restarts)

        return report

    async def _open_database(self) -> None:
        if self.plan.find(POSTGRES.name) is None:
            return
        external = self.settings.infrastructure.database.url.get_secret_value()
        if not external:
            await asyncio.to_thread(database.embedded(self.settings, self.home).ensure_database)
        url = database.database_url(self.settings, self.home)
        automatic = self.settings.services.llm_api.auto_migrate
        await asyncio.gather(*self._migrations)
        await asyncio.to_thread(database.migrate, url, self.plan.schemas(), automatic=automatic)

    async def _reach_external(self, planned: PlannedPart) -> None:
        if planned.part is POSTGRES:
            url = self.settings.infrastructure.database.url.get_secret_value()
            health = await database.wait_for_external(url)
            if not health.ok:
                raise StackFailedError(planned.name, f"the database of DATABASE_URL: {health.detail}")
            await self._open_database()
        elif planned.health_path:
            health = await until_ready(
                lambda: probe(planned.address, planned.health_path), seconds=_EXTERNAL_SECONDS
            )
            if not health.ok:
                raise StackFailedError(planned.name, f"{planned.address}: {health.detail}")
        self.board.set_part(planned.name, Phase.READY)

    async def _stop_service(self, running: RunningService, hurry: asyncio.Event) -> None:
        name = running.service.name
        self.board.set_part(name, Phase.STOPPING)
        drain: timedelta = self.settings.server.drain_timeout
        try:
            await running.stop(drain.total_seconds(), hurry)
        except Exception:
            logging.getLogger(f"jan.{name}.launch").exception("could not stop in order")
        self.board.set_part(name, Phase.STOPPED)

    @staticmethod
    async def _stop_child(child: SupervisedChild, hurry: asyncio.Event) -> None:
        stopping = asyncio.create_task(child.stop(hurry=hurry.is_set()))
        hurried = asyncio.create_task(hurry.wait())
        await asyncio.wait({stopping, hurried}, return_when=asyncio.FIRST_COMPLETED)
        if not stopping.done():
            await child.stop(hurry=True)
        hurried.cancel()
        with suppress(Exception):
            await stopping

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(1)
            for running in self._services.values():
                if running.listener is not None:
                    await running.listener.tick()


def _reason(error: Exception) -> str:
    text = str(error).strip()
    named = isinstance(error, OSError | RuntimeError | ValueError)
    return text if text and named else f"{type(error).__name__}: {text}"
