"""Where things are: the home folder, and the files that travel with the program."""

from pathlib import Path

import pytest

from jan_server.settings import resources
from jan_server.settings.home import find_home


def test_the_option_wins_over_the_variable_and_that_over_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))

    assert find_home(tmp_path / "a", {"JAN_HOME": "/b"}).root == tmp_path / "a"
    assert find_home(None, {"JAN_HOME": "~/b"}).root == tmp_path / "b"
    assert find_home(None, {"JAN_HOME": ""}).root == tmp_path / ".jan"


def test_a_checkout_has_its_files() -> None:
    assert (resources.profiles_dir() / "local.yaml").is_file()
    assert resources.templates_dir().is_dir()


def test_an_installed_wheel_has_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "_data" / "profiles").mkdir(parents=True)
    monkeypatch.setattr(resources, "_INSTALLED", tmp_path / "_data")

    assert resources.profiles_dir() == tmp_path / "_data" / "profiles"


def test_an_incomplete_installation_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resources, "_INSTALLED", tmp_path)
    monkeypatch.setattr(resources, "_CHECKOUT", tmp_path)

    with pytest.raises(FileNotFoundError, match="'profiles' is missing"):
        resources.profiles_dir()
