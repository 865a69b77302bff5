"""While PostgreSQL is away callers are told so, in one line of the log and without a traceback."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import psycopg
import pytest
from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.requests import Request
from starlette.responses import Response

from jan_server.database.engine import Database
from jan_server.http.edge import create_service_app
from jan_server.http.fast_route import add_fast_route
from jan_server.identity.errors import install_error_handlers as install_keycloak_shapes
from tests.gateway.serving import free_port


def raising(failure: Exception) -> FastAPI:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield

    app = create_service_app("sample", title="Sample", lifespan=lifespan)

    @app.get("/row")
    async def row() -> None:
        raise failure

    async def fast(request: Request) -> Response:
        """Fail as the other route does."""
        raise failure

    add_fast_route(app, "/fast", fast, methods=["GET"])
    return app


async def ask(app: FastAPI, path: str) -> httpx.Response:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
        return await client.get(path)


async def failure_of(database: Database, statement: str) -> Exception:
    with pytest.raises(Exception) as caught:
        async with database.session() as session:
            await session.connection()
            await session.exec(text(statement))  # type: ignore[call-overload]
    return caught.value


@pytest.mark.parametrize("path", ["/row", "/fast"])
async def test_a_server_that_is_not_there_is_a_503(path: str, caplog: pytest.LogCaptureFixture) -> None:
    database = Database(f"postgresql://nobody@127.0.0.1:{free_port()}/none")
    failure = await failure_of(database, "select 1")
    await database.dispose()
    app = raising(failure)
    with caplog.at_level(logging.WARNING):
        assert (await ask(app, path)).status_code == 503
        answer = await ask(app, path)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert answer.json()["code"] == "unavailable"
    assert answer.json()["message"] == "the database does not answer; try again shortly"
    [line] = [entry for entry in caplog.records if entry.name.startswith("jan.")]
    assert (line.name, line.levelname, line.exc_info) == ("jan.sample.database", "WARNING", None)
    assert "\n" not in line.getMessage()


async def test_a_connection_that_was_cut_is_a_503(database_url: str) -> None:
    database = Database(database_url)
    failure = await failure_of(database, "select pg_terminate_backend(pg_backend_pid())")
    await database.dispose()
    assert (await ask(raising(failure), "/row")).status_code == 503


@pytest.mark.parametrize(
    "failure",
    [
        PoolTimeout("QueuePool limit reached"),
        psycopg.OperationalError("connection is bad"),
        DBAPIError("select 1", {}, Exception("gone"), connection_invalidated=True),
        OperationalError("select 1", {}, psycopg.errors.CannotConnectNow("starting up")),
    ],
)
async def test_every_form_of_being_away_is_a_503(failure: Exception) -> None:
    assert (await ask(raising(failure), "/row")).status_code == 503


@pytest.mark.parametrize("path", ["/row", "/fast"])
async def test_a_wrong_statement_stays_a_500_in_the_services_log(
    database_url: str, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    database = Database(database_url)
    failure = await failure_of(database, "select nonsense")
    await database.dispose()
    answer = await ask(raising(failure), path)
    assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")
    [line] = [entry for entry in caplog.records if entry.levelname == "ERROR"]
    assert line.name == "jan.sample.errors"


async def test_a_deadlock_is_no_outage() -> None:
    deadlock = OperationalError("update", {}, psycopg.errors.DeadlockDetected("deadlock detected"))
    assert (await ask(raising(deadlock), "/row")).status_code == 500


async def test_identity_says_it_in_oauths_words() -> None:
    app = raising(psycopg.OperationalError("connection is bad"))
    install_keycloak_shapes(app)
    answer = await ask(app, "/row")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert answer.json()["error"] == "temporarily_unavailable"
