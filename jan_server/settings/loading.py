"""Loading: all sources in order of precedence become one validated tree, each value with its origin."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from jan_server.settings.combinations import doubtful, impossible
from jan_server.settings.env_file import read_env
from jan_server.settings.errors import Problem, SettingsError, nearest
from jan_server.settings.home import JanHome
from jan_server.settings.keys import all_keys
from jan_server.settings.profiles import Profile, read_profile
from jan_server.settings.sources import (
    Entry,
    Layer,
    env_file_layer,
    environment_layer,
    flags_layer,
    profile_layer,
    yaml_layer,
)
from jan_server.settings.tree import Settings, plant
from jan_server.settings.tree.follow import followed, template_keys
from jan_server.settings.yaml_file import read_text, read_yaml

_PROFILES = "meta.profiles"

# Pydantic's kinds of errors in the words of an operator; the others keep pydantic's own.
_WORDS = {
    "bool_parsing": "must be true or false",
    "bool_type": "must be true or false",
    "extra_forbidden": "unknown key",
    "float_parsing": "must be a number",
    "float_type": "must be a number",
    "int_from_float": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_type": "must be a whole number",
    "missing": "is needed",
    "string_pattern_mismatch": "is not of the right form",
    "string_too_short": "must not be empty",
    "string_type": "must be text (quotes make text of anything)",
    "tuple_type": "must be a list",
}


@dataclass(frozen=True, slots=True)
class Earlier:
    """A value that lost against a stronger source.

    Attributes:
        source: Where it stands.
        value: What it is there.
    """

    source: str
    value: Any


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where the value of one key came from.

    Attributes:
        key: The dotted key.
        value: The value that holds.
        source: Where it stands: "default", "profile local", "jan.yaml line 3", ".env line 2 (NAME)",
            "variable NAME", "command line" or "follows KEY".
        overrode: What weaker sources said, the strongest of them first; the default is last.
    """

    key: str
    value: Any
    source: str
    overrode: tuple[Earlier, ...] = ()


@dataclass(frozen=True, slots=True)
class LoadedSettings:
    """The settings that hold.

    Attributes:
        settings: The validated tree.
        provenance: Where every value came from, by dotted key.
        profiles: The profiles that were used, in order.
        warnings: What works and is probably not meant.
    """

    settings: Settings
    provenance: Mapping[str, Provenance]
    profiles: tuple[Profile, ...]
    warnings: tuple[str, ...]


def load_settings(
    home: Path | JanHome,
    profiles: Sequence[str] = (),
    flags: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] | None = None,
    *,
    config_text: str | None = None,
    env_text: str | None = None,
    config_label: str = "jan.yaml",
    combinations: bool = True,
) -> LoadedSettings:
    """Load the settings: defaults, profiles, jan.yaml, .env, environment, flags; the later one wins.

    Args:
        home: The home folder; it may be empty or missing.
        profiles: Profiles to use; without any, those that `meta.profiles` names.
        flags: Values of the command line by dotted key; None means "not given".
        environ: The process environment; os.environ unless told otherwise.
        config_text: What to take for the content of jan.yaml, to try a change before it is written.
        env_text: What to take for the content of .env, likewise.
        config_label: What jan.yaml is called in messages.
        combinations: Whether values that do not go together are refused.

    Raises:
        SettingsError: A file cannot be read, a key or variable is unknown, a value is wrong, or values do
            not go together; all problems are listed.
    """
    place = home if isinstance(home, JanHome) else JanHome(Path(home))
    environ = os.environ if environ is None else environ
    env_lines = read_env(read_text(place.env_file) if env_text is None else env_text)
    config = read_yaml(read_text(place.config_file) if config_text is None else config_text, config_label)
    variables = {line.name: line.value for line in env_lines} | dict(environ)

    given = dict(flags or {})
    if profiles:
        given[_PROFILES] = tuple(profiles)
    upper = [
        yaml_layer(config, config_label, variables),
        env_file_layer(env_lines),
        environment_layer(environ),
        flags_layer(given),
    ]
    chosen = tuple(read_profile(name, place.root) for name in _chosen_profiles(upper))
    layers = [*(profile_layer(profile, variables) for profile in chosen), *upper]
    problems = [problem for layer in layers for problem in layer.problems]

    said: dict[str, list[Entry]] = {}
    for layer in layers:
        for entry in layer.entries:
            said.setdefault(entry.key, []).append(entry)
    settings, wrong = _validated(said)
    problems += wrong
    if settings is not None and combinations:
        problems += [_placed(problem, said) for problem in impossible(settings)]
    if problems or settings is None:
        raise SettingsError(problems)
    warnings = [warning for layer in layers for warning in layer.warnings]
    return LoadedSettings(
        settings=settings,
        provenance=_provenance(settings, said),
        profiles=chosen,
        warnings=(*warnings, *doubtful(settings)),
    )


