"""The live table of a start: each part, where it stands, and how long it takes."""

from __future__ import annotations

import time
from types import TracebackType

from rich.live import Live
from rich.table import Table
from rich.text import Text

from jan_cli.console import note, stderr
from jan_server.launch.state import PartState, Phase, StackState

STYLES = {
    Phase.WAITING: "dim",
    Phase.STARTING: "yellow",
    Phase.READY: "green",
    Phase.FAILED: "bold red",
    Phase.STOPPING: "yellow",
    Phase.STOPPED: "dim",
}
"""How each phase is shown."""


class StartTable:
    """Shows the start: as a live table on a terminal, as one line a change elsewhere.

    Args:
        quiet: Show nothing, because standard output carries JSON.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self.quiet = quiet
        self._state: StackState | None = None
        self._begun: dict[str, float] = {}
        self._told: dict[str, Phase] = {}
        self._live: Live | None = None

    def __enter__(self) -> StartTable:
        if stderr.is_terminal and not self.quiet:
            self._live = Live(
                console=stderr, get_renderable=self._render, refresh_per_second=8, transient=False
            )
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def show(self, state: StackState) -> None:
        """Take in a new state."""
        self._state = state
        for part in state.parts:
            if part.phase is Phase.STARTING:
                self._begun.setdefault(part.name, time.monotonic())
            else:
                self._begun.pop(part.name, None)
            if self._live is None and not self.quiet and state.phase is Phase.STARTING:
                self._tell(part)

    def stop(self) -> None:
        """Leave the table as it is now."""
        if self._live is not None:
            self._live.stop()
            self._live = None
            self.quiet = True

    def _tell(self, part: PartState) -> None:
        known = self._told.get(part.name)
        if part.phase is known or part.phase is Phase.WAITING:
            return
        self._told[part.name] = part.phase
        detail = f": {part.detail}" if part.detail else ""
        spent = f" ({part.seconds:.1f} s)" if part.phase in (Phase.READY, Phase.FAILED) else ""
        note(f"{part.name:12} {part.phase.value}{spent}{detail}")

    def _render(self) -> Table:
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
        for part in self._state.parts if self._state is not None else ():
            begun = self._begun.get(part.name)
            seconds = time.monotonic() - begun if begun is not None else part.seconds
            shown = "external" if part.kind == "external" and part.phase is Phase.READY else part.phase.value
            table.add_row(
                part.name,
                Text(shown, style=STYLES[part.phase]),
                f"{seconds:5.1f} s" if seconds else "",
                part.address if part.phase is Phase.READY else part.detail,
            )
        return table
