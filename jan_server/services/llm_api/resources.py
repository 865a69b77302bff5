"""What the LLM API opens at its start and every route uses: one typed record on the app's state."""

from __future__ import annotations

from dataclasses import dataclass

import aiohttp
from starlette.requests import HTTPConnection

from jan_server.database.engine import Database
from jan_server.services.llm_api.users import UserDirectory
from jan_server.settings.tree import Settings


@dataclass(frozen=True, slots=True)
class Resources:
    """The open resources of one LLM API.

    Attributes:
        settings: The whole settings tree.
        database: The connection pool to PostgreSQL.
        client: The one pooled outgoing HTTP client of the process.
        users: Resolves principals to local rows.
    """

    settings: Settings
    database: Database
    client: aiohttp.ClientSession
    users: UserDirectory


def resources(request: HTTPConnection) -> Resources:
    """The resources of the app that serves `request`; works as a FastAPI dependency too."""
    found = request.app.state.resources
    assert isinstance(found, Resources)
    return found
