"""`jan models`: the models of all providers, and the files on this machine for the built-in engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jan_cli.admin_api import admin_api
from jan_cli.commands import model_catalog, model_routes, offered_models
from jan_cli.configuration import configuration
from jan_cli.console import (
    CommandError,
    PlatformAway,
    confirm_or_decline,
    invocation,
    note,
    print_json,
    print_table,
    stderr,
    stdout,
    warn,
)
from jan_cli.options import AsJson, Yes
from jan_server.settings.home import JanHome

if TYPE_CHECKING:
    from jan_server.inference.model_store import ModelStore, StoredModel

app = typer.Typer(
    name="models",
    help="Keep models: what providers offer, the catalogue, routes and aliases, and the engine's files.",
    epilog="Example: jan models list",
    no_args_is_help=True,
)

app.add_typer(model_catalog.app)
app.add_typer(model_routes.app)


@app.command("list")
def list_models(
    context: typer.Context,
    search: Annotated[str | None, typer.Option(help="Part of an id or a name.")] = None,
    provider: Annotated[str | None, typer.Option(help="Only of the provider with this name or id.")] = None,
    active: Annotated[
        bool | None, typer.Option("--active/--inactive", help="Only those that can be called, or the others.")
    ] = None,
    local: Annotated[
        bool, typer.Option("--local", help="Only the files on this machine; the platform need not run.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show the models of all providers, and those on this machine that nobody offers.

    When the platform does not run, only the models on this machine are shown.

    Example: jan models list --provider Groq --active
    """
    if local:
        if (search, provider, active) != (None, None, None):
            raise CommandError("--local goes with none of the filters.", exit_code=2)
        show_files(context, as_json)
        return
    files = stored_descriptions(context)
    try:
        offered = offered_models.list_offered(admin_api(context), search, provider, active)
    except PlatformAway as away:
        if (search, provider, active) != (None, None, None):
            raise
        warn(f"Only the models on this machine are shown. {away.message}", away.remedy)
        offered = []
    files_by_id = {file["id"]: file for file in files}
    rows = [
        {
            **model,
            "id": model["model_public_id"],
            "name": model["model_display_name"],
            "local": files_by_id.pop(model["model_public_id"], None) if is_engine(model) else None,
        }
        for model in offered
    ]
    if (search, provider, active) == (None, None, None):
        rows += [
            {"id": file["id"], "name": file["name"], "active": False, "local": file}
            for file in files_by_id.values()
        ]
    if as_json:
        print_json(rows)
        return
    print_table(
        ("ID", "PROVIDER", "CATEGORY", "CONTEXT", "$/1M IN", "$/1M OUT", "STATE", "FILE"),
        [
            (
                row["id"],
                row.get("provider", "-"),
                row.get("category", ""),
                row.get("context_length") or (row["local"] or {}).get("context_length") or "",
                *offered_models.dollars_per_million(row.get("pricing")),
                offered_models.state(row) if "provider" in row else "not offered",
                state(row["local"]) if row["local"] else "",
            )
            for row in rows
        ],
        right=("CONTEXT", "$/1M IN", "$/1M OUT"),
    )
    note_missing(files)


app.command("show")(offered_models.show)
app.command("enable")(offered_models.enable)
app.command("disable")(offered_models.disable)
app.command("edit")(offered_models.edit)
app.command("alias")(model_routes.alias)


def is_engine(model: dict[str, Any]) -> bool:
    """Whether this installation's own engine offers a model."""
    return bool(model["provider_vendor"] == "jan")


def show_files(context: typer.Context, as_json: bool) -> None:
    """The models on this machine, and the built-in one even when it is not here.

    ID is what requests call a model, and MODEL what `jan models` and the settings call its file.
    """
    rows = stored_descriptions(context)
    if as_json:
        print_json(rows)
        return
    print_table(
        ("MODEL", "ID", "SIZE", "FORMAT", "CONTEXT", "LICENCE", "STATE"),
        [
            (
                row["name"],
                row["id"],
                f"{row['size'] / 1e6:,.0f} MB",
                " ".join(filter(None, (row["architecture"], row["quantisation"]))),
                row["context_length"] or "",
                row["licence"],
                state(row),
            )
            for row in rows
        ],
        right=("SIZE", "CONTEXT"),
    )
    note_missing(rows)


def note_missing(rows: list[dict[str, Any]]) -> None:
    """Say how a built-in model comes here that is not."""
    if not rows[-1]["present"]:
        note("Fetch the built-in model: jan models pull")


