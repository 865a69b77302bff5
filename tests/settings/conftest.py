"""A home folder with what a test puts into it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from jan_server.settings.home import JanHome


@pytest.fixture
def home(tmp_path: Path) -> JanHome:
    """An empty home folder."""
    return JanHome(tmp_path / "home")


@pytest.fixture
def filled_home(home: JanHome) -> Callable[..., JanHome]:
    """Makes a home folder with the given files."""

    def fill(config: str = "", env: str = "", profiles: dict[str, str] | None = None) -> JanHome:
        home.prepare()
        home.config_file.write_text(config)
        home.env_file.write_text(env)
        for name, text in (profiles or {}).items():
            (home.root / "profiles").mkdir(exist_ok=True)
            (home.root / "profiles" / f"{name}.yaml").write_text(text)
        return home

    return fill
