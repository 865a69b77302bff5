"""A session is a transaction, and a lost connection costs one request at the most."""

import pytest
from sqlalchemy import text

from jan_server.database.engine import Database


@pytest.fixture
async def database(empty_database_url):
    made = Database(empty_database_url, pool_size=2)
    async with made.session() as session:
        await (await session.connection()).execute(text("create table entries (name text)"))
    yield made
    await made.dispose()


async def names(database: Database) -> list[str]:
    async with database.session() as session:
        return list(
            (
                await (await session.connection()).execute(text("select name from entries order by name"))
            ).scalars()
        )


async def test_a_session_commits_at_its_end(database):
    async with database.session() as session:
        await (await session.connection()).execute(text("insert into entries values ('kept')"))
    assert await names(database) == ["kept"]


async def test_an_exception_rolls_everything_back(database):
    with pytest.raises(RuntimeError):
        async with database.session() as session:
            await (await session.connection()).execute(text("insert into entries values ('lost')"))
            raise RuntimeError
    assert await names(database) == []


async def test_connections_that_the_server_ended_are_replaced(database):
    await database.ping()
    async with database.session() as session:
        await (await session.connection()).execute(
            text(
                "select pg_terminate_backend(pid) from pg_stat_activity "
                "where datname = current_database() and pid <> pg_backend_pid()"
            )
        )
    await database.ping()
    assert await names(database) == []
