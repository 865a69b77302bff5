"""`jan down`: stop the platform in order, and with --clean remove its data."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from jan_cli.console import CommandError, Declined, confirm, invocation, note, warn
from jan_server.launch.detached import stop_server
from jan_server.launch.postgres import PostgresError
from jan_server.launch.removal import remove_data
from jan_server.launch.state import AlreadyRunningError, running_pid, running_state
from jan_server.settings.home import JanHome

_PATIENCE_SECONDS = 60.0
_BEGINNING_SECONDS = 2.0


def command(
    context: typer.Context,
    clean: Annotated[
        bool, typer.Option("--clean", help="Also remove the data: database, media, logs.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before removing data.")] = False,
    timeout: Annotated[
        float, typer.Option(help="Seconds before the stop is hurried, and then forced.", min=0)
    ] = _PATIENCE_SECONDS,
) -> None:
    """Stop the platform: open requests end first, then services, then the database.

    --clean asks, then removes data/, logs/ and run/. Configuration, secrets, models and backups
    stay.

    Example: jan down --clean --yes
    """
    home = JanHome(invocation(context).home)
    if clean and not confirm(
        f"Remove every account, conversation and file of {home.root} (data/, logs/, run/)?", yes=yes
    ):
        raise Declined("Nothing was stopped or removed.")
    _stop(home.root, timeout)
    if clean:
        _remove(home)


def _stop(home: Path, timeout: float) -> None:
    pid = running_pid(home)
    if pid is None:
        note("Jan Server is not running.")
        return
    if not _is_server(home):
        raise CommandError(
            f"No server, but a command that uses the database (pid {pid}) is at work in {home}.",
            "Wait until it has ended, then try again.",
        )
    begun = time.monotonic()
    if stop_server(home, seconds=timeout):
        note(f"Stopped ({time.monotonic() - begun:.1f} s).")
    else:
        warn(
            "The server did not end and was killed.",
            "Nothing that was committed is lost; the next start recovers the database.",
        )


def _is_server(home: Path) -> bool:
    """Whether the lock's holder is a server; one that has only just begun writes its state in a moment."""
    deadline = time.monotonic() + _BEGINNING_SECONDS
    while running_state(home) is None:
        if running_pid(home) is None:
            return True
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def _remove(home: JanHome) -> None:
    try:
        ended = remove_data(home)
    except AlreadyRunningError as error:
        raise CommandError(f"{error} Nothing was removed.", "Try again.") from error
    except PostgresError as error:
        raise CommandError(f"{error} Nothing was removed.") from error
    except OSError as error:
        place = error.filename or home.root
        raise CommandError(f"{place} could not be removed: {error.strerror or error}") from error
    for name in ended:
        note(f"Ended {name}, which an earlier server had left running.")
    note("Removed data/, logs/ and run/. Configuration, secrets, models and backups are still there.")
