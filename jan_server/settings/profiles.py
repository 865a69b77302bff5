"""Profiles: named selections of the stack, with the settings that go with them.

A profile is a YAML file with three keys: `description` (one line), `services` (names from the stack's
catalogue) and `settings` (a part of the settings tree). Several profiles add up: their services are
united, and the settings of the later one win. They stand in the folder `profiles` of the program and
of the home folder; the home folder's win.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from jan_server.settings.errors import Problem, SettingsError, nearest
from jan_server.settings.resources import profiles_dir
from jan_server.settings.yaml_file import YamlValue, plain_value, read_text, read_yaml

_KEYS = ("description", "services", "settings")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


@dataclass(frozen=True, slots=True)
class Profile:
    """A named selection of the stack.

    Attributes:
        name: Its name, which is the file's.
        path: The file.
        description: One line for people.
        services: Names of parts in the stack's catalogue.
        settings: What it sets, each value with its line.
    """

    name: str
    path: Path
    description: str
    services: tuple[str, ...]
    settings: dict[str, YamlValue]


def profile_names(home: Path | None = None) -> tuple[str, ...]:
    """Name every profile there is, in alphabetical order.

    Args:
        home: The home folder, whose own profiles count too.
    """
    return tuple(sorted({path.stem for folder in _folders(home) for path in folder.glob("*.yaml")}))


def read_profile(name: str, home: Path | None = None) -> Profile:
    """Read a profile by its name.

    Args:
        name: For example "local".
        home: The home folder, whose own profiles win.

    Raises:
        SettingsError: There is none of that name, or its file is wrong.
    """
    if _NAME.fullmatch(name):
        for folder in _folders(home):
            path = folder / f"{name}.yaml"
            if path.is_file():
                return _parse(name, path)
    known = profile_names(home)
    message = f"there is no profile of this name (there are {', '.join(known)})"
    raise SettingsError([Problem(name, message, suggestion=nearest(name, known))])


def _folders(home: Path | None) -> Iterator[Path]:
    if home is not None and (home / "profiles").is_dir():
        yield home / "profiles"
    yield profiles_dir()


def _parse(name: str, path: Path) -> Profile:
    label = f"profile {name}"
    content = read_yaml(read_text(path), label)
    problems = [
        Problem(key, "unknown key of a profile", f"{label} line {value.line}", nearest(key, _KEYS))
        for key, value in content.items()
        if key not in _KEYS
    ]
    description = plain_value(content.get("description")) or ""
    services = plain_value(content.get("services")) or []
    settings = content["settings"].value if "settings" in content else None
    if not isinstance(description, str):
        problems.append(Problem("description", "must be text", label))
    if not isinstance(services, list) or not all(isinstance(service, str) for service in services):
        problems.append(Problem("services", "must be a list of names", label))
    if settings is not None and not isinstance(settings, dict):
        problems.append(Problem("settings", "must be a part of the settings tree", label))
    if problems:
        raise SettingsError(problems)
    return Profile(name, path, description, tuple(services), settings or {})
