"""Where the files are that travel with the program: templates and profiles, in a checkout and in a wheel."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent.parent
_INSTALLED = _PACKAGE / "_data"
_CHECKOUT = _PACKAGE.parent


def templates_dir() -> Path:
    """Give the folder of templates.

    Raises:
        FileNotFoundError: The installation is incomplete.
    """
    return _find("templates")


def profiles_dir() -> Path:
    """Give the folder of profiles.

    Raises:
        FileNotFoundError: The installation is incomplete.
    """
    return _find("profiles")


def _find(name: str) -> Path:
    for place in (_INSTALLED / name, _CHECKOUT / name):
        if place.is_dir():
            return place
    raise FileNotFoundError(
        f"the folder {name!r} is missing from this installation; install jan-server again"
    )
