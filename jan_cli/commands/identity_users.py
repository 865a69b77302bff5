"""`jan identity users`: moves accounts between the embedded issuer and Keycloak, passwords included."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from jan_cli.commands.db import BACKUPS, with_database
from jan_cli.commands.models import sentence
from jan_cli.configuration import existing_configuration
from jan_cli.console import CommandError, counted, invocation, note, print_json, print_table, stderr

if TYPE_CHECKING:
    from jan_server.identity.realm import RealmDirectory
    from jan_server.identity.transfer.decisions import Imported, OnConflict
    from jan_server.identity.transfer.users_file import UsersFile
    from jan_server.settings.tree import Settings

app = typer.Typer(
    name="users",
    help="Move accounts between the embedded issuer and Keycloak, passwords included.",
    epilog="Example: jan identity users export accounts.json --from embedded",
    no_args_is_help=True,
)

Result = TypeVar("Result")

SHOWN = 20
"""How many users that were not imported are shown."""


class Issuer(StrEnum):
    """Who keeps accounts."""

    EMBEDDED = "embedded"
    KEYCLOAK = "keycloak"


class Conflict(StrEnum):
    """What becomes of users that are there already."""

    SKIP = "skip"
    OVERWRITE = "overwrite"
    FAIL = "fail"


@app.command("export")
def export(
    context: typer.Context,
    file: Annotated[
        Path | None,
        typer.Argument(help="The file; else one with the time in its name.", show_default=False),
    ] = None,
    guests: Annotated[
        bool, typer.Option("--guests/--no-guests", help="Whether guests are among them.")
    ] = True,
    source: Annotated[
        Issuer | None,
        typer.Option("--from", help="Whose accounts; those of the issuer in use by default."),
    ] = None,
    database_url: Annotated[
        str | None,
        typer.Option(
            help="PostgreSQL of a Keycloak elsewhere; by default the platform's own.",
            envvar="KEYCLOAK_DATABASE_URL",
        ),
    ] = None,
) -> None:
    """Write all accounts with their hashed passwords to a file that only you can read, in Keycloak's format.

    Sessions are not in it: everybody logs in again at the other issuer, with the same password.

    Example: jan identity users export accounts.json
    """
    from jan_server.identity.transfer.users_file import write_users_file

    here = invocation(context)
    settings = existing_configuration(here.home).settings
    issuer = source or Issuer(settings.identity.mode)
    if database_url and issuer is Issuer.EMBEDDED:
        raise CommandError("--database-url is for Keycloak.", "Add: --from keycloak")
    target = (file or here.home / BACKUPS / _file_name()).absolute()
    with transfer_failures():
        if issuer is Issuer.EMBEDDED:
            found = _export_embedded(context, settings, guests)
        else:
            found = _export_keycloak(context, settings, database_url, guests)
        try:
            write_users_file(target, found)
        except OSError as error:
            raise CommandError(f"{target} cannot be written: {error.strerror or error}.") from error
    note(f"Wrote {counted(len(found.users), 'user')} of {issuer.value} to {target}.")
    note("It holds hashed passwords: keep it to yourself, and remove it when it is imported.")


@app.command("import")
def import_(
    context: typer.Context,
    file: Annotated[
        Path, typer.Argument(help="A file of `jan identity users export`, or of `kc.sh export`.")
    ],
    target: Annotated[
        Issuer | None, typer.Option("--into", help="Who takes them; the issuer in use by default.")
    ] = None,
    on_conflict: Annotated[
        Conflict, typer.Option(help="What becomes of users whose id, name or address is there already.")
    ] = Conflict.SKIP,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would happen.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Add the accounts of a file, with their ids and passwords, groups and roles.

    Conversations and API keys hang on the ids, so they are there after it. Run it again if it was cut off:
    users that are there are left as they are.

    Example: jan identity users import accounts.json --dry-run
    """
    from jan_server.identity.transfer.users_file import UsersFileError, read_users_file

    settings = existing_configuration(invocation(context).home).settings
    issuer = target or Issuer(settings.identity.mode)
    try:
        found = read_users_file(file)
    except UsersFileError as error:
        raise CommandError(f"{error}.") from error
    except OSError as error:
        raise CommandError(f"{file} cannot be read: {error.strerror or error}.") from error
    with transfer_failures():
        if issuer is Issuer.EMBEDDED:
            done = _import_embedded(context, settings, found, on_conflict.value, dry_run)
        else:
            done = _import_keycloak(settings, found, on_conflict.value, dry_run)
    if as_json:
        print_json(done.as_json())
    else:
        _show(done, issuer, dry_run=dry_run)
    if done.refused:
        raise typer.Exit(1)


