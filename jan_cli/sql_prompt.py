"""A small SQL prompt, for machines without psql."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from jan_cli.console import note, print_table, show_error

if TYPE_CHECKING:
    import psycopg

_ROWS_SHOWN = 200


def sql_prompt(url: str, command: str | None = None) -> int:
    """Run statements, each ended by a semicolon, until the input ends or says quit.

    Args:
        url: The libpq URL.
        command: Run this alone, without a prompt.

    Returns:
        0, or 1 when the given command failed.
    """
    import psycopg

    with psycopg.connect(url, autocommit=True, application_name="jan-console") as connection:
        if command is not None:
            return 0 if _run(connection, command) else 1
        with contextlib.suppress(ImportError):
            import readline  # noqa: F401 - gives input() a history
        note("A small SQL prompt; end a statement with ; and leave with quit.")
        statement = ""
        while True:
            try:
                line = input("...> " if statement else "jan=> ")
            except (EOFError, KeyboardInterrupt):
                return 0
            if line.strip() in {"quit", "exit", "\\q"} and not statement:
                return 0
            statement = f"{statement}\n{line}".strip()
            if statement.endswith(";"):
                _run(connection, statement)
                statement = ""


def _run(connection: psycopg.Connection, statement: str) -> bool:
    import psycopg

    try:
        cursor = connection.execute(statement.encode())
        if cursor.description:
            rows = cursor.fetchmany(_ROWS_SHOWN + 1)
            print_table([column.name for column in cursor.description], rows[:_ROWS_SHOWN])
            if len(rows) > _ROWS_SHOWN:
                note(f"… the first {_ROWS_SHOWN} of {cursor.rowcount} rows")
        else:
            note(cursor.statusmessage or "done")
    except psycopg.Error as error:
        show_error(str(error).strip())
        return False
    return True
