"""`jan token`: a bearer token for scripts, as a guest, as the administrator or as a user."""

from __future__ import annotations

import json
import sys
import urllib.error
import urllib.parse
import urllib.request
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jan_cli.configuration import existing_configuration
from jan_cli.console import CommandError, PlatformAway, invocation, print_json
from jan_cli.secret_input import asked_secret

if TYPE_CHECKING:
    from jan_server.settings.tree import Settings

SECONDS = 30.0
ADMIN_CLIENT = "jan-admin"


def command(
    context: typer.Context,
    admin: Annotated[bool, typer.Option("--admin", help="Log in as the application administrator.")] = False,
    user: Annotated[
        str | None,
        typer.Option(
            "--user",
            metavar="NAME",
            help="Log in as this user; the password is asked for, or read from standard input.",
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the whole answer as JSON, with refresh token and lifetime.")
    ] = False,
) -> None:
    """Print a bearer token, and nothing else.

    Without an option a new guest is made. The platform has to run.

    Example: curl -H "Authorization: Bearer $(jan token)" http://localhost:8000/v1/models
    """
    if admin and user is not None:
        raise CommandError("--admin and --user exclude one another.", "Give one of the two.", exit_code=2)
    settings = existing_configuration(invocation(context).home).settings
    if admin:
        answer = administrator_login(settings)
    elif user is not None:
        answer = password_login(
            settings,
            user,
            asked_secret(f"Password of {user}"),
            settings.infrastructure.auth.keycloak.client[0],
        )
    else:
        answer = guest_login(settings)
    if as_json:
        print_json(answer)
    else:
        sys.stdout.write(f"{answer['access_token']}\n")


def guest_login(settings: Settings) -> dict[str, Any]:
    """Make a guest through the gateway."""
    from jan_server.settings.tree.follow import local_host

    port = settings.infrastructure.gateway.kong.http_port
    return ask(f"http://{local_host(settings.server.listen_address)}:{port}/auth/guest-login", b"", "gateway")


def administrator_login(settings: Settings) -> dict[str, Any]:
    """Log the application administrator in; the password stands in the configuration."""
    password = settings.identity.application_admin_password.get_secret_value()
    if not password:
        raise CommandError(
            "The configuration has no password of the application administrator.",
            "Make one with jan quickstart, or set JAN_ADMIN_PASSWORD.",
        )
    clients = settings.infrastructure.auth.keycloak.client
    client = ADMIN_CLIENT if ADMIN_CLIENT in clients else clients[0]
    return password_login(settings, settings.identity.application_admin_username, password, client)


def password_login(settings: Settings, username: str, password: str, client: str) -> dict[str, Any]:
    """Log a user in at the identity server."""
    keycloak = settings.infrastructure.auth.keycloak
    realm = urllib.parse.quote(keycloak.realm, safe="")
    form = urllib.parse.urlencode(
        {
            "grant_type": "password",
            "client_id": client,
            "username": username,
            "password": password,
            "scope": "openid",
        }
    )
    url = f"{keycloak.base_url.rstrip('/')}/realms/{realm}/protocol/openid-connect/token"
    return ask(url, form.encode(), "identity server")


def ask(url: str, body: bytes, whom: str) -> dict[str, Any]:
    """POST a form to this machine's own platform and read the tokens that it answers.

    Raises:
        CommandError: Nobody answers there, or the answer is a refusal; it is quoted.
    """
    # A proxy that the environment names must not see what stays on this machine.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, data=body, timeout=SECONDS) as response:
            answer = json.loads(response.read())
    except urllib.error.HTTPError as refusal:
        raise CommandError(f"The {whom} refused ({refusal.code}): {reason(refusal.read())}") from None
    except (OSError, ValueError) as failure:
        cause = getattr(failure, "reason", failure)
        raise PlatformAway(
            f"The {whom} does not answer at {url}: {cause}",
            "jan status says what runs; jan up -d starts the platform.",
        ) from None
    if not isinstance(answer, dict) or not isinstance(answer.get("access_token"), str):
        raise CommandError(f"What answers at {url} is not the {whom} of Jan Server: it gave no token.")
    return answer


def reason(body: bytes) -> str:
    """The words of a refusal: the platform's, or OAuth's."""
    try:
        told = json.loads(body)
    except ValueError:
        return body[:200].decode("utf-8", "replace")
    if not isinstance(told, dict):
        return str(told)[:200]
    error = told.get("error")
    nested = error.get("message") if isinstance(error, dict) else error
    return str(told.get("error_description") or told.get("message") or nested or "no reason given")
