"""Direct connections: every statement is kept at once, and none is lost to a connection that ended."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any, LiteralString

import psycopg
import pytest

from jan_server.database.direct import DirectConnections

SIZE = 2


@pytest.fixture
async def direct(empty_database_url: str) -> AsyncIterator[DirectConnections]:
    made = DirectConnections(empty_database_url, size=SIZE, application_name="jan test")
    yield made
    await made.close()


async def first_row(
    direct: DirectConnections, statement: LiteralString, parameters: Mapping[str, Any]
) -> tuple[Any, ...] | None:
    rows = await direct.fetch_rows(statement, parameters)
    return rows[0] if rows else None


async def backend(direct: DirectConnections) -> int:
    row = await first_row(direct, "select pg_backend_pid()", {})
    assert row is not None
    return int(row[0])


async def test_a_statement_is_committed_when_its_row_is_there(direct: DirectConnections) -> None:
    assert await first_row(direct, "select 1 where false", {}) is None
    made = "with made as (select set_config('jan.kept', %(value)s::text, false)) select * from made"
    assert await first_row(direct, made, {"value": "kept"}) == ("kept",)
    # Were the transaction still open, a failure would undo the setting.
    with pytest.raises(psycopg.errors.DivisionByZero):
        await first_row(direct, "select 1 / %(by)s::int", {"by": 0})
    assert await first_row(direct, "select current_setting('jan.kept')", {}) == ("kept",)


async def test_a_connection_that_the_server_ended_is_replaced(
    direct: DirectConnections, empty_database_url: str
) -> None:
    first = await backend(direct)
    async with await psycopg.AsyncConnection.connect(empty_database_url, autocommit=True) as other:
        await other.execute("select pg_terminate_backend(%s, 5000)", [first])
    assert await backend(direct) != first


async def test_statements_wait_for_one_of_the_connections(direct: DirectConnections) -> None:
    rows = await asyncio.gather(
        *(first_row(direct, "select pg_backend_pid(), pg_sleep(0.01)", {}) for _ in range(10))
    )
    assert len({row[0] for row in rows if row is not None}) == SIZE


async def test_a_statement_that_is_given_up_leaves_the_rest_usable(direct: DirectConnections) -> None:
    for _ in range(SIZE * 2):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await first_row(direct, "select pg_sleep(60)", {})
    assert await first_row(direct, "select 1", {}) == (1,)
