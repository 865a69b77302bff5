"""Alembic migrations: one PostgreSQL schema a service, each with its own history.

The histories live in `migrations/<schema>/versions/`; a schema's version table stands in the
schema itself, so a service can move to a database of its own together with its history.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.pool import NullPool

from jan_server.database.engine import sqlalchemy_url

MIGRATIONS = Path(__file__).parent / "migrations"
VERSION_TABLE = "schema_version"

# Any constant will do; every process that migrates asks for the same advisory lock.
_LOCK = 0x6A616E31


def known_schemas() -> tuple[str, ...]:
    """The schemas that have migrations, in alphabetical order."""
    return tuple(sorted(folder.parent.name for folder in MIGRATIONS.glob("*/versions")))


@dataclass(frozen=True, slots=True)
class SchemaStatus:
    """Where one schema stands.

    Attributes:
        schema: The schema's name.
        current: The revision in the database, or None when there is none yet.
        head: The newest revision that this version of the program knows.
        pending: The revisions that are still to be applied, oldest first.
    """

    schema: str
    current: str | None
    head: str | None
    pending: tuple[str, ...]


def upgrade(url: str, schemas: Sequence[str] | None = None) -> list[SchemaStatus]:
    """Bring schemas to their newest revision; processes that do so at once take turns.

    Args:
        url: A libpq URL.
        schemas: Names of schemas; all that have migrations by default.

    Returns:
        Where each schema stands afterwards.
    """
    with _connection(url) as connection:
        connection.execute(text("select pg_advisory_lock(:lock)"), {"lock": _LOCK})
        connection.commit()
        try:
            for schema in schemas or known_schemas():
                connection.execute(text(f'create schema if not exists "{schema}"'))
                connection.commit()
                command.upgrade(_config(schema, connection), "head")
                connection.commit()
            return [_status(connection, schema) for schema in schemas or known_schemas()]
        finally:
            connection.rollback()
            connection.execute(text("select pg_advisory_unlock(:lock)"), {"lock": _LOCK})
            connection.commit()


def status(url: str) -> list[SchemaStatus]:
    """Where every schema stands, without changing anything."""
    with _connection(url) as connection:
        return [_status(connection, schema) for schema in known_schemas()]


def reset(url: str) -> list[SchemaStatus]:
    """Drop every schema with all its data and migrate anew."""
    with _connection(url) as connection:
        for schema in known_schemas():
            connection.execute(text(f'drop schema if exists "{schema}" cascade'))
        connection.commit()
    return upgrade(url)


@contextmanager
def _connection(url: str) -> Iterator[Connection]:
    engine = create_engine(sqlalchemy_url(url), poolclass=NullPool)
    try:
        with engine.connect() as connection:
            yield connection
    finally:
        engine.dispose()


def _config(schema: str, connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("version_locations", str(MIGRATIONS / schema / "versions").replace("%", "%%"))
    config.set_main_option("path_separator", "newline")
    config.attributes["connection"] = connection
    config.attributes["schema"] = schema
    return config


def _status(connection: Connection, schema: str) -> SchemaStatus:
    script = ScriptDirectory.from_config(_config(schema, connection))
    head = script.get_current_head()
    context = MigrationContext.configure(
        connection, opts={"version_table": VERSION_TABLE, "version_table_schema": schema}
    )
    current = context.get_current_revision()
    connection.rollback()
    pending = [
        revision.revision
        for revision in script.iterate_revisions(head or "base", current or "base")
        if revision.revision != current
    ]
    return SchemaStatus(schema, current, head, tuple(reversed(pending)))
