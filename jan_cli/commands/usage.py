"""`jan usage`: what calls of models added up to, for everybody or for whom it is asked."""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

import typer

from jan_cli.admin_api import AdminApi, admin_api
from jan_cli.commands.keys import find_key
from jan_cli.console import CommandError, note, print_json, print_table
from jan_cli.options import AsJson

GROUPS = ("day", "user", "key", "project", "model", "provider")

_LABELS: Mapping[str, Callable[[dict[str, Any]], str]] = {
    "day": lambda row: row["date"],
    "user": lambda row: row["email"] or row["username"] or f"user {row['user_id']}",
    "key": lambda row: row["key_name"] or row["key_id"] or "-",
    "project": lambda row: row["project_id"] or "-",
    "model": lambda row: row["model"],
    "provider": lambda row: row["provider"],
}


def command(
    context: typer.Context,
    by: Annotated[
        str, typer.Option("--by", metavar="LIST", help=f"What to tell apart: {', '.join(GROUPS)}.")
    ] = "model",
    days: Annotated[
        int, typer.Option(min=1, max=731, help="How many days up to the last; --from wins over it.")
    ] = 30,
    first: Annotated[
        datetime | None, typer.Option("--from", formats=["%Y-%m-%d"], help="The first day, UTC.")
    ] = None,
    last: Annotated[
        datetime | None,
        typer.Option("--to", formats=["%Y-%m-%d"], help="The last day, UTC; today by default."),
    ] = None,
    user: Annotated[
        str | None,
        typer.Option(metavar="USER", help="Only of this user: a local number, a username or an address."),
    ] = None,
    key: Annotated[str | None, typer.Option(help="Only with the API key of this id or name.")] = None,
    project: Annotated[str | None, typer.Option(help="Only in the project with this id.")] = None,
    model: Annotated[str | None, typer.Option(help="Only of this model.")] = None,
    provider: Annotated[str | None, typer.Option(help="Only of this provider.")] = None,
    as_json: AsJson = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
) -> None:
    """Show tokens, calls and costs. The platform has to run.

    Example: jan usage --by user,day --days 7 --csv
    """
    if as_json and as_csv:
        raise CommandError("--json and --csv exclude one another.", "Give one of the two.", exit_code=2)
    groups = [name.strip() for name in by.split(",") if name.strip()]
    for name in groups:
        if name not in GROUPS:
            raise CommandError(f"--by does not know {name!r}.", f"It takes {', '.join(GROUPS)}.", exit_code=2)
    start, end = period(first, last, days)
    api = admin_api(context)
    query = {
        "start_date": start,
        "end_date": end,
        "group_by": ",".join(groups),
        "user_id": None if user is None else user_number(api, user),
        "key_id": None if key is None else key_id(api, key),
        "project_id": project,
        "model": model,
        "provider": provider,
    }
    report = api.call("GET", "usage", query=query)
    rows = report.get("data") or []
    if as_json:
        print_json(report)
    elif as_csv:
        print_csv(rows)
    else:
        show(report, rows, groups)


def user_number(api: AdminApi, wanted: str) -> int:
    """The local number of a user; the platform refuses one that it does not know."""
    return int(wanted) if wanted.isdecimal() else int(api.call("GET", "user-limits", wanted)["user_id"])


def key_id(api: AdminApi, wanted: str) -> str:
    """The id of a key; a key that no longer exists may still have been used."""
    try:
        return str(UUID(wanted))
    except ValueError:
        return str(find_key(api, wanted)["id"])


def period(first: datetime | None, last: datetime | None, days: int) -> tuple[str, str]:
    """The first and the last day, as the platform takes them."""
    end = (last or datetime.now(UTC)).date()
    start = first.date() if first else end - timedelta(days=days - 1)
    return start.isoformat(), end.isoformat()


def print_csv(rows: list[dict[str, Any]]) -> None:
    """The rows with a line of names above them; nothing without rows."""
    if rows:
        writer = csv.DictWriter(sys.stdout, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def show(report: dict[str, Any], rows: list[dict[str, Any]], groups: list[str]) -> None:
    """The rows as a table, their sum last."""
    numbers = ("CALLS", "FAILED", "PROMPT", "COMPLETION", "TOKENS", "COST $")
    lines = [(*(_LABELS[name](row) for name in groups), *sums(row)) for row in rows]
    names = ["all", *[""] * len(groups)][: len(groups)]
    total = (*names, *sums(report["total_usage"]))
    print_table((*(name.upper() for name in groups), *numbers), [*lines, total], right=numbers)
    span = report["period"]
    note(f"{span['start_date']} to {span['end_date']}, days of UTC. Costs as far as prices are known.")


def sums(row: dict[str, Any]) -> tuple[str, ...]:
    """The numbers of a row as they are shown."""
    counts = (
        "request_count",
        "failed_count",
        "total_prompt_tokens",
        "total_completion_tokens",
        "total_tokens",
    )
    return (*(f"{row[name]:,}" for name in counts), row["estimated_cost_usd"])
