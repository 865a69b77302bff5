"""Whether an idle connection still has a server behind it, told without asking the server."""

from __future__ import annotations

import select
from typing import Any

import psycopg

_POLLED = select.POLLIN | select.POLLHUP | select.POLLERR


def has_ended(connection: psycopg.AsyncConnection[Any]) -> bool:
    """Whether the server of an idle connection has gone away.

    A server says nothing to a connection that asked nothing, so anything that can be read is its
    farewell or the end of the stream. A server that vanished without a word is not noticed.
    """
    if connection.closed:
        return True
    waiting = select.poll()
    waiting.register(connection.fileno(), _POLLED)
    return bool(waiting.poll(0))
