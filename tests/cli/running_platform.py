"""A home folder whose configuration leads to an LLM API that runs, for commands that call the admin API."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
from fastapi import FastAPI
from typer.testing import CliRunner, Result

from jan_cli.main import app
from jan_server.http.context import ServiceContext
from jan_server.services.llm_api.app import create_app
from tests.services.llm_api.conftest import Person, settings_for
from tests.services.llm_api.platform import listening

Jan = Callable[..., Awaitable[Result]]


@asynccontextmanager
async def running_platform(
    home: Path,
    database_url: str,
    client: aiohttp.ClientSession,
    issuer_url: str,
    administrator: Person,
    **llm_api: Any,
) -> AsyncIterator[FastAPI]:
    """Configure `home` for a platform that runs: the issuer, and an LLM API in the gateway's place.

    Args:
        home: A folder; its file `address` says where the LLM API is.
        database_url: The database of the LLM API.
        client: Its outgoing client.
        issuer_url: The issuer.
        administrator: Who logs in for the commands.
        llm_api: Further settings of the LLM API.
    """
    settings = settings_for(issuer_url, admin_requests_per_minute=0, **llm_api)
    served = create_app(ServiceContext(settings, home, database_url, client))
    assert isinstance(served, FastAPI)
    async with listening(served) as address:
        configure(home, issuer_url, int(address.rpartition(":")[2]), administrator)
        (home / "address").write_text(address)
        yield served


def configure(home: Path, issuer_url: str, gateway_port: int, administrator: Person) -> None:
    """Write the settings with which commands find the issuer, the gateway and their administrator."""
    tree = {
        "identity": {
            "application_admin_username": administrator.email,
            "application_admin_password": administrator.password,
        },
        "infrastructure": {
            "auth": {"keycloak": {"base_url": issuer_url}},
            "gateway": {"kong": {"http_port": gateway_port}},
        },
    }
    (home / "jan.yaml").write_text(json.dumps(tree))


def command_of(home: Path, *group: str) -> Jan:
    """Runs `jan` with the words of `group` and what follows, off the loop that serves."""

    async def run(*arguments: str, given: str = "", **environment: str) -> Result:
        line = ["--home", str(home), *group, *arguments]
        return await asyncio.to_thread(CliRunner().invoke, app, line, input=given, env=environment)

    return run
