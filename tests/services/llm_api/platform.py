"""An LLM API on a real socket in front of a scripted provider, and its callers."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx
import openai
import uvicorn
from fastapi import FastAPI
from starlette.types import ASGIApp

from jan_server.authentication.identity_header import HEADER, IdentitySigner
from jan_server.authentication.principal import Principal
from jan_server.launch.listener import KEEP_ALIVE_SECONDS
from jan_server.services.llm_api.serving import Serving
from tests.doubles.openai_upstream import OpenAIUpstream

# Loading the certificates anew would be most of what a client costs here, where there is no TLS.
TRUST = ssl.create_default_context()


@dataclass(frozen=True)
class Platform:
    """A running LLM API.

    Attributes:
        url: Its address, without a path.
        app: The app itself.
        upstream: The only provider it has.
    """

    url: str
    app: FastAPI
    upstream: OpenAIUpstream
    signer: IdentitySigner

    @property
    def serving(self) -> Serving:
        serving = self.app.state.resources.serving
        assert isinstance(serving, Serving)
        return serving

    def headers(self, name: str = "ann", *, admin: bool = False) -> dict[str, str]:
        """The headers with which the gateway vouches for a user."""
        principal = Principal(
            subject=f"subject-of-{name}",
            issuer="http://issuer.example/realms/jan",
            username=name,
            roles=("admin",) if admin else (),
        )
        return {HEADER: self.signer.sign(principal)}

    def client(self, name: str = "ann", *, admin: bool = False) -> httpx.AsyncClient:
        """A plain HTTP client that speaks for a user."""
        headers = self.headers(name, admin=admin)
        return httpx.AsyncClient(base_url=self.url, headers=headers, timeout=20, verify=TRUST)

    def openai(self, name: str = "ann") -> openai.AsyncOpenAI:
        """OpenAI's own client, as a program uses it."""
        return openai.AsyncOpenAI(
            api_key="unused",
            base_url=f"{self.url}/v1",
            default_headers={**self.headers(name), "Authorization": ""},
            max_retries=0,
            http_client=openai.DefaultAsyncHttpxClient(verify=TRUST),
        )


def free_socket() -> socket.socket:
    """A socket on a free port of this machine: for an app that has to know its own address."""
    # asyncio switches Nagle's algorithm off only where the protocol is named.
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    bound.bind(("127.0.0.1", 0))
    return bound


@asynccontextmanager
async def listening(app: ASGIApp, bound: socket.socket | None = None) -> AsyncIterator[str]:
    """Serve `app` on a bound socket, or on a free port of this machine; gives its address."""
    with bound or free_socket() as bound:
        # As the launcher: idle connections outlive those of clients, and none closes just when it is used.
        config = uvicorn.Config(
            app,
            log_config=None,
            lifespan="on",
            timeout_graceful_shutdown=2,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
        )
        server = uvicorn.Server(config)
        task = asyncio.create_task(server.serve(sockets=[bound]))
        while not server.started:
            if task.done():
                task.result()
                raise AssertionError("the app did not start")
            await asyncio.sleep(0.005)
        try:
            yield f"http://127.0.0.1:{bound.getsockname()[1]}"
        finally:
            server.should_exit = True
            await task
