"""The options that many commands share, so that they are called and explained the same everywhere."""

from __future__ import annotations

from typing import Annotated

import typer

from jan_cli.console import CommandError

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


def pairs(given: list[str] | None, option: str) -> dict[str, str]:
    """What a repeatable `NAME=VALUE` option says.

    Raises:
        CommandError: One of them has no name or no equals sign.
    """
    found = {}
    for text in given or ():
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise CommandError(f"{option} {text!r} is not NAME=VALUE.", exit_code=2)
        found[name.strip()] = value
    return found


def cleared(given: list[str] | None, names: tuple[str, ...]) -> list[str]:
    """The names that a repeatable `--clear` takes away.

    Raises:
        CommandError: One of them is none of `names`, or `all`.
    """
    for name in given or ():
        if name not in (*names, "all"):
            raise CommandError(
                f"--clear does not know {name!r}.", f"It takes {', '.join(names)} or all.", exit_code=2
            )
    return list(names) if "all" in (given or ()) else list(given or ())


def some_change(changes: dict[str, object], command: str) -> None:
    """Refuse a command that changes nothing.

    Raises:
        CommandError: No change was given.
    """
    if not changes:
        raise CommandError("Nothing to change was given.", f"See: {command} --help", exit_code=2)
