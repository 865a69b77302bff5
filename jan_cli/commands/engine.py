"""`jan engine`: the built-in inference engine on its own."""

from __future__ import annotations

import os
import subprocess
from dataclasses import asdict
from typing import Annotated

import typer

from jan_cli.commands.models import model_store, progress_bar, sentence
from jan_cli.configuration import configuration
from jan_cli.console import CommandError, invocation, note, print_json, print_table

app = typer.Typer(
    name="engine",
    help="Run the inference engine alone, or ask it how it is.",
    epilog="Example: jan engine status",
    no_args_is_help=True,
)


@app.command("status")
def status(
    context: typer.Context, as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False
) -> None:
    """Ask the running engine for its model and its slots; the exit code is 1 when it does not answer.

    Example: jan engine status --json
    """
    from jan_server.inference.engines.llamacpp import HOST
    from jan_server.inference.engines.llamacpp_status import engine_status

    settings = configuration(invocation(context).home).settings.inference.llamacpp
    found = engine_status(f"http://{HOST}:{settings.port}", settings.api_key.get_secret_value())
    if as_json:
        print_json(asdict(found))
    elif found.ready:
        print_table(
            ("MODEL", "ADDRESS", "CONTEXT", "SLOTS", "BUSY"),
            [(found.model, found.address, found.context_length, found.slots, found.busy)],
            right=("CONTEXT", "SLOTS", "BUSY"),
        )
    else:
        raise CommandError(
            f"The engine at {found.address} is not ready: {found.detail}.",
            "Start it with the platform: jan up, or alone: jan engine run",
        )
    if not found.ready:
        raise typer.Exit(1)


@app.command("run")
def run(context: typer.Context) -> None:
    """Run the built-in engine in the foreground until Ctrl-C, without the platform.

    Example: jan engine run
    """
    from jan_server.inference import builtin_model
    from jan_server.inference.engines.llamacpp import LlamaCpp
    from jan_server.inference.model_store import ModelFetchError, ModelMissingError

    settings = configuration(invocation(context).home).settings.inference
    store = model_store(context)
    try:
        if settings.llamacpp.model == builtin_model.NAME and store.find(builtin_model.NAME) is None:
            with progress_bar("Fetching the built-in model") as progress:
                builtin_model.fetch(store, progress)
        process = LlamaCpp().process(settings, store)
    except (ModelMissingError, ModelFetchError) as error:
        raise CommandError(sentence(error.message), sentence(error.remedy)) from error
    note(f"{process.model} at {process.address}/v1 — Ctrl-C ends it.")
    # It ends when this pipe does, and so with this command, however that ends.
    child = subprocess.Popen(
        process.arguments, stdin=subprocess.PIPE, env={**os.environ, **process.environment}
    )
    try:
        code = child.wait()
    except KeyboardInterrupt:
        child.terminate()
        code = child.wait()
    if code > 0:
        raise CommandError("The engine ended with an error; see above.", exit_code=code)
