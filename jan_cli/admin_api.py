"""The platform's admin API, called through the gateway as the application administrator."""

from __future__ import annotations

import http.client
import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from jan_cli.commands.token import SECONDS, administrator_login, reason
from jan_cli.configuration import existing_configuration
from jan_cli.console import CommandError, PlatformAway, invocation, note, print_json

if TYPE_CHECKING:
    import typer

    from jan_server.settings.tree import Settings

ROWS_A_CALL = 500


def admin_api(context: typer.Context) -> AdminApi:
    """The admin API of the platform that the command line names.

    Raises:
        CommandError: There is no configuration, nobody answers, or the administrator cannot log in.
    """
    return AdminApi(existing_configuration(invocation(context).home).settings)


def report(value: Any, done: str, *, as_json: bool) -> None:
    """Say what was done, or with `--json` print what the platform answered."""
    if as_json:
        print_json(value)
    else:
        note(done)


def only(
    found: list[dict[str, Any]], what: str, wanted: str, *, label: Callable[[dict[str, Any]], str], see: str
) -> dict[str, Any]:
    """The one thing that was found.

    Args:
        found: What fits.
        what: What kind of thing it is, for example `provider`.
        wanted: How the user called it.
        label: What tells the things that fit from one another.
        see: The command that lists them.

    Raises:
        CommandError: There is none, or more than one.
    """
    if not found:
        raise CommandError(f"There is no {what} {wanted!r}.", f"See: {see}")
    if len(found) > 1:
        raise CommandError(
            f"{len(found)} {what}s are called {wanted!r}.", f"Give one of: {', '.join(map(label, found))}"
        )
    return found[0]


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
            raise PlatformAway(
                f"The gateway does not answer at {self._url}: {cause}", "Start the platform: jan up -d"
            ) from None
        try:
            return json.loads(content) if content else None
        except ValueError:
            raise CommandError(f"What answers at {self._url} is not the gateway of Jan Server.") from None

    def all_rows(
        self, *segments: str, query: Mapping[str, Any] | None = None, member: str = "data"
    ) -> list[dict[str, Any]]:
        """All rows of a list that comes in pages with `limit`, `offset` and `total`.

        Args:
            segments: The path below `/v1/admin`.
            query: Further query parameters.
            member: Where the rows stand in an answer.

        Raises:
            CommandError: As `call`.
        """
        rows: list[dict[str, Any]] = []
        while True:
            page = self.call(
                "GET", *segments, query={**(query or {}), "limit": ROWS_A_CALL, "offset": len(rows)}
            )
            rows += page[member]
            if not page[member] or len(rows) >= page["total"]:
                return rows


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
