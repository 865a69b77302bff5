"""`jan status`: what runs, where, how well, since when, with how much memory."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from jan_cli.console import invocation, note, print_json, print_table, warn
from jan_cli.start_table import STYLES
from jan_server.launch.health import Health, probe
from jan_server.launch.processes import family_bytes, resident_bytes
from jan_server.launch.state import PartState, Phase, StackState, read_state, running_pid, running_state


@dataclass(frozen=True, slots=True)
class Row:
    """One part with what was found out about it just now."""

    part: PartState
    health: str
    healthy: bool
    memory: int


def command(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show each part's state, address, health, uptime and memory.

    Every service is asked for its health. The exit code is 0 when everything that runs is healthy,
    1 when something is not or nothing runs. Services share the server process, and so its memory.

    Example: jan status --json
    """
    home = invocation(context).home
    state = running_state(home)
    if state is None:
        dead = dead_state(home)
        if as_json:
            print_json({"running": False, "died": dead is not None, "home": str(home), "services": []})
        elif dead is not None:
            note(
                f"Jan Server is not running: its process (pid {dead.pid}) died. Nothing that was committed "
                "is lost.\nStart it: jan up    What it said last: jan logs server"
            )
        else:
            note("Jan Server is not running. Start it: jan up")
        raise typer.Exit(1)
    rows = asyncio.run(_rows(state))
    if as_json:
        print_json(_as_json(state, rows, str(home)))
    else:
        _show(state, rows)
    if state.phase is not Phase.READY or not all(row.healthy for row in rows):
        raise typer.Exit(1)


def dead_state(home: Path) -> StackState | None:
    """The last state of a server that ended without stopping in order, when none runs now."""
    state = read_state(home) if running_pid(home) is None else None
    return state if state is not None and state.phase not in (Phase.STOPPED, Phase.FAILED) else None


async def _rows(state: StackState) -> list[Row]:
    healths = await asyncio.gather(*(_health(part) for part in state.parts))
    return [
        Row(part, health.detail, health.ok, _memory(part))
        for part, health in zip(state.parts, healths, strict=True)
    ]


async def _health(part: PartState) -> Health:
    if part.phase is Phase.STOPPED and part.detail:
        return Health(True, "-", 0.0)
    if part.phase is not Phase.READY:
        return Health(False, "-", 0.0)
    if part.address and part.health_path:
        return await probe(part.address, part.health_path)
    # What speaks no HTTP is watched by its supervisor, and what is external by its owner.
    return Health(True, "not asked" if part.kind == "external" else "healthy", 0.0)


def _memory(part: PartState) -> int:
    return family_bytes(part.pid) if part.kind == "child" and part.pid else 0


def _show(state: StackState, rows: list[Row]) -> None:
    now = time.time()
    print_table(
        ["service", "state", "address", "health", "uptime", "restarts", "memory"],
        [
            *(
                (
                    row.part.name,
                    Text(row.part.phase.value, style=STYLES[row.part.phase]),
                    row.part.address,
                    Text(row.health, style="green" if row.healthy else "red"),
                    uptime(now - row.part.since) if row.part.phase is Phase.READY else "",
                    row.part.restarts or "",
                    size(row.memory) if row.memory else "",
                )
                for row in rows
            ),
            (
                "(server process)",
                Text(state.phase.value, style=STYLES[state.phase]),
                f"pid {state.pid}",
                "",
                uptime(now - state.started_at),
                "",
                size(resident_bytes(state.pid)),
            ),
        ],
        right=["uptime", "restarts", "memory"],
    )
    for row in rows:
        if row.part.detail and row.part.phase is not Phase.READY:
            warn(f"{row.part.name}: {row.part.detail}")


def _as_json(state: StackState, rows: list[Row], home: str) -> dict[str, Any]:
    now = time.time()
    return {
        "running": True,
        "state": state.phase.value,
        "home": home,
        "pid": state.pid,
        "profiles": list(state.profiles),
        "uptime_seconds": round(now - state.started_at, 1),
        "memory_bytes": resident_bytes(state.pid),
        "services": [
            {
                "name": row.part.name,
                "kind": row.part.kind,
                "state": row.part.phase.value,
                "address": row.part.address,
                "health": row.health,
                "healthy": row.healthy,
                "detail": row.part.detail,
                "uptime_seconds": round(now - row.part.since, 1) if row.part.phase is Phase.READY else 0,
                "start_seconds": row.part.seconds,
                "restarts": row.part.restarts,
                "pid": row.part.pid,
                "memory_bytes": row.memory or None,
            }
            for row in rows
        ],
    }


def uptime(seconds: float) -> str:
    """A duration for people, in its two largest units: `2h 5m`."""
    whole = max(0, int(seconds))
    units = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))
    parts: list[str] = []
    for name, length in units:
        if whole >= length or (name == "s" and not parts):
            parts.append(f"{whole // length}{name}")
            whole %= length
        elif parts:
            break
    return " ".join(parts[:2])


def size(count: int) -> str:
    """A number of bytes for people: `184 MB`."""
    return f"{count / 1_000_000:.0f} MB" if count < 1_000_000_000 else f"{count / 1_000_000_000:.1f} GB"
