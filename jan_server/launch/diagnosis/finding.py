"""One finding of the diagnosis."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How serious a finding is."""

    OK = "ok"
    NOTE = "note"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Finding:
    """What was looked at, what was found, and what to do about it.

    Attributes:
        subject: What was looked at.
        level: How serious it is; only errors keep the platform from running.
        message: What was found.
        remedy: What to do, or empty when nothing needs to be done.
    """

    subject: str
    level: Level
    message: str
    remedy: str = ""
