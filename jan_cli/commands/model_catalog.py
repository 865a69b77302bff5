"""`jan models catalog`: what is known of each model, whoever offers it."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from jan_cli.admin_api import admin_api, report
from jan_cli.commands.offered_models import catalog_rows, change_catalog
from jan_cli.console import CommandError, print_json, print_table
from jan_cli.options import AsJson, pairs, some_change

app = typer.Typer(
    name="catalog", help="What is known of each model, whoever offers it.", no_args_is_help=True
)

CAPABILITIES = ("images", "embeddings", "reasoning", "instruct", "audio", "video", "tools", "browser")

Model = Annotated[str, typer.Argument(metavar="MODEL", help="The model's id.")]
Active = Annotated[bool | None, typer.Option("--active/--inactive", help="Whether it may be offered.")]


@app.command("list")
def list_catalog(
    context: typer.Context,
    family: Annotated[str | None, typer.Option(help="Only of this family, such as qwen.")] = None,
    status: Annotated[
        str | None, typer.Option(help="Only with this status: init, filled or updated.")
    ] = None,
    active: Active = None,
    as_json: AsJson = False,
) -> None:
    """Show the catalogue, the newest first.

    Example: jan models catalog list --inactive
    """
    query = {"family": family, "status": status, "active": active}
    found = admin_api(context).all_rows("models", "catalogs", query=query)
    if as_json:
        print_json(found)
        return
    print_table(
        ("ID", "NAME", "FAMILY", "CONTEXT", "SUPPORTS", "STATE", "STATUS"),
        [
            (
                entry["id"],
                entry["model_display_name"],
                entry["family"] or "",
                entry.get("context_length") or "",
                " ".join(each for each in CAPABILITIES if entry[f"supports_{each}"]),
                "active" if entry["active"] else "off",
                entry["status"],
            )
            for entry in found
        ],
        right=("CONTEXT",),
    )


@app.command("show")
def show(context: typer.Context, model: Model, as_json: AsJson = False) -> None:
    """Show one entry of the catalogue.

    Example: jan models catalog show openai/gpt-4o
    """
    found = admin_api(context).call("GET", "models", "catalogs", model)
    if as_json:
        print_json(found)
        return
    rows = [("id", found["id"]), ("name", found["model_display_name"]), *catalog_rows(found)]
    print_table(("MEMBER", "VALUE"), rows)


@app.command("edit")
def edit(
    context: typer.Context,
    model: Model,
    name: Annotated[str | None, typer.Option(help="How it is shown, whoever offers it.")] = None,
    description: Annotated[str | None, typer.Option(help="What it is; empty takes it away.")] = None,
    notes: Annotated[str | None, typer.Option(help="Notes of administrators; empty takes them away.")] = None,
    tags: Annotated[
        str | None, typer.Option(metavar="LIST", help="Separated by commas; empty takes them away.")
    ] = None,
    family: Annotated[str | None, typer.Option(help="Its family; empty takes it away.")] = None,
    context_length: Annotated[
        int | None,
        typer.Option("--context", min=1, help="Tokens of its context where providers say nothing."),
    ] = None,
    supports: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=yes|no", help=f"What it can do: {', '.join(CAPABILITIES)}. Repeatable."),
    ] = None,
    defaults: Annotated[
        list[str] | None,
        typer.Option(
            "--default",
            metavar="NAME=VALUE",
            help="A default parameter; an empty value takes it away. Repeatable.",
        ),
    ] = None,
    active: Active = None,
    experimental: Annotated[
        bool | None,
        typer.Option(
            "--experimental/--no-experimental", help="Whether only users with experimental_models see it."
        ),
    ] = None,
    flag: Annotated[
        str | None, typer.Option(help="The feature flag that users need to see it; empty takes it away.")
    ] = None,
    moderated: Annotated[
        bool | None, typer.Option("--moderated/--no-moderated", help="Whether its answers are moderated.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Change an entry; what is not given stays. Syncs leave it alone from then on.

    Example: jan models catalog edit acme/wizard --default temperature=0.2 --supports tools=yes
    """
    given = {
        "model_display_name": name,
        "description": description,
        "notes": notes,
        "tags": None if tags is None else [tag.strip() for tag in tags.split(",") if tag.strip()],
        "family": family,
        "context_length": context_length,
        "active": active,
        "experimental": experimental,
        "requires_feature_flag": flag,
        "is_moderated": moderated,
    }
    body: dict[str, Any] = {member: value for member, value in given.items() if value is not None}
    body |= capabilities(supports)
    parameters = pairs(defaults, "--default")
    some_change({**body, **parameters}, "jan models catalog edit")
    changed = change_catalog(admin_api(context), model, body, parameters)
    report(changed, f"{model} was changed.", as_json=as_json)


def capabilities(given: list[str] | None) -> dict[str, bool]:
    """What `--supports` says, as the platform takes it.

    Raises:
        CommandError: A name or a value is unknown.
    """
    found = {}
    for name, value in pairs(given, "--supports").items():
        if name not in CAPABILITIES or value not in ("yes", "no"):
            raise CommandError(
                f"--supports does not know {name}={value}.",
                f"It takes NAME=yes or NAME=no, and the names {', '.join(CAPABILITIES)}.",
                exit_code=2,
            )
        found[f"supports_{name}"] = value == "yes"
    return found
