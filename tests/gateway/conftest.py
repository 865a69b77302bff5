"""What the gateway's tests share: gateways on real sockets, a realm, and a client."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from starlette.types import ASGIApp
from yarl import URL

from jan_server.authentication.identity_header import IdentitySigner
from jan_server.authentication.principal import Principal
from jan_server.gateway.gateway import Gateway
from jan_server.gateway.kong_file import parse
from jan_server.http.client import open_client
from tests.gateway.realm import Realm
from tests.gateway.serving import EchoService, free_port, serving

SECRET = "the tests' own secret, long enough for HMAC"


@pytest.fixture(scope="session")
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    session = open_client()
    yield session
    await session.close()


@dataclass
class Running:
    """A gateway on a port."""

    port: int
    gateway: Gateway
    session: aiohttp.ClientSession

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def ask(
        self, method: str, path: str, *, headers: Mapping[str, str] | None = None, data: Any = None
    ) -> Answer:
        async with self.session.request(
            method, URL(f"{self.url}{path}", encoded=True), headers=headers, data=data, allow_redirects=False
        ) as response:
            return Answer(response.status, response.headers.copy(), await response.read())

    async def get(self, path: str, **headers: str) -> Answer:
        return await self.ask(
            "GET", path, headers={name.replace("_", "-"): text for name, text in headers.items()}
        )


@dataclass
class Answer:
    status: int
    headers: Any
    body: bytes

    @property
    def json(self) -> Any:
        import orjson

        return orjson.loads(self.body)


Start = Callable[..., Awaitable[Running]]


@pytest.fixture
async def start(client: aiohttp.ClientSession) -> AsyncIterator[Start]:
    """Starts a gateway that executes the given text; it stops when the test ends."""
    async with AsyncExitStack() as stack:

        async def started(text: str, apps: Mapping[str, ASGIApp] | None = None, **options: Any) -> Running:
            gateway = Gateway(
                parse(text),
                signer=IdentitySigner(SECRET),
                client=client,
                apps=apps or {},
                local_ports=options.pop("local_ports", {}),
                **options,
            )
            return Running(await stack.enter_async_context(serving(gateway)), gateway, client)

        yield started


@pytest.fixture(scope="session")
def realm() -> Realm:
    return Realm()


@pytest.fixture
def echo() -> EchoService:
    return EchoService()


def identity_of(service: EchoService) -> Principal:
    """The principal that the gateway signed for a service."""
    return IdentitySigner(SECRET).verify(service.headers["x-jan-identity"])


@pytest.fixture(scope="session")
def redis_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A real Redis of this test run."""
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("redis-server is not installed (Debian: apt-get install redis-server)")
    port, folder = free_port(), tmp_path_factory.mktemp("redis")
    process = start_redis(program, port, folder)
    yield port
    process.terminate()
    process.wait(5)


def start_redis(program: str, port: int, folder: Path) -> subprocess.Popen[bytes]:
    import socket

    process = subprocess.Popen(
        [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)],
        stdout=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 5
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=0.2).close()
            return process
        except OSError:
            if time.monotonic() > deadline:
                process.kill()
                raise
            time.sleep(0.01)