def stored_descriptions(context: typer.Context) -> list[dict[str, Any]]:
    """All that is known of the models on this machine; the built-in one stands last when it is missing."""
    from jan_server.inference import builtin_model

    used = configuration(invocation(context).home).settings.inference.llamacpp.model
    store = model_store(context)
    rows = [description(store, model, used) for model in store.models()]
    if not any(row["name"] == builtin_model.NAME for row in rows):
        rows.append(description(store, builtin_model.MODEL, used))
    return rows


@app.command("pull")
def pull(
    context: typer.Context,
    model: Annotated[
        str,
        typer.Argument(
            help="A name, path, address or hf:owner/repository/file.gguf. Default: what the engine uses."
        ),
    ] = "",
    name: Annotated[str | None, typer.Option(help="What to call it. Default: as its file.")] = None,
    as_json: AsJson = False,
) -> None:
    """Bring a model here: the built-in one, a GGUF file, or one from the network.

    An interrupted download goes on where it stopped when the command is repeated.

    Example: jan models pull hf:owner/repository/model.Q4_K_M.gguf --name my-model
    """
    from jan_server.inference.model_sources import fetch_model, is_path
    from jan_server.inference.model_store import ModelFetchError

    used = configuration(invocation(context).home).settings.inference.llamacpp.model
    reference = model or used
    if not model and is_path(used):
        raise CommandError(f"The engine uses the file {used} where it is.", "Say which model to pull.")
    store = model_store(context)
    before = store.find(name or reference)
    try:
        with progress_bar(f"Fetching {reference}") as progress:
            stored = fetch_model(reference, store, progress, name=name)
    except ModelFetchError as error:
        raise CommandError(sentence(error.message), sentence(error.remedy)) from error
    if as_json:
        print_json(description(store, stored, used))
        return
    word = "was here already" if before is not None and before == stored else "is here"
    stdout.print(f"{stored.name} {word} ({stored.size / 1e6:,.0f} MB{licence_note(stored)}).")
    if stored.name != used:
        note(f"Let the engine use it: jan config set inference.llamacpp.model {stored.name}")


@app.command("remove")
def remove(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="The model's name, as `jan models list --local` shows it.")],
    yes: Yes = False,
) -> None:
    """Delete a model's file.

    Example: jan models remove my-model --yes
    """
    from jan_server.inference.model_store import ModelMissingError

    store = model_store(context)
    model = store.find(name)
    if model is None:
        raise CommandError(f"There is no model {name!r} here.", "See: jan models list --local")
    question = f"Delete {store.path(model)} ({model.size / 1e6:,.0f} MB)?"
    confirm_or_decline(question, yes=yes, declined="Nothing was deleted.")
    try:
        store.remove(name)
    except ModelMissingError as error:
        raise CommandError(sentence(error.message), sentence(error.remedy)) from error
    note(f"{name} is deleted.")


def model_store(context: typer.Context) -> ModelStore:
    """The models of the home folder that the command line names."""
    from jan_server.inference.model_store import ModelStore

    return ModelStore(JanHome(invocation(context).home).models)


def description(store: ModelStore, model: StoredModel, used: str) -> dict[str, Any]:
    """All that is known of a model, for a table or for JSON."""
    from jan_server.inference.gguf import InvalidGgufError
    from jan_server.services.llm_api.model_ids import public_model_id

    path = store.path(model)
    row: dict[str, Any] = {
        "name": model.name,
        "id": public_model_id(model.name, "jan"),
        "present": path.is_file(),
        "used": model.name == used,
        "size": model.size,
        "sha256": model.sha256,
        "source": model.source,
        "licence": model.licence,
        "path": str(path),
        "architecture": "",
        "quantisation": "",
        "context_length": 0,
        "problem": "",
    }
    if row["present"]:
        try:
            header = store.header(model)
        except InvalidGgufError as error:
            row["problem"] = str(error)
        else:
            row |= {
                "architecture": header.architecture,
                "quantisation": header.quantisation,
                "context_length": header.context_length,
                "licence": model.licence or header.licence,
            }
    return row


def state(row: dict[str, Any]) -> str:
    """Whether a model is here, damaged, and used by the engine."""
    word = "damaged" if row["problem"] else "here" if row["present"] else "not here"
    return f"{word}, in use" if row["used"] else word


def licence_note(model: StoredModel) -> str:
    """`, licence Apache-2.0`, or nothing when it is not known."""
    return f", licence {model.licence}" if model.licence else ""


def sentence(text: str) -> str:
    """The text with a capital letter at its start."""
    return text[:1].upper() + text[1:]


@contextmanager
def progress_bar(title: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar on standard error; on no terminal, one line instead."""
    if not stderr.is_terminal:
        note(f"{title} …")
        yield lambda done, total: None
        return
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    with Progress(*columns, TransferSpeedColumn(), TimeRemainingColumn(), console=stderr) as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total or None)
