"""`jan doctor`: what about this machine and this configuration keeps the platform from running well."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer
from rich.text import Text

from jan_cli.console import invocation, print_json, print_table, stdout
from jan_server.launch.diagnosis.finding import Level
from jan_server.settings.home import JanHome

_MARKS = {
    Level.OK: ("ok", "green"),
    Level.NOTE: ("note", "cyan"),
    Level.WARNING: ("warning", "yellow"),
    Level.ERROR: ("error", "bold red"),
}


def command(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Examine Python, platform, memory, disk, Docker, GPU, configuration, ports, database and model.

    Each finding that needs something done says what. The exit code is 1 when there is an error;
    notes and warnings do not keep the platform from running.

    Example: jan doctor
    """
    from jan_server.launch.diagnosis.installation import examine_installation
    from jan_server.launch.diagnosis.machine import examine_machine

    home = JanHome(invocation(context).home)
    findings = [*examine_machine(home.root), *examine_installation(home)]
    errors = [finding for finding in findings if finding.level is Level.ERROR]
    if as_json:
        print_json({"ok": not errors, "findings": [asdict(finding) for finding in findings]})
    else:
        rows = []
        for finding in findings:
            word, style = _MARKS[finding.level]
            message = Text(finding.message)
            if finding.remedy:
                message.append(f"\n→ {finding.remedy}", style="dim")
            rows.append((Text(word, style=style), finding.subject, message))
        print_table(["", "subject", "finding"], rows)
        stdout.print(f"\n{len(errors)} errors" if errors else "\nNo errors.")
    if errors:
        raise typer.Exit(1)
