"""The database of the stack: the embedded one or an operator's own, ready for use and migrated."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from jan_server.launch.children import ChildNotes, SupervisedChild
from jan_server.launch.health import Health, until_ready
from jan_server.launch.postgres import EmbeddedPostgres, TcpAccess
from jan_server.launch.state import running_pid, server_lock
from jan_server.settings.tree import Settings
from jan_server.telemetry.logs import LogSink

DATA_FOLDER = Path("data/postgres")

KEYCLOAK_ROLE = "keycloak"
"""The role of a Keycloak that the server runs."""

_EXTERNAL_SECONDS = 15.0


class DatabaseError(RuntimeError):
    """The database cannot be used; the message says what to do."""


def embedded(settings: Settings, home: Path) -> EmbeddedPostgres:
    """The embedded database of a home."""
    postgres = settings.infrastructure.database.postgres
    keycloak = settings.infrastructure.auth.keycloak
    managed = settings.identity.mode == "keycloak" and keycloak.managed
    return EmbeddedPostgres(
        home / DATA_FOLDER,
        user=postgres.user,
        database=postgres.database,
        max_connections=postgres.max_connections,
        tcp=TcpAccess(keycloak.database_port, KEYCLOAK_ROLE) if managed else None,
    )


def database_url(settings: Settings, home: Path, *, superuser: bool = False) -> str:
    """The libpq URL of the database that the settings mean.

    Args:
        settings: The settings.
        home: `$JAN_HOME`.
        superuser: Log in to the embedded database as its superuser; another one has only its URL.
    """
    external = settings.infrastructure.database.url.get_secret_value()
    return external or embedded(settings, home).url(superuser=superuser)


async def wait_for_external(url: str) -> Health:
    """Ask an operator's own database until it takes connections, or for a while."""

    async def check() -> Health:
        import psycopg

        try:
            connection = await psycopg.AsyncConnection.connect(url, connect_timeout=3)
        except (psycopg.Error, ValueError) as error:
            lines = str(error).strip().splitlines()
            return Health(False, lines[-1] if lines else "no connection", 0.0)
        await connection.close()
        return Health(True, "healthy", 0.0)

    return await until_ready(check, seconds=_EXTERNAL_SECONDS)


def import_migrations() -> None:
    """Import what `migrate` needs, the driver included; slow, so it is done while PostgreSQL starts."""
    importlib.import_module("jan_server.database.migrate")
    importlib.import_module("sqlalchemy.dialects.postgresql.psycopg")


def migrate(url: str, schemas: Sequence[str], *, automatic: bool) -> None:
    """Bring the schemas to their newest revision, or refuse a database that lags behind.

    Args:
        url: The libpq URL.
        schemas: The schemas that the planned services own.
        automatic: The setting services.llm_api.auto_migrate.

    Raises:
        DatabaseError: Migrations are pending and must not be applied here, or the database is newer than
            this program.
    """
    if not schemas:
        return
    from alembic.util import CommandError

    from jan_server.database import migrate as migrations

    if automatic:
        try:
            migrations.upgrade(url, schemas)
        except CommandError as error:
            raise DatabaseError(
                f"The database does not fit this version of Jan Server, which is probably older: {error}. "
                "Install the newer version again, or restore a backup that this one made."
            ) from error
        return
    lagging = [state.schema for state in migrations.status(url) if state.pending and state.schema in schemas]
    if lagging:
        raise DatabaseError(
            f"The database lags behind ({', '.join(lagging)}) and AUTO_MIGRATE is off: run jan db migrate."
        )


@contextlib.asynccontextmanager
async def open_database(settings: Settings, home: Path, sink: LogSink) -> AsyncIterator[None]:
    """Have the database at hand while the block runs: it is started when no server runs it already.

    Raises:
        DatabaseError: An operator's own database does not answer.
        ChildFailedError: The embedded one does not start.
        AlreadyRunningError: A server began to start or to stop in this very moment.
    """
    external = settings.infrastructure.database.url.get_secret_value()
    if external:
        health = await wait_for_external(external)
        if not health.ok:
            raise DatabaseError(f"The database of DATABASE_URL does not answer: {health.detail}")
        yield
        return
    postgres = embedded(settings, home)
    if running_pid(home) is not None:
        health = await until_ready(postgres.check, seconds=_EXTERNAL_SECONDS)
        if not health.ok:
            raise DatabaseError(f"The running server's database does not answer: {health.detail}")
        yield
        return
    with server_lock(home):
        notes = ChildNotes(home)
        await asyncio.to_thread(notes.end_leftovers)
        child = SupervisedChild(postgres.program(), notes, sink, lambda *_: None)
        try:
            await child.start()
            await asyncio.to_thread(postgres.ensure_database)
            yield
        finally:
            await child.stop()
