"""Removing what a home's platform keeps, once nothing of it runs any more."""

from __future__ import annotations

import contextlib
import shutil

from jan_server.launch.children import ChildNotes
from jan_server.launch.database import DATA_FOLDER
from jan_server.launch.postgres import end_leftover_server, socket_folder
from jan_server.launch.state import server_lock
from jan_server.settings.home import JanHome


def remove_data(home: JanHome) -> list[str]:
    """Remove data/, logs/ and run/, while no server can start with this home.

    Returns:
        The children of an earlier server that still ran, and were ended first.

    Raises:
        AlreadyRunningError: A server, or a command that uses the database, runs with this home.
        PostgresError: A database server of this home does not end.
        OSError: A folder cannot be removed; `filename` says what in it.
    """
    if not home.root.exists():
        return []
    with server_lock(home.root):
        ended = ChildNotes(home.root).end_leftovers()
        database = home.root / DATA_FOLDER
        sockets = socket_folder(database)
        end_leftover_server(database, sockets)
        # The lock is in the last one.
        for folder in (*(() if sockets == database else (sockets,)), home.data, home.logs, home.run):
            with contextlib.suppress(FileNotFoundError):
                shutil.rmtree(folder)
    return ended
