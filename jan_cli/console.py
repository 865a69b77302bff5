"""What a command says and how: tables, JSON, questions, and the one way an error is shown."""

import json
import os
import sys
import traceback
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer
from rich.console import Console, JustifyMethod
from rich.markup import escape
from rich.table import Table
from rich.text import Text

stdout = Console(highlight=False, soft_wrap=True)
"""Where results go."""

stderr = Console(stderr=True, highlight=False, soft_wrap=True)
"""Where progress, questions and errors go, so that results can be piped."""

PIPE_WIDTH = 240
"""Columns of a table that is not shown on a terminal."""


@dataclass(frozen=True, slots=True)
class Invocation:
    """What holds for the whole command line.

    Attributes:
        home: `$JAN_HOME`, absolute; it may not exist yet.
        verbose: whether an error shows its traceback.
    """

    home: Path
    verbose: bool = False


class CommandError(Exception):
    """A command cannot do what was asked; shown as "Error: …", never as a traceback.

    Args:
        message: what is wrong, naming the thing that is wrong.
        remedy: what the user can do about it, one line.
        exit_code: the process's exit code, not 0.
    """

    def __init__(self, message: str, remedy: str | None = None, exit_code: int = 1) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy
        self.exit_code = exit_code


class PlatformAway(CommandError):
    """The platform that a command needs does not answer, or is not configured yet."""


class Declined(Exception):
    """The user answered no or broke off: no error, but what was asked was not done.

    Args:
        message: What was left as it is, one line.
        exit_code: The process's exit code, not 0.
    """

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.message = message
        self.exit_code = exit_code


INTERRUPTED = 130
"""The exit code after Ctrl-C."""


@contextmanager
def answering() -> Iterator[None]:
    """Turns a Ctrl-C or the end of the input at a prompt into the news that nothing was changed.

    Raises:
        Declined: It came.
    """
    try:
        yield
    except (KeyboardInterrupt, EOFError, typer.Abort):
        # The cursor still stands behind the question.
        stderr.print()
        raise Declined("Nothing was changed.", INTERRUPTED) from None


def invocation(context: typer.Context) -> Invocation:
    """The global options of the command line that `context` belongs to."""
    found = context.find_object(Invocation)
    return found if found is not None else Invocation(home=default_home())


def default_home() -> Path:
    """`$JAN_HOME`, or `~/.jan` when it is unset or empty."""
    return Path(os.environ.get("JAN_HOME") or "~/.jan").expanduser().absolute()


def print_json(value: Any) -> None:
    """Writes `value` to standard output as indented JSON; what JSON does not know becomes text."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False, default=str) + "\n")


def print_table(
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    title: str | None = None,
    right: Sequence[str] = (),
) -> None:
    """Writes a table to standard output.

    Args:
        columns: the headings.
        rows: one sequence of cells a row; a cell that is not `rich.text.Text` is shown literally.
        title: a line above the table.
        right: the headings whose cells are numbers and stand at the right.
    """
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in columns:
        justify: JustifyMethod = "right" if column in right else "left"
        table.add_column(column, header_style="bold", justify=justify, overflow="fold")
    for row in rows:
        table.add_row(*(cell if isinstance(cell, Text) else Text(str(cell)) for cell in row))
    # A pipe has no width: a wide one keeps every row on one line, as grep and cut expect.
    (stdout if stdout.is_terminal else Console(highlight=False, width=PIPE_WIDTH)).print(table)


def counted(number: int, noun: str) -> str:
    """`1 model`, `2 models`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def note(message: str) -> None:
    """One line about progress, on standard error."""
    stderr.print(escape(message))


def warn(message: str, remedy: str | None = None) -> None:
    """Something that the user should know and that does not stop the command."""
    stderr.print(f"[yellow]Warning:[/yellow] {escape(message)}")
    if remedy:
        stderr.print(f"  {escape(remedy)}")


def confirm(question: str, *, yes: bool) -> bool:
    """Asks a yes/no question whose safe answer is No.

    Args:
        question: what will happen, ending with a question mark.
        yes: the command's `--yes`: answers without asking.

    Raises:
        CommandError: nobody is there to answer, because standard input is not a terminal.
    """
    if yes:
        return True
    if not sys.stdin.isatty():
        raise CommandError(f"{question} Nobody is there to answer.", "Add --yes to go ahead.")
    with answering():
        return typer.confirm(question, default=False, err=True)


def confirm_or_decline(question: str, *, yes: bool, declined: str) -> None:
    """Asks as `confirm` does, and ends the command when the answer is no.

    Args:
        question: what will happen, ending with a question mark.
        yes: the command's `--yes`: answers without asking.
        declined: what was left as it is, one line.

    Raises:
        CommandError: nobody is there to answer.
        Declined: the answer is no.
    """
    if not confirm(question, yes=yes):
        raise Declined(declined)


def show_error(message: str, remedy: str | None = None) -> None:
    """Shows why a command failed, and the remedy below it, on standard error."""
    stderr.print(f"[bold red]Error:[/bold red] {escape(message)}")
    if remedy:
        stderr.print(f"  {escape(remedy)}")


def show_unexpected(error: Exception, *, verbose: bool) -> None:
    """Shows an error that no command foresaw: its traceback only when `verbose`."""
    if verbose:
        stderr.print(escape("".join(traceback.format_exception(error)).rstrip()))
    reason = str(error).strip() or "no further words"
    show_error(
        f"{type(error).__name__}: {reason}",
        None if verbose else "jan --verbose … shows where it came from.",
    )
