"""The inference engine as a supervised child: which program runs it, or what is missing for it."""

from __future__ import annotations

from pathlib import Path

from jan_server.launch.children import Program
from jan_server.launch.plan import PlannedPart
from jan_server.settings.tree import Settings


class EngineMissingError(RuntimeError):
    """There is nothing to run: the message says what is missing and how to get it."""


def engine_program(settings: Settings, home: Path, planned: PlannedPart) -> Program:
    """How to run the engine."""
    raise EngineMissingError("no model")
