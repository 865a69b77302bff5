"""`jan logs`: the log files on the screen, merged by time, filtered, and followed."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from jan_cli.console import CommandError, invocation, note, stdout
from jan_server.settings.home import JanHome
from jan_server.telemetry.log_files import SERVER, LogEntry, follow, services_with_logs, tail

LEVELS = {"debug": 10, "info": 20, "warning": 30, "warn": 30, "error": 40, "critical": 50}
"""The levels that a line may have, and their order."""

_FILTER_REACH = 100_000
"""How many lines back a filter by level looks."""

_STYLES = {"debug": "dim", "warning": "yellow", "error": "red", "critical": "bold red"}
_SHORT = {"warning": "warn", "critical": "fatal"}
_SHOWN_APART = frozenset({"time", "level", "service", "logger", "message", "error"})
_ACCESS_LOGGER = ".access"


def command(
    context: typer.Context,
    service: Annotated[
        list[str] | None, typer.Argument(help="Only these services; all by default.", show_default=False)
    ] = None,
    follow_on: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what is written.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", "--tail", help="How many lines.", min=0)] = 100,
    as_json: Annotated[bool, typer.Option("--json", help="Print the lines as they are stored.")] = False,
    level: Annotated[
        str, typer.Option("--level", "-l", help="Only this level and worse: debug, info, warning, error.")
    ] = "debug",
) -> None:
    """Show the last lines of the logs, oldest first.

    The files are JSON lines in $JAN_HOME/logs, one a service; server.log holds the launcher's. Times are
    those of this machine; with --json they are UTC.

    Example: jan logs gateway -f -n 20 --level warning
    """
    if level.lower() not in LEVELS:
        raise CommandError(f"There is no level {level!r}.", f"Levels: {', '.join(LEVELS)}")
    least = LEVELS[level.lower()]
    folder = JanHome(invocation(context).home).logs
    services = _chosen(service or [], services_with_logs(folder), following=follow_on)
    if not services and not follow_on:
        note(f"There are no logs in {folder} yet.")
        return
    entries = [entry for name in services for entry in _last(folder, name, lines, least)]
    entries.sort(key=lambda entry: entry.time)
    width = max((len(name) for name in services), default=0)
    for entry in entries[len(entries) - lines if lines < len(entries) else 0 :]:
        _print(entry, width, as_json=as_json)
    if follow_on:
        stop = threading.Event()
        for entry in _filtered(follow(folder, services, stop), least):
            _print(entry, width, as_json=as_json)


def _chosen(asked: list[str], known: list[str], *, following: bool) -> list[str]:
    from jan_server.stack.catalogue import UnknownPartError, find, names

    if not asked:
        return sorted({*known, *names(), SERVER}) if following else known
    for name in asked:
        if name in known or name == SERVER:
            continue
        try:
            find(name)
        except UnknownPartError as error:
            raise CommandError(str(error), f"Logs there are: {', '.join(known) or 'none yet'}") from error
    return asked


def _last(folder: Path, name: str, lines: int, least: int) -> list[LogEntry]:
    if least <= LEVELS["debug"]:
        return tail(folder, name, lines)
    # What is filtered out does not count, so look further back.
    found = list(_filtered(iter(tail(folder, name, _FILTER_REACH)), least))
    return found[-lines:] if lines else []


def _filtered(entries: Iterator[LogEntry], least: int) -> Iterator[LogEntry]:
    return (entry for entry in entries if LEVELS.get(entry.level, LEVELS["info"]) >= least)


def _print(entry: LogEntry, width: int, *, as_json: bool) -> None:
    if as_json:
        fields = {**entry.fields, "service": entry.service}
        sys.stdout.write(json.dumps(fields, ensure_ascii=False, default=str) + "\n")
        sys.stdout.flush()
        return
    line = Text(_local_time(entry.time), style="dim")
    style = _STYLES.get(entry.level, "")
    line.append(f" {entry.service:{width}} ", style="cyan")
    line.append(f"{_SHORT.get(entry.level, entry.level):5} ", style=style)
    line.append(entry.message, style=style)
    # The message of an access line ends with the status already.
    told = {"status"} if str(entry.fields.get("logger", "")).endswith(_ACCESS_LOGGER) else set()
    extras = {name: value for name, value in entry.fields.items() if name not in _SHOWN_APART | told}
    for name, value in extras.items():
        line.append(f" {name}={value}", style="dim")
    stdout.print(line)
    if error := entry.fields.get("error"):
        stdout.print(Text(str(error), style="dim"))


def _local_time(stored: str) -> str:
    try:
        moment = datetime.fromisoformat(stored).replace(tzinfo=UTC).astimezone()
    except ValueError:
        return " " * 19
    return moment.strftime("%d %b %H:%M:%S %Z")
