"""Passwords and keys that a command needs: they are never shown and never stand in its arguments."""

from __future__ import annotations

import os
import sys

import typer

from jan_cli.console import CommandError, answering


def asked_secret(what: str, *, twice: bool = False) -> str:
    """A secret: asked for without an echo, or the first line of standard input where nobody can be asked.

    Args:
        what: What it is, for example `Password of ada`.
        twice: Whether it is asked for twice.

    Raises:
        CommandError: Nothing came in.
    """
    if sys.stdin.isatty():
        with answering():
            return str(typer.prompt(what, hide_input=True, confirmation_prompt=twice, err=True))
    return piped_secret(what)


def piped_secret(what: str) -> str:
    """The first line of standard input.

    Raises:
        CommandError: It is empty.
    """
    given = sys.stdin.readline().strip("\r\n")
    if not given:
        raise CommandError(
            f"No {what[:1].lower()}{what[1:]} came in.", "Write it to standard input, in one line."
        )
    return given


def optional_secret(what: str) -> str:
    """A secret that may be left out: asked for on a terminal; empty where nobody can be asked."""
    if not sys.stdin.isatty():
        return ""
    with answering():
        return str(
            typer.prompt(
                f"{what} (empty for none)", hide_input=True, default="", show_default=False, err=True
            )
        )


def environment_secret(variable: str, option: str) -> str:
    """The value of a variable of the environment.

    Raises:
        CommandError: It is unset or empty; `option` names who asked for it.
    """
    value = os.environ.get(variable, "")
    if not value:
        raise CommandError(f"{option}: the variable {variable} is not set.", f"Set it: export {variable}=…")
    return value
