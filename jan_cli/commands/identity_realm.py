"""What the commands that speak to a Keycloak share: its settings, its administrator, its refusals."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from jan_cli.commands.models import sentence
from jan_cli.configuration import configuration
from jan_cli.console import CommandError, invocation

if TYPE_CHECKING:
    from jan_server.identity.keycloak.realm_server import Administrator
    from jan_server.settings.tree import Settings


def keycloak_settings(context: typer.Context) -> Settings:
    """The settings, when they name a Keycloak.

    Raises:
        CommandError: The embedded issuer is in use.
    """
    settings = configuration(invocation(context).home).settings
    if settings.identity.mode != "keycloak":
        raise CommandError(
            "The embedded issuer is in use; it follows the realm file by itself at every start.",
            "For a Keycloak of its own: jan quickstart --identity keycloak",
        )
    return settings


@contextmanager
def realm_failures() -> Iterator[None]:
    """Turn what Keycloak refuses into an error for people."""
    from jan_server.identity.keycloak.realm_server import RealmServerError

    try:
        yield
    except RealmServerError as error:
        raise CommandError(
            sentence(error.message), "Is it running, and are KEYCLOAK_ADMIN and its password right?"
        ) from error
    except ValueError as error:
        raise CommandError(sentence(str(error))) from error


def administrator_of(settings: Settings) -> Administrator:
    """Who sets realms up.

    Raises:
        RealmServerError: The settings name nobody.
    """
    from jan_server.identity.keycloak.realm_server import Administrator

    return Administrator.of(settings)
