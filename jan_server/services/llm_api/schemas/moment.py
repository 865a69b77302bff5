"""Moments as administrators' objects show them: UTC, in whole seconds."""

from __future__ import annotations

from datetime import UTC, datetime


def whole_seconds(moment: datetime) -> str:
    """A moment as `YYYY-MM-DDTHH:MM:SSZ`."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
