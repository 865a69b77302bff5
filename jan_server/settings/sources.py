"""The sources of settings: each turns what it holds into entries, one for every key that it sets."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from jan_server.settings.env_file import EnvLine
from jan_server.settings.errors import Problem, nearest
from jan_server.settings.keys import (
    FOREIGN_PREFIXES,
    WITHOUT_EFFECT,
    all_keys,
    all_variables,
    sections,
    spelled,
    unknown_key,
)
from jan_server.settings.profiles import Profile
from jan_server.settings.yaml_file import YamlValue, plain_value

# ${NAME} and ${NAME:-fallback}, as the provider files of the original write them.
_REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")


@dataclass(frozen=True, slots=True)
class Entry:
    """What one source says about one key.

    Attributes:
        key: The dotted key.
        value: The value as the source writes it.
        source: Where it stands, for people.
    """

    key: str
    value: Any
    source: str


@dataclass(slots=True)
class Layer:
    """All that one source says, the weakest entry first, and what is wrong in it."""

    entries: list[Entry] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def yaml_layer(content: Mapping[str, YamlValue], label: str, variables: Mapping[str, str]) -> Layer:
    """Read a part of the settings tree from a YAML file.

    Args:
        content: The mapping that was read.
        label: What the file is called in messages.
        variables: What `${NAME}` in a text stands for.
    """
    layer = Layer()

    def walk(mapping: Mapping[str, YamlValue], prefix: str) -> None:
        for name, item in mapping.items():
            key = prefix + spelled(name)
            source = f"{label} line {item.line}"
            if key in sections():
                if isinstance(item.value, dict):
                    walk(item.value, f"{key}.")
                elif item.value is not None:
                    layer.problems.append(Problem(key, "is a section and cannot have a value", source))
            elif key in all_keys():
                value, missing = _expand(plain_value(item), variables)
                layer.problems.extend(
                    Problem(key, f"refers to the variable {variable}, which is not set", source)
                    for variable in missing
                )
                if value is not None and not missing:
                    layer.entries.append(Entry(key, value, source))
                if (
                    all_keys()[key].secret
                    and isinstance(plain_value(item), str)
                    and not _REFERENCE.search(item.value)
                ):
                    layer.warnings.append(
                        f"{key} ({source}) is a secret; it belongs into .env as {all_keys()[key].variable}"
                    )
            else:
                layer.problems.append(unknown_key(prefix + name, source))

    walk(content, "")
    return layer


def profile_layer(profile: Profile, variables: Mapping[str, str]) -> Layer:
    """Read the settings of a profile."""
    return yaml_layer(profile.settings, f"profile {profile.name}", variables)


def env_file_layer(lines: Iterable[EnvLine], label: str = ".env") -> Layer:
    """Read the variables of an env file; the last line of a name counts."""
    named = {line.name: (line.value, f"{label} line {line.line} ({line.name})") for line in lines}
    layer = _variables_layer(named)
    # A shell holds many names of others; in this file, one that does nothing is worth a hint.
    for name, (_, source) in named.items():
        if name in WITHOUT_EFFECT:
            layer.warnings.append(f"{name} ({source}) has no effect: {WITHOUT_EFFECT[name]}")
        elif name not in all_variables() and (close := nearest(name, all_variables(), closeness=0.9)):
            layer.warnings.append(f"{name} ({source}) is no setting; did you mean {close}?")
    return layer


def environment_layer(environ: Mapping[str, str]) -> Layer:
    """Read the process environment."""
    return _variables_layer({name: (value, f"variable {name}") for name, value in environ.items()})


def flags_layer(flags: Mapping[str, Any]) -> Layer:
    """Read values that a command line set, by dotted key; None means that it did not."""
    layer = Layer()
    for written, value in flags.items():
        key = spelled(written)
        if key not in all_keys():
            layer.problems.append(unknown_key(written, "command line"))
        elif value is not None:
            layer.entries.append(Entry(key, value, "command line"))
    return layer


def _variables_layer(named: Mapping[str, tuple[str, str]]) -> Layer:
    layer = Layer()
    known = all_variables()
    concerned: dict[str, None] = {}
    for name, (_, source) in named.items():
        if name in known:
            concerned.update(dict.fromkeys(known[name]))
        elif name.startswith("JAN_") and not name.startswith(FOREIGN_PREFIXES):
            suggestion = nearest(name, [known_name for known_name in known if known_name.startswith("JAN_")])
            layer.problems.append(Problem(name, "unknown variable", source, suggestion))
    for key in concerned:
        setting = all_keys()[key]
        for name in reversed((*setting.inverse, *setting.variables)):
            value, source = named.get(name, ("", ""))
            # An empty variable is how Compose passes one that nobody set.
            if value:
                layer.entries.append(
                    Entry(key, _negated(value) if name in setting.inverse else value, source)
                )
    return layer


def _negated(value: str) -> str:
    """Turn a switch around; what is no switch is left for the validation to refuse."""
    words = {"1": "false", "true": "false", "t": "false", "yes": "false", "on": "false"}
    words |= {"0": "true", "false": "true", "f": "true", "no": "true", "off": "true"}
    return words.get(value.strip().lower(), value)


def _expand(value: Any, variables: Mapping[str, str]) -> tuple[Any, list[str]]:
    """Put variables into texts, however deep they stand; also name those that are missing."""
    missing: list[str] = []

    def replace(match: re.Match[str]) -> str:
        found = variables.get(match[1]) or match[2]
        if found is None:
            missing.append(match[1])
            return ""
        return found

    def walk(item: Any) -> Any:
        if isinstance(item, str):
            return _REFERENCE.sub(replace, item)
        if isinstance(item, list):
            return [walk(inner) for inner in item]
        if isinstance(item, dict):
            return {name: walk(inner) for name, inner in item.items()}
        return item

    return walk(value), missing
