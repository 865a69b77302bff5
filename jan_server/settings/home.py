"""The home folder: the one place that holds configuration, data, models, logs and run files."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class JanHome:
    """The paths in `$JAN_HOME`.

    Attributes:
        root: The folder itself, absolute; it may not exist yet.
    """

    root: Path

    @property
    def config_file(self) -> Path:
        """Settings that are no secrets (jan.yaml)."""
        return self.root / "jan.yaml"

    @property
    def env_file(self) -> Path:
        """Secrets (.env), for the owner's eyes only."""
        return self.root / ".env"

    @property
    def data(self) -> Path:
        """What must survive: the database, media."""
        return self.root / "data"

    @property
    def models(self) -> Path:
        """Models that were fetched."""
        return self.root / "models"

    @property
    def logs(self) -> Path:
        """Logs, as JSON lines."""
        return self.root / "logs"

    @property
    def run(self) -> Path:
        """What only matters while the server runs."""
        return self.root / "run"

    def prepare(self) -> None:
        """Make the folder and its parts, readable by the owner alone; what exists stays.

        Raises:
            OSError: A folder cannot be made.
        """
        for folder in (self.root, self.data, self.models, self.logs, self.run):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)


def find_home(option: str | Path | None = None, environ: Mapping[str, str] = os.environ) -> JanHome:
    """Find the home folder: the option --home, else JAN_HOME, else ~/.jan."""
    chosen = option or environ.get("JAN_HOME") or "~/.jan"
    return JanHome(Path(chosen).expanduser().absolute())
