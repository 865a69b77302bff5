"""`jan gateway`: the routes that the gateway serves, and whether a Kong file can be executed."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from jan_cli.configuration import configuration
from jan_cli.console import CommandError, invocation, print_json, print_table

if TYPE_CHECKING:
    from jan_server.gateway.listing import RouteLine
    from jan_server.settings.tree import Settings

app = typer.Typer(
    no_args_is_help=True,
    help="Look into the gateway: its routes and their plugins.",
    epilog="Example: jan gateway routes",
)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command(epilog="Example: jan gateway routes --json")
def routes(context: typer.Context, json: AsJson = False) -> None:
    """List the routes, the most specific first: what they take, who is let in, where they lead."""
    lines = _lines(configuration(invocation(context).home).settings)
    if json:
        print_json([asdict(line) for line in lines])
        return
    print_table(
        ("Route", "Methods", "Paths", "Leads to", "Opens to", "Limit"),
        [
            (
                line.name,
                " ".join(line.methods) or "any",
                "\n".join((*line.hosts, *line.paths)),
                "\n".join(line.upstream) or "-",
                line.credentials or "everybody",
                line.limit or "-",
            )
            for line in lines
        ],
    )


@app.command(epilog="Example: jan gateway check ./kong.yml")
def check(
    file: Annotated[Path, typer.Argument(help="A declarative Kong file, format 3.0.")], json: AsJson = False
) -> None:
    """Say whether a Kong file can be executed; what is not supported is named by its place in the file."""
    from jan_server.gateway.fields import KongFileError
    from jan_server.gateway.kong_file import load

    try:
        found = load(file)
    except KongFileError as error:
        if json:
            print_json({"ok": False, "place": error.path, "problem": str(error)})
            raise typer.Exit(1) from None
        raise CommandError(f"{file}: {error}", "See docs/gateway.md for what is executed.") from None
    counts = {
        "services": len(found.services),
        "routes": len(found.routes),
        "plugins": len(found.plugins),
        "consumers": len(found.consumers),
        "upstreams": len(found.upstreams),
    }
    if json:
        print_json({"ok": True, **counts})
        return
    typer.echo(f"{file} can be executed: " + ", ".join(f"{number} {name}" for name, number in counts.items()))


@app.command(epilog="Example: jan gateway show > kong.yml")
def show(
    context: typer.Context,
    reveal: Annotated[
        bool, typer.Option("--reveal", help="Show Redis's password instead of a mask.")
    ] = False,
) -> None:
    """Print the Kong file that the gateway runs, to read it or to begin one of your own with it."""
    from jan_server.gateway.fields import KongFileError
    from jan_server.gateway.shipped_file import gateway_text

    settings = configuration(invocation(context).home).settings
    try:
        typer.echo(gateway_text(settings, reveal=reveal), nl=False)
    except KongFileError as error:
        raise CommandError(str(error)) from None


def _lines(settings: Settings) -> list[RouteLine]:
    from jan_server.gateway.fields import KongFileError
    from jan_server.gateway.listing import route_lines
    from jan_server.gateway.shipped_file import gateway_file, service_ports
    from jan_server.settings.tree.follow import local_host

    try:
        file = gateway_file(settings)
    except KongFileError as error:
        raise CommandError(str(error), "Check it with: jan gateway check FILE") from None
    return route_lines(file, service_ports(settings), local_host(settings.server.listen_address))
