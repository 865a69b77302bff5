"""Whether a failure means that PostgreSQL is away, rather than that a statement is wrong."""

from __future__ import annotations

import psycopg
from sqlalchemy.exc import DBAPIError, TimeoutError  # noqa: A004 - the pool's own name

KINDS: tuple[type[Exception], ...] = (DBAPIError, TimeoutError, psycopg.OperationalError)
"""Every exception that an outage can be; `is_outage` tells which of them are one."""

# SQLSTATE classes: connection exception, operator intervention (shutdown, starting up), too many connections.
_AWAY = ("08", "57P", "53300")


def is_outage(failure: Exception) -> bool:
    """Whether the server was not reached, broke off, is starting, or has no connection left.

    A deadlock or a cancelled statement is none, although drivers call those operational too.
    """
    if isinstance(failure, TimeoutError):
        return True
    cause: BaseException | None = failure
    if isinstance(failure, DBAPIError):
        if failure.connection_invalidated:
            return True
        cause = failure.orig
    if not isinstance(cause, (psycopg.OperationalError, psycopg.InterfaceError)):
        return False
    return cause.sqlstate is None or cause.sqlstate.startswith(_AWAY)


def cause_of(failure: Exception) -> str:
    """The driver's own words, on one line."""
    told = failure.orig if isinstance(failure, DBAPIError) and failure.orig is not None else failure
    return " ".join(str(told).split())
