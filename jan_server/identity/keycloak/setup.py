"""Setting a realm up on a Keycloak, so that it is what the realm file says; again and again, if need be."""

from __future__ import annotations

from collections.abc import Callable

from jan_server.identity.keycloak.drift import Change, changes
from jan_server.identity.keycloak.realm_server import Administrator, RealmServer
from jan_server.identity.realm_file import read_realm_file
from jan_server.settings.tree import Settings


def ignore(change: Change) -> None:
    """Tells nobody."""


def set_up(
    settings: Settings, administrator: Administrator, *, told: Callable[[Change], None] = ignore
) -> list[Change]:
    """Close every gap between realm file and server.

    Args:
        settings: What the realm file is filled in from.
        administrator: Who sets the realm up.
        told: Told about each change, before it is made.

    Returns:
        What was changed; nothing when the realm was as the file says.

    Raises:
        RealmServerError: Keycloak refused; what was changed until then stays.
        ValueError: A setting that the file needs is missing or wrong.
    """
    file = read_realm_file(settings)
    server = RealmServer(administrator, settings.infrastructure.auth.keycloak.realm)
    made = []
    for change in changes(server, file):
        told(change)
        change.apply()
        made.append(change)
    return made


def drift(settings: Settings, administrator: Administrator) -> list[Change]:
    """Every gap between realm file and server; nothing is changed.

    A realm that is not there is one gap: what is in it cannot be compared.

    Raises:
        RealmServerError: Keycloak refused a look.
        ValueError: A setting that the file needs is missing or wrong.
    """
    file = read_realm_file(settings)
    server = RealmServer(administrator, settings.infrastructure.auth.keycloak.realm)
    if not server.exists():
        return [next(changes(server, file))]
    return list(changes(server, file))