@contextmanager
def transfer_failures() -> Iterator[None]:
    """Turn what an issuer or its database refuses into an error for people.

    Raises:
        CommandError: It was refused.
    """
    import psycopg
    from sqlalchemy.exc import DBAPIError

    from jan_server.identity.errors import IdentityError
    from jan_server.identity.keycloak.realm_server import RealmServerError
    from jan_server.identity.transfer.decisions import UsersConflictError
    from jan_server.identity.transfer.keycloak_export import KeycloakTablesError
    from jan_server.identity.transfer.keycloak_import import HashesUnknownError

    try:
        yield
    except RealmServerError as error:
        remedy = "Is it running, and are KEYCLOAK_ADMIN and its password right?"
        raise CommandError(f"{sentence(error.message)}.", remedy) from error
    except KeycloakTablesError as error:
        raise CommandError(f"{sentence(str(error))}.") from error
    except HashesUnknownError as error:
        raise CommandError(f"{sentence(str(error))}.", "Take Keycloak 25 or newer.") from error
    except UsersConflictError as error:
        raise CommandError(
            f"{error}. Nothing was changed.", "Choose: --on-conflict skip|overwrite"
        ) from error
    except IdentityError as error:
        if error.status == 404:
            raise _never_started() from error
        words = error.body.get("errorMessage") or error.body.get("error") or error
        raise CommandError(f"{sentence(str(words))}. Nothing was changed.") from error
    except DBAPIError as error:
        if isinstance(error.orig, psycopg.errors.UndefinedTable):
            raise _never_started() from error
        raise CommandError(f"{_first_line(error.orig)}. Nothing was changed.") from error
    except psycopg.Error as error:
        raise CommandError(f"Keycloak's database: {_first_line(error)}.") from error


def with_realms(
    context: typer.Context, settings: Settings, use: Callable[[RealmDirectory], Awaitable[Result]]
) -> Result:
    """Give the embedded issuer's realms to `use`, whether its server runs or not."""
    from jan_server.database.engine import Database
    from jan_server.identity.realm import RealmDirectory

    keycloak = settings.infrastructure.auth.keycloak

    async def run(url: str) -> Result:
        database = Database(url, pool_size=1, application_name="jan-identity-command")
        try:
            return await use(
                RealmDirectory(database, issuer=keycloak.issuer, application_realm=keycloak.realm)
            )
        finally:
            await database.dispose()

    return with_database(context, lambda url: asyncio.run(run(url)))


def _export_embedded(context: typer.Context, settings: Settings, guests: bool) -> UsersFile:
    from jan_server.identity.transfer.embedded_export import export_users

    name = settings.infrastructure.auth.keycloak.realm
    return with_realms(context, settings, lambda realms: export_users(realms, name, guests=guests))


def _export_keycloak(
    context: typer.Context, settings: Settings, database_url: str | None, guests: bool
) -> UsersFile:
    from jan_server.identity.transfer.keycloak_export import export_users

    name = settings.infrastructure.auth.keycloak.realm
    if database_url:
        return export_users(database_url, name, guests=guests)
    return with_database(context, lambda url: export_users(url, name, guests=guests), superuser=True)


def _import_embedded(
    context: typer.Context, settings: Settings, file: UsersFile, on_conflict: OnConflict, dry_run: bool
) -> Imported:
    from jan_server.identity.transfer.embedded_import import import_users

    def use(realms: RealmDirectory) -> Awaitable[Imported]:
        return import_users(
            realms,
            settings.infrastructure.auth.keycloak.realm,
            file,
            on_conflict=on_conflict,
            administrator=application_administrator(settings),
            dry_run=dry_run,
        )

    return with_realms(context, settings, use)


def _import_keycloak(settings: Settings, file: UsersFile, on_conflict: OnConflict, dry_run: bool) -> Imported:
    from jan_server.identity.keycloak.realm_server import Administrator, RealmServer
    from jan_server.identity.transfer.keycloak_import import import_users

    server = RealmServer(Administrator.of(settings), settings.infrastructure.auth.keycloak.realm)
    with _counting("Importing users") as progress:
        return import_users(
            server,
            file,
            on_conflict=on_conflict,
            administrator=application_administrator(settings),
            dry_run=dry_run,
            progress=progress,
        )


def application_administrator(settings: Settings) -> frozenset[str]:
    """Name and address of the account that both issuers make from the realm file."""
    from jan_server.identity.realm_file import administrator_email

    return frozenset(
        {settings.identity.application_admin_username.lower(), administrator_email(settings).lower()}
    )


@contextmanager
def _counting(title: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar on standard error that counts users; on no terminal, nothing."""
    if not stderr.is_terminal:
        yield lambda done, total: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=stderr) as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _show(done: Imported, issuer: Issuer, *, dry_run: bool) -> None:
    for text in done.notes:
        note(text)
    left = [(one, "refused") for one in done.refused] + [(one, "skipped") for one in done.skipped]
    if left:
        rows = [(one.username, what, one.reason) for one, what in left[:SHOWN]]
        print_table(("USER", "WHAT", "WHY"), rows)
    if len(left) > SHOWN:
        note(f"and {len(left) - SHOWN:,} more; --json shows all of them.")
    would = "would be " if dry_run else ""
    typer.echo(
        f"{issuer.value}: {counted(done.added, 'user')} {would}added, {done.overwritten:,} overwritten, "
        f"{len(done.skipped):,} skipped, {len(done.refused):,} refused."
    )


def _never_started() -> CommandError:
    return CommandError(
        "The embedded issuer has no realm yet: it never ran in this database.",
        "Start it once with identity.mode embedded: jan up -d identity",
    )


def _first_line(error: BaseException | None) -> str:
    lines = str(error).strip().splitlines()
    return sentence(lines[0]) if lines else "The database refused"


def _file_name() -> str:
    return f"users-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.json"
