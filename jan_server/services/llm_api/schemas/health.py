"""What travels on the routes about the service itself."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel


class Health(BaseModel):
    """The process answers."""

    status: Literal["ok"] = "ok"


class CheckInfo(BaseModel):
    """How one thing that the service needs is doing."""

    status: Literal["ok", "degraded", "failed"]
    detail: str | None = None


class ReadinessInfo(BaseModel):
    """Whether the service can work: `ready`, `degraded` (it works, yet something is missing) or not."""

    status: Literal["ready", "degraded", "unavailable"]
    checks: dict[str, CheckInfo]


class VersionInfo(BaseModel):
    """Which version runs, and since when with these settings."""

    version: str
    env_reloaded_at: datetime
