"""The platform's admin API, called through the gateway as the application administrator."""

from __future__ import annotations

import http.client
import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from jan_cli.commands.token import SECONDS, administrator_login, reason
from jan_cli.console import CommandError

if TYPE_CHECKING:
    from jan_server.settings.tree import Settings


class AdminApi:
    """The routes below `/v1/admin` of the platform that runs on this machine.

    Args:
        settings: Where the gateway is, and who the administrator is.

    Raises:
        CommandError: Nobody answers, or the administrator cannot log in.
    """

    def __init__(self, settings: Settings) -> None:
        from jan_server.settings.tree.follow import local_host

        host = local_host(settings.server.listen_address)
        self._url = f"http://{host}:{settings.infrastructure.gateway.kong.http_port}/v1/admin"
        self._token = str(administrator_login(settings)["access_token"])
        # A proxy that the environment names must not see what stays on this machine.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def call(
        self, method: str, *segments: str, body: Any = None, query: Mapping[str, Any] | None = None
    ) -> Any:
        """Call one route.

        Args:
            method: HTTP method.
            segments: The path below `/v1/admin`; each is quoted.
            body: Plain data that is sent as JSON; None for no body.
            query: Query parameters; those that are None are left out, true and false are written so.

        Returns:
            The answer's JSON, or None when it is empty.

        Raises:
            CommandError: Nobody answers, or the answer is a refusal; it is quoted.
        """
        url = self._url + "".join(f"/{urllib.parse.quote(segment, safe='')}" for segment in segments)
        given = {name: _text(value) for name, value in (query or {}).items() if value is not None}
        if given:
            url += f"?{urllib.parse.urlencode(given)}"
        request = urllib.request.Request(  # noqa: S310 - the address is the gateway's own
            url,
            data=None if body is None else json.dumps(body).encode(),
            headers={
                "Authorization": f"Bearer {self._token}",
                "Content-Type": "application/json",
                "User-Agent": "jan",
            },
            method=method,
        )
        try:
            with self._opener.open(request, timeout=SECONDS) as response:
                content = response.read()
        except urllib.error.HTTPError as refusal:
            raise CommandError(f"The platform refused ({refusal.code}): {reason(refusal.read())}") from None
        except (OSError, http.client.HTTPException) as failure:
            cause = getattr(failure, "reason", failure)
            raise CommandError(
                f"The gateway does not answer at {self._url}: {cause}", "Start the platform: jan up -d"
            ) from None
        try:
            return json.loads(content) if content else None
        except ValueError:
            raise CommandError(f"What answers at {self._url} is not the gateway of Jan Server.") from None


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
