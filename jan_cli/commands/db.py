"""`jan db`: the database of the platform, whether the platform runs or not."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from jan_cli.configuration import existing_configuration
from jan_cli.console import (
    CommandError,
    Declined,
    confirm,
    invocation,
    note,
    print_json,
    print_table,
    stderr,
)

if TYPE_CHECKING:
    from jan_server.database.migrate import SchemaStatus

app = typer.Typer(
    name="db",
    help="Migrate, inspect, back up, restore and reset the database.",
    epilog="Example: jan db backup",
    no_args_is_help=True,
)

BACKUPS = Path("backups")

Result = TypeVar("Result")


@app.command("migrate")
def migrate(context: typer.Context) -> None:
    """Bring every schema to its newest revision; `jan up` does it too, unless AUTO_MIGRATE is off.

    Example: jan db migrate
    """
    from jan_server.database import migrate as migrations

    _show(with_database(context, migrations.upgrade))


@app.command("status")
def status(
    context: typer.Context, as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False
) -> None:
    """Show where every schema stands; the exit code is 1 while migrations are pending.

    Example: jan db status
    """
    from dataclasses import asdict

    from jan_server.database import migrate as migrations

    states = with_database(context, migrations.status)
    if as_json:
        print_json([asdict(state) for state in states])
    else:
        _show(states)
    if any(state.pending for state in states):
        raise typer.Exit(1)


@app.command("console")
def console(
    context: typer.Context,
    command: Annotated[
        str | None, typer.Option("--command", "-c", help="Run this and leave.", show_default=False)
    ] = None,
) -> None:
    """Open psql on the database, or a small prompt where there is no psql.

    Example: jan db console -c 'select count(*) from llm_api.users'
    """
    from jan_cli.sql_prompt import sql_prompt
    from jan_server.launch import database_tools

    def run(url: str) -> int:
        code = database_tools.console(url, command)
        return sql_prompt(url, command) if code is None else code

    code = with_database(context, run, interactive=True)
    if code:
        raise typer.Exit(code)


@app.command("backup")
def backup(
    context: typer.Context,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="The file; else one with the time in its name.", show_default=False
        ),
    ] = None,
) -> None:
    """Write all data to a file in $JAN_HOME/backups that only you can read. The platform may run.

    Secrets are not in it: keep a copy of $JAN_HOME/.env too, because provider keys are encrypted with it.

    Example: jan db backup
    """
    from jan_server.database.migrate import known_schemas
    from jan_server.launch import database_tools

    here = invocation(context)
    target = (output or here.home / BACKUPS / database_tools.backup_name()).absolute()
    try:
        with_database(context, lambda url: database_tools.backup(url, target, known_schemas()))
    except OSError as error:
        raise CommandError(f"{target} cannot be written: {error.strerror or error}") from error
    note(f"Wrote {target} ({target.stat().st_size / 1_000_000:.1f} MB).")


@app.command("restore")
def restore(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="A file that `jan db backup` wrote.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Replace all data with that of a backup: all of it or, when it fails, nothing.

    Example: jan db restore ~/.jan/backups/jan-20261124T120000Z.dump
    """
    from jan_server.database import migrate as migrations
    from jan_server.launch import database_tools

    here = invocation(context)
    if not file.is_file():
        raise CommandError(f"{file} does not exist.", f"Backups are in {here.home / BACKUPS}")
    _refuse_while_running(here.home, "restored")
    if not confirm(f"Replace all data with {file}?", yes=yes):
        raise Declined("Nothing was changed.")

    def run(url: str) -> list[SchemaStatus]:
        database_tools.restore(url, file.absolute(), migrations.known_schemas())
        return migrations.upgrade(url)

    _show(with_database(context, run))
    note("Restored.")


@app.command("reset")
def reset(
    context: typer.Context,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Remove all data and begin with empty schemas.

    Example: jan db reset --yes
    """
    from jan_server.database import migrate as migrations

    here = invocation(context)
    _refuse_while_running(here.home, "reset")
    if not confirm("Remove every account, conversation and key?", yes=yes):
        raise Declined("Nothing was changed.")
    _show(with_database(context, migrations.reset))
    note("Reset.")


def with_database(
    context: typer.Context,
    use: Callable[[str], Result],
    *,
    interactive: bool = False,
    superuser: bool = False,
) -> Result:
    """Give the database to `use`: that of the running server, else one that is started for the while.

    Args:
        context: The command line.
        use: Is given the libpq URL, in a thread of its own.
        interactive: Whether Ctrl-C is for `use`.
        superuser: Whether the embedded database is entered as its superuser.

    Raises:
        CommandError: The database cannot be used.
    """
    from jan_server.launch.children import ChildFailedError
    from jan_server.launch.database import DatabaseError, database_url, open_database
    from jan_server.launch.database_tools import DatabaseToolError
    from jan_server.launch.logs import open_logs
    from jan_server.launch.state import AlreadyRunningError

    home = invocation(context).home
    settings = existing_configuration(home).settings

    async def run() -> Result:
        if interactive:
            # Ctrl-C is for the program on the terminal.
            asyncio.get_running_loop().add_signal_handler(signal.SIGINT, lambda: None)
        async with open_database(settings, home, sink):
            return await asyncio.to_thread(use, database_url(settings, home, superuser=superuser))

    sink = open_logs(settings, home)
    try:
        return asyncio.run(run())
    except (DatabaseError, DatabaseToolError) as error:
        raise CommandError(str(error)) from error
    except ChildFailedError as error:
        raise CommandError(str(error), "jan logs postgres") from error
    except AlreadyRunningError as error:
        raise CommandError(str(error), "Try again when it has started or stopped.") from error
    finally:
        sink.close()


def _refuse_while_running(home: Path, done: str) -> None:
    from jan_server.launch.state import running_state

    if running_state(home) is not None:
        raise CommandError(f"The database cannot be {done} while the platform runs.", "Stop it: jan down")


def _show(states: list[SchemaStatus]) -> None:
    print_table(
        ["schema", "revision", "newest", "pending"],
        [
            (state.schema, state.current or "none", state.head or "none", ", ".join(state.pending) or "-")
            for state in states
        ],
    )
    if any(state.pending for state in states):
        stderr.print("Apply what is pending: jan db migrate")
