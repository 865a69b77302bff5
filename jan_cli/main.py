"""The `jan` command line: its global options, and its commands, each imported when it is called."""

import importlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from jan_cli.console import (
    CommandError,
    Declined,
    Invocation,
    default_home,
    note,
    show_error,
    show_unexpected,
    stdout,
)


@dataclass(frozen=True, slots=True)
class CommandEntry:
    """A command that `jan --help` can list without importing it.

    Attributes:
        module: the module that offers `app` (a group) or `command` (a single command).
        help: its line in `jan --help`.
        panel: the heading it stands under.
    """

    module: str
    help: str
    panel: str


COMMANDS: dict[str, CommandEntry] = {
    name: CommandEntry(f"jan_cli.commands.{name.replace('-', '_')}", help_line, panel)
    for panel, entries in {
        "Run": {
            "quickstart": "Ask what is needed, write the configuration, make the secrets.",
            "up": "Start the platform.",
            "down": "Stop the platform; --clean removes its data.",
            "status": "What runs, where, how well, since when.",
            "logs": "Read or follow the logs.",
            "doctor": "Check this machine and this configuration; every finding has a remedy.",
        },
        "Use": {
            "token": "Print a bearer token for scripts.",
            "models": "List, fetch, switch and describe models; their routes and aliases.",
            "providers": "Keep the providers of models.",
            "engine": "Run the inference engine alone.",
            "gateway": "Look into the gateway: its routes and their plugins.",
        },
        "Operate": {
            "config": "Show, explain, check and export the settings.",
            "identity": "Run a Keycloak as the issuer: install it, set its realm up.",
            "users": "Keep users, their roles and their groups.",
            "keys": "Keep API keys, and the limits of keys and users.",
            "usage": "Show tokens, calls and costs of models.",
            "db": "Migrate, inspect, back up, restore and reset the database.",
        },
    }.items()
    for name, help_line in entries.items()
}
"""Every command of `jan`, in the order in which `jan --help` lists them."""


class LazyCommands(TyperGroup):
    """A group whose commands are known by name and imported when one is called.

    It also is the one place that turns an error into a message and an exit code.
    """

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = {
            name: TyperCommand(name=name, help=entry.help, rich_help_panel=entry.panel)
            for name, entry in COMMANDS.items()
        }

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """The real command behind a name; an unknown name suggests the nearest."""
        name, command, rest = super().resolve_command(ctx, args)
        if name is not None and name in COMMANDS:
            command = load_command(name)
        return name, command, rest

    def invoke(self, ctx: Any) -> Any:
        """Runs the command; a `CommandError` is shown as one, anything else without its traceback."""
        try:
            return super().invoke(ctx)
        except CommandError as error:
            show_error(error.message, error.remedy)
            raise typer.Exit(error.exit_code) from error
        except Declined as news:
            note(news.message)
            raise typer.Exit(news.exit_code) from news
        except (typer.Exit, typer.Abort, typer.TyperException, EOFError, BrokenPipeError):
            raise
        except Exception as error:
            if type(error).__name__ == "SettingsError":
                # By its name, because importing the class would cost every command its time.
                show_error(
                    str(error), "jan config validate checks all of it; jan config explain KEY says more."
                )
                raise typer.Exit(1) from error
            show_unexpected(error, verbose=bool(ctx.params.get("verbose")))
            raise typer.Exit(1) from error

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        """Parses and runs a command line; wrong usage is shown like every other error (exit code 2)."""
        try:
            code = super().main(args, prog_name, complete_var, False, windows_expand_args, **extra)
        except typer.Abort:
            show_error("Aborted.")
            code = 1
        except typer.TyperException as error:
            # The words with which Typer's own checks begin say nothing to a user.
            show_error(error.format_message().replace("Value error, ", ""), usage_remedy(error))
            code = error.exit_code
        if standalone_mode:
            sys.exit(code if isinstance(code, int) else 0)
        return code


def load_command(name: str) -> Any:
    """Imports the module of a command and builds the command from its `app` or its `command`."""
    entry = COMMANDS[name]
    module = importlib.import_module(entry.module)
    group: typer.Typer | None = getattr(module, "app", None)
    if group is not None:
        built: Any = typer.main.get_group(group)
    else:
        single = typer.Typer(add_completion=False)
        single.command(name)(module.command)
        built = typer.main.get_command(single)
    built.name = name
    return built


def usage_remedy(error: typer.TyperException) -> str | None:
    """Where the help on a wrongly used command is."""
    context = getattr(error, "ctx", None)
    if context is None:
        return None
    option = getattr(error, "option_name", None)
    if option in {"--home", "--verbose"} and context.parent is not None:
        return f"{option} stands before the command: jan {option} … {context.info_name}"
    return f"Try: {context.command_path} --help"


app = typer.Typer(
    name="jan",
    cls=LazyCommands,
    help="Jan Server: an LLM platform in one command.",
    epilog="Start with: jan quickstart && jan up",
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)


def show_version(value: bool) -> None:
    """Prints the version and ends the command line, when `--version` was given."""
    if value:
        from importlib.metadata import PackageNotFoundError, version

        try:
            number = version("jan-server")
        except PackageNotFoundError:
            number = "(not installed)"
        stdout.print(f"jan {number}")
        raise typer.Exit


@app.callback()
def options(
    context: typer.Context,
    home: Annotated[
        Path | None,
        typer.Option(help="Where everything lives: configuration, data, logs.", envvar="JAN_HOME"),
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show the traceback of an error.")] = False,
    version: Annotated[
        bool,
        typer.Option("--version", help="Show the version.", callback=show_version, is_eager=True),
    ] = False,
) -> None:
    """Keeps the global options for the command that follows; without a command, shows the help."""
    chosen = home.expanduser().absolute() if home is not None and str(home) else default_home()
    context.obj = Invocation(home=chosen, verbose=verbose)
    if context.invoked_subcommand is None:
        help_text = context.get_help()
        if help_text:
            stdout.print(help_text)


def main() -> None:
    """The console script `jan`."""
    app(prog_name="jan")
