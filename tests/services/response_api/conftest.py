"""The Response API as its callers meet it, in front of a real LLM API whose provider is scripted."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import aiohttp
import httpx
import openai
import pytest
from fastapi import FastAPI

from jan_server.http.context import ServiceContext
from jan_server.services.response_api.app import create_app
from jan_server.settings.tree import Settings, plain
from tests.doubles.openai_upstream import OpenAIUpstream
from tests.doubles.tool_server import ToolServer
from tests.services.llm_api.conftest import serve, serving_platform, settings_for, upstream
from tests.services.llm_api.platform import TRUST, Platform, listening

__all__ = ["serve", "serving_platform", "upstream"]


@dataclass(frozen=True)
class Responses:
    """A running Response API.

    Attributes:
        url: Its address, without a path.
        llm: The LLM API that it asks.
        tools: The server of tools that it calls.
    """

    url: str
    app: FastAPI
    llm: Platform
    tools: ToolServer

    @property
    def upstream(self) -> OpenAIUpstream:
        return self.llm.upstream

    def openai(self, name: str = "ann") -> openai.AsyncOpenAI:
        """OpenAI's own client, as a program uses it."""
        return openai.AsyncOpenAI(
            api_key="unused",
            base_url=f"{self.url}/v1",
            default_headers={**self.llm.headers(name), "Authorization": ""},
            max_retries=0,
            http_client=openai.DefaultAsyncHttpxClient(verify=TRUST),
        )

    def client(self, name: str = "ann") -> httpx.AsyncClient:
        """A plain HTTP client that speaks for a user."""
        return httpx.AsyncClient(base_url=self.url, headers=self.llm.headers(name), timeout=20, verify=TRUST)


def response_settings(llm_url: str, tools_url: str, **section: Any) -> Settings:
    """Settings of a Response API between an LLM API and a server of tools."""
    tree = plain(settings_for("http://127.0.0.1:9"))
    tree["services"]["response_api"] = {
        "llm_api_url": llm_url,
        "mcp_tools_url": tools_url,
        "allowed_networks": ["127.0.0.0/8"],
        **section,
    }
    return Settings.model_validate(tree)


@pytest.fixture(scope="module")
async def tool_server() -> AsyncIterator[ToolServer]:
    async with ToolServer() as server:
        yield server


@pytest.fixture(scope="module")
async def running_responses(
    serving_platform: Platform,
    tool_server: ToolServer,
    database_url: str,
    client: aiohttp.ClientSession,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Responses]:
    settings = response_settings(serving_platform.url, tool_server.url, tool_timeout="1s")
    context = ServiceContext(settings, tmp_path_factory.mktemp("home"), database_url, client)
    app = create_app(context)
    assert isinstance(app, FastAPI)
    async with listening(app) as url:
        yield Responses(url, app, serving_platform, tool_server)


@pytest.fixture
def responses(running_responses: Responses) -> Responses:
    """A running Response API; provider and tools answer what the test scripts."""
    running_responses.upstream.reset()
    running_responses.tools.reset()
    running_responses.app.state.resources.tools.forget()
    return running_responses
