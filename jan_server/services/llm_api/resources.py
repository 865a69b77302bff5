"""What the LLM API opens at its start and every route uses: one typed record on the app's state."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

import aiohttp
from fastapi import Depends
from starlette.requests import HTTPConnection, Request

from jan_server.database.engine import Database
from jan_server.http.client_address import Network
from jan_server.http.readiness import Readiness
from jan_server.services.llm_api.accounts import Accounts
from jan_server.services.llm_api.guests import GuestQuota
from jan_server.services.llm_api.identity_server import IdentityServer
from jan_server.services.llm_api.key_check import KeyCheck
from jan_server.services.llm_api.mail import Mailer
from jan_server.services.llm_api.request_limit import RequestLimit
from jan_server.services.llm_api.serving import Serving
from jan_server.services.llm_api.share_views import ShareViews
from jan_server.services.llm_api.users import UserDirectory
from jan_server.settings.tree import Settings


@dataclass(frozen=True, slots=True)
class Resources:
    """The open resources of one LLM API.

    Attributes:
        settings: The whole settings tree.
        started_at: When the settings were read.
        database: The connection pool to PostgreSQL.
        client: The one pooled outgoing HTTP client of the process.
        trusted_proxies: Networks whose word counts for a client's address.
        users: Resolves principals to local rows.
        identity: The realm's tokens.
        accounts: The realm's accounts.
        key_check: Checks API keys.
        mailer: Sends mail; None where no mail server is set up.
        guest_quota: How many guests an address may make.
        admin_limit: How many requests an administrator may send.
        public_share_limit: How often an address may read public links.
        share_views: Counts the views of public links.
        readiness: What `/readyz` asks; further probes are added to it.
        serving: Turns a model's id into an answer.
    """

    settings: Settings
    started_at: datetime
    database: Database
    client: aiohttp.ClientSession
    trusted_proxies: tuple[Network, ...]
    users: UserDirectory
    identity: IdentityServer
    accounts: Accounts
    key_check: KeyCheck
    mailer: Mailer | None
    guest_quota: GuestQuota
    admin_limit: RequestLimit
    public_share_limit: RequestLimit
    share_views: ShareViews
    readiness: Readiness
    serving: Serving


def resources(request: HTTPConnection) -> Resources:
    """The resources of the app that serves `request`."""
    found = request.app.state.resources
    assert isinstance(found, Resources)
    return found


async def opened_resources(request: Request) -> Resources:
    """The same as a FastAPI dependency; a plain function would be sent to a thread."""
    return resources(request)


Open = Annotated[Resources, Depends(opened_resources)]
