"""A real Keycloak stops for a while, or dies, under load: the platform goes on and takes it back."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator
from contextlib import suppress
from urllib.parse import urlsplit

import aiohttp
import psutil
import pytest

from tests.identity.server import BACKEND_SECRET, IdentityServer, http
from tests.keycloak.__main__ import SUPERVISED
from tests.services.llm_api.conftest import eventually
from tests.services.llm_api.outages import (
    Callers,
    check_refusals,
    guests_come_in,
    load,
    platform,
    told_by_readyz,
)

FOUND_OUT_SECONDS = 20
RESTART_SECONDS = 300


@pytest.fixture(scope="module")
async def callers(
    identity_server: IdentityServer,
    tmp_path_factory: pytest.TempPathFactory,
    database_url: str,
    client: aiohttp.ClientSession,
) -> AsyncIterator[Callers]:
    home = tmp_path_factory.mktemp("home")
    realm = http.get(f"{identity_server.url}/realms/jan/.well-known/openid-configuration").json()
    async with platform(
        identity_server.url, BACKEND_SECRET, home, database_url, client, issuer=realm["issuer"]
    ) as running:
        yield running


def java(server: IdentityServer) -> psutil.Process:
    """The process of the Keycloak, which has to be on this machine."""
    port = urlsplit(server.url).port
    for process in psutil.process_iter(["name"]):
        with suppress(psutil.Error):
            if process.info["name"] == "java" and any(
                each.laddr.port == port and each.status == psutil.CONN_LISTEN
                for each in process.net_connections("tcp")
            ):
                return process
    raise AssertionError(f"no Java listens on port {port} of this machine")


async def test_one_that_stops_for_a_while_is_missed_by_log_ins_alone(
    identity_server: IdentityServer, callers: Callers
) -> None:
    process = java(identity_server)
    async with load(callers) as found:
        await eventually(found.served(), FOUND_OUT_SECONDS)
        process.send_signal(signal.SIGSTOP)
        try:
            await check_refusals(callers)
            await eventually(told_by_readyz(callers, "degraded"), FOUND_OUT_SECONDS)
            await eventually(found.served(50), FOUND_OUT_SECONDS)
        finally:
            process.send_signal(signal.SIGCONT)
        await eventually(guests_come_in(callers), FOUND_OUT_SECONDS)
        await eventually(told_by_readyz(callers, "ok"), FOUND_OUT_SECONDS)
    assert found.failures == {}


@pytest.mark.skipif(SUPERVISED not in os.environ, reason="nobody would start this Keycloak again")
async def test_one_that_dies_is_started_again_and_used_again(
    identity_server: IdentityServer, callers: Callers
) -> None:
    async with load(callers) as found:
        await eventually(found.served(), FOUND_OUT_SECONDS)
        java(identity_server).kill()
        await eventually(told_by_readyz(callers, "degraded"), FOUND_OUT_SECONDS)
        await check_refusals(callers)
        await eventually(guests_come_in(callers), RESTART_SECONDS)
    assert found.failures == {}
