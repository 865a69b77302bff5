"""`jan identity`: a Keycloak as the issuer of tokens: its installation, and its realm."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from jan_cli.commands import identity_users
from jan_cli.commands.identity_keys import rotate_keys
from jan_cli.commands.identity_realm import administrator_of, keycloak_settings, realm_failures
from jan_cli.commands.models import progress_bar, sentence
from jan_cli.configuration import configuration
from jan_cli.console import CommandError, invocation, note, print_json, print_table

if TYPE_CHECKING:
    from jan_server.identity.keycloak.drift import Change

app = typer.Typer(
    name="identity",
    help="Install a Keycloak, set its realm up and keep it as the realm file says.",
    epilog="Example: jan identity setup --dry-run",
    no_args_is_help=True,
)

app.add_typer(identity_users.app)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command("install")
def install(
    context: typer.Context,
    version: Annotated[str | None, typer.Option(help="Version; the one of the settings by default.")] = None,
    file: Annotated[
        Path | None, typer.Option(help="The distribution's zip file, instead of fetching it with Maven.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Fetch a Keycloak distribution once, check it, and unpack it below the home folder.

    Example: jan identity install
    """
    from jan_server.identity.keycloak.distribution import DistributionError
    from jan_server.identity.keycloak.installation import install as install_keycloak
    from jan_server.identity.keycloak.java import JavaMissingError, find_java

    home = invocation(context).home
    keycloak = configuration(home).settings.infrastructure.auth.keycloak
    if file is not None and not file.is_file():
        raise CommandError(f"--file: {file} is not there.", "Name the zip file of a Keycloak distribution.")
    wanted = version or keycloak.version
    try:
        java = find_java()
        with progress_bar(f"Fetching Keycloak {wanted}") as progress:
            found = install_keycloak(home, wanted, archive=file, progress=progress)
    except (DistributionError, JavaMissingError) as error:
        raise CommandError(sentence(error.message), sentence(error.remedy)) from error
    if as_json:
        print_json({"version": found.version, "folder": str(found.folder), "java": java.version})
        return
    typer.echo(f"Keycloak {found.version} is in {found.folder}; Java {java.version} runs it.")
    if wanted != keycloak.version:
        note(f"To use it: jan config set infrastructure.auth.keycloak.version {wanted}")


@app.command("setup")
def setup(
    context: typer.Context,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would change.")] = False,
    as_json: AsJson = False,
) -> None:
    """Make the realm on Keycloak what the realm file says: settings, key, clients, scopes, roles, groups.

    Run it again after every change of the settings; a second run changes nothing.

    Example: jan identity setup --dry-run
    """
    from jan_server.identity.keycloak.setup import drift, set_up

    settings = keycloak_settings(context)
    with realm_failures():
        administrator = administrator_of(settings)
        made = (
            drift(settings, administrator)
            if dry_run
            else set_up(settings, administrator, told=lambda change: note(f"  {change}"))
        )
    if as_json:
        print_json([_described(change) for change in made])
    elif dry_run:
        _print_changes(made)
    elif made:
        changes = "1 change was" if len(made) == 1 else f"{len(made)} changes were"
        typer.echo(f"{changes} made.")
    else:
        typer.echo("The realm is as the realm file says; nothing was changed.")


@app.command("diff")
def diff(context: typer.Context, as_json: AsJson = False) -> None:
    """Show where the realm on Keycloak and the realm file differ; the exit code is 1 when they do.

    Example: jan identity diff --json
    """
    from jan_server.identity.keycloak.setup import drift

    settings = keycloak_settings(context)
    with realm_failures():
        found = drift(settings, administrator_of(settings))
    if as_json:
        print_json([_described(change) for change in found])
    else:
        _print_changes(found)
    if found:
        raise typer.Exit(1)


@app.command("export")
def export(
    context: typer.Context,
    file: Annotated[
        Path | None, typer.Argument(help="The file; standard output by default.", show_default=False)
    ] = None,
) -> None:
    """Write the realm on Keycloak as a realm file that Keycloak's import takes, without any secret.

    Left out are users, keys, secrets of clients, and what every Keycloak makes by itself.

    Example: jan identity export realm.json
    """
    from jan_server.identity.keycloak.realm_export import export_realm
    from jan_server.identity.keycloak.realm_server import RealmServer
    from jan_server.settings.private_file import write_private

    settings = keycloak_settings(context)
    with realm_failures():
        server = RealmServer(administrator_of(settings), settings.infrastructure.auth.keycloak.realm)
        realm, left_out = export_realm(server)
    if file is None:
        print_json(realm)
    else:
        try:
            write_private(file.absolute(), json.dumps(realm, indent=2, ensure_ascii=False) + "\n")
        except OSError as error:
            raise CommandError(f"{file} cannot be written: {error.strerror or error}.") from error
        note(f"Wrote {file}.")
    for text in left_out:
        note(f"Left out: {text}")


app.command("rotate-keys")(rotate_keys)


def _described(change: Change) -> dict[str, str]:
    return {"place": change.place, "wanted": change.wanted, "found": change.found}


def _print_changes(changes: list[Change]) -> None:
    if not changes:
        typer.echo("The realm is as the realm file says.")
        return
    print_table(
        ("PLACE", "KEYCLOAK HAS", "THE FILE SAYS"),
        [(change.place, change.found or "nothing", change.wanted) for change in changes],
    )
