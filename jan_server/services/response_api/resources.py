"""What the Response API opens at its start and every route uses: one typed record on the app's state."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import aiohttp
from fastapi import Depends
from starlette.requests import HTTPConnection, Request

from jan_server.authentication.identity_header import IdentitySigner
from jan_server.database.engine import Database
from jan_server.http.readiness import Readiness
from jan_server.services.response_api.chat_client import ChatClient
from jan_server.services.response_api.offered_tools import ToolSource
from jan_server.services.response_api.run import RunLimits
from jan_server.settings.tree import Settings


@dataclass(frozen=True, slots=True)
class Resources:
    """The open resources of the service.

    Attributes:
        settings: The whole settings tree.
        database: The connection pool to PostgreSQL.
        client: The one pooled outgoing HTTP client of the process.
        signer: Signs the header in which other services are told who calls.
        readiness: What `/readyz` asks.
        chat: Asks models.
        tools: Finds tools and calls them.
        limits: How much a response in the foreground may take.
    """

    settings: Settings
    database: Database
    client: aiohttp.ClientSession
    signer: IdentitySigner
    readiness: Readiness
    chat: ChatClient
    tools: ToolSource
    limits: RunLimits


def resources(request: HTTPConnection) -> Resources:
    """The resources of the app that serves `request`."""
    found = request.app.state.resources
    assert isinstance(found, Resources)
    return found


async def opened_resources(request: Request) -> Resources:
    """The same as a FastAPI dependency; a plain function would be sent to a thread."""
    return resources(request)


Open = Annotated[Resources, Depends(opened_resources)]