def value_of(settings: Settings, key: str) -> Any:
    """Give the value of a dotted key or of a section."""
    value: Any = settings
    for name in key.split("."):
        value = getattr(value, name)
    return value


def _chosen_profiles(layers: Iterable[Layer]) -> tuple[str, ...]:
    names: Any = all_keys()[_PROFILES].default
    for layer in layers:
        for entry in layer.entries:
            if entry.key == _PROFILES:
                names = entry.value
    if isinstance(names, str):
        names = [name.strip() for name in names.split(",") if name.strip()]
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
        return ()  # The validation of the whole tree says what is wrong with it.
    return tuple(dict.fromkeys(names))


def _validated(said: Mapping[str, Sequence[Entry]]) -> tuple[Settings | None, list[Problem]]:
    tree: dict[str, Any] = {}
    for key, entries in said.items():
        plant(tree, key, entries[-1].value)
    try:
        return Settings.model_validate(tree), []
    except ValidationError as error:
        problems = [problem_of(details, said) for details in error.errors(include_url=False)]
        # A value that follows from a wrong one is wrong as well; saying so would only confuse.
        stated = [problem for problem in problems if problem.source]
        return None, stated or problems


def problem_of(details: Any, said: Mapping[str, Sequence[Entry]]) -> Problem:
    """Put one of pydantic's errors into words for the operator.

    Args:
        details: One item of `ValidationError.errors()`.
        said: What the sources say, by dotted key.
    """
    path = [str(part) for part in details["loc"]]
    key = ".".join(path)
    while path and ".".join(path) not in all_keys():
        path.pop()
    entries = said.get(".".join(path), ())
    entry = entries[-1] if entries else None
    message = _WORDS.get(details["type"]) or str(details["msg"]).replace("Input should be", "must be")
    message = message.removeprefix("Value error, ")
    suggestion = ""
    if entry and isinstance(entry.value, str | int | float) and not all_keys()[entry.key].secret:
        if repr(entry.value) not in message:
            message += f", but it is {entry.value!r}"
        if details["type"] == "literal_error":
            choices = [
                choice.strip(" '")
                for choice in str(details["ctx"]["expected"]).replace(" or ", ",").split(",")
            ]
            suggestion = nearest(str(entry.value), choices, closeness=0.4)
    return Problem(key, message, entry.source if entry else "", suggestion)


def _placed(problem: Problem, said: Mapping[str, Sequence[Entry]]) -> Problem:
    entries = said.get(problem.key)
    return Problem(problem.key, problem.message, entries[-1].source) if entries else problem


def _provenance(settings: Settings, said: Mapping[str, Sequence[Entry]]) -> dict[str, Provenance]:
    following = followed(Settings, {key: entries[-1].value for key, entries in said.items()})
    found = {}
    for key, setting in all_keys().items():
        value = value_of(settings, key)
        earlier = [Earlier("default", setting.default)]
        source = "default"
        if key in said:
            entries = said[key]
            source = entries[-1].source
            earlier = [*(Earlier(entry.source, entry.value) for entry in reversed(entries[:-1])), *earlier]
        elif key in following:
            moved = [name for name in template_keys(setting.follows) if name in said or name in following]
            source = "follows " + ", ".join(dict.fromkeys(moved))
        else:
            earlier = []
        found[key] = Provenance(key, value, source, tuple(earlier))
    return found
