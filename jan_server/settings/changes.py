"""Changing one setting in the home folder's files; nothing is written that could not be loaded afterwards."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from jan_server.settings.env_file import change_env, read_env
from jan_server.settings.errors import SettingsError
from jan_server.settings.exporters import plain
from jan_server.settings.generated_secrets import ENV_HEADER
from jan_server.settings.home import JanHome
from jan_server.settings.keys import all_keys, all_variables
from jan_server.settings.loading import Provenance, load_settings, problem_of, value_of
from jan_server.settings.private_file import write_private
from jan_server.settings.quickstart import CONFIG_HEADER
from jan_server.settings.sources import Entry, yaml_layer
from jan_server.settings.tree import Settings, plant
from jan_server.settings.yaml_file import change_yaml, read_text, read_yaml


@dataclass(frozen=True, slots=True)
class Changed:
    """A change that was made.

    Attributes:
        file: The file that was written.
        origin: The value that holds now, and its source.
        written: The value that the file has now; the one that holds where it has none.
    """

    file: Path
    origin: Provenance
    written: Any


def set_value(home: JanHome, key: str, text: str, environ: Mapping[str, str] | None = None) -> Changed:
    """Set a key: a secret in .env, anything else in jan.yaml.

    Other names of the key disappear from .env, so that the new value is not hidden by an old one.

    Args:
        home: The home folder; it is made when it is missing.
        key: The dotted key, in the tree's spelling.
        text: The value, written as a variable would hold it.
        environ: The process environment; os.environ unless told otherwise.

    Raises:
        SettingsError: The value is wrong, or the configuration would not load with it.
        ValueError: The value cannot stand in the file.
        OSError: The file cannot be written.
    """
    setting = all_keys()[key]
    config, env = read_text(home.config_file), read_text(home.env_file)
    value = _typed(key, text)
    hiding = _lines_of(key, env)
    if setting.secret:
        env = change_env(env or ENV_HEADER, {**dict.fromkeys(hiding), setting.variable: text})
        config = change_yaml(config, {key: None}) if config else config
    else:
        config = change_yaml(config or CONFIG_HEADER, {key: plain(value)})
        env = change_env(env, dict.fromkeys(hiding))
    environ = os.environ if environ is None else environ
    origin = _checked(home, key, config, env, environ)
    written = origin
    if from_environment(origin):
        # What hides the value now may be gone tomorrow: it must go together with the others all the same.
        own = {*setting.variables, *setting.inverse}
        without = {name: text for name, text in environ.items() if name not in own}
        written = _checked(home, key, config, env, without)
    _write(home, config, env)
    return Changed(home.env_file if setting.secret else home.config_file, origin, written.value)


def from_environment(origin: Provenance) -> bool:
    """Whether a value came from the process environment."""
    return origin.source.startswith("variable ")


def unset_value(home: JanHome, key: str, environ: Mapping[str, str] | None = None) -> Changed | None:
    """Remove a key from jan.yaml and its own names from .env.

    Returns:
        What was changed, or None when the key stood in neither file.

    Raises:
        SettingsError: The configuration would not load without it.
        OSError: A file cannot be written.
    """
    config_before, env_before = read_text(home.config_file), read_text(home.env_file)
    config = change_yaml(config_before, {key: None}) if config_before else config_before
    env = change_env(env_before, dict.fromkeys(_lines_of(key, env_before)))
    in_config = key in _keys_of(config_before)
    if not in_config and env == env_before:
        return None
    config = config if in_config else config_before
    origin = _checked(home, key, config, env, os.environ if environ is None else environ)
    _write(home, config, env)
    return Changed(home.config_file if in_config else home.env_file, origin, origin.value)


def is_written(home: JanHome, key: str) -> bool:
    """Whether a key stands in jan.yaml or in .env.

    Raises:
        SettingsError: A file cannot be read.
    """
    return key in _keys_of(read_text(home.config_file)) or bool(_lines_of(key, read_text(home.env_file)))


def _typed(key: str, text: str) -> Any:
    tree: dict[str, Any] = {}
    plant(tree, key, text)
    try:
        return value_of(Settings.model_validate(tree), key)
    except ValidationError as error:
        said = {key: [Entry(key, text, "")]}
        raise SettingsError(
            problem_of(details, said) for details in error.errors(include_url=False)
        ) from None


def _keys_of(config: str) -> set[str]:
    return {entry.key for entry in yaml_layer(read_yaml(config, "jan.yaml"), "jan.yaml", {}).entries}


def _lines_of(key: str, env: str) -> list[str]:
    """Name the variables in .env that set this key and no other."""
    return [line.name for line in read_env(env) if all_variables().get(line.name) == (key,)]


def _checked(home: JanHome, key: str, config: str, env: str, environ: Mapping[str, str]) -> Provenance:
    return load_settings(home, environ=environ, config_text=config, env_text=env).provenance[key]


def _write(home: JanHome, config: str, env: str) -> None:
    home.prepare()
    for path, text in ((home.env_file, env), (home.config_file, config)):
        if text != read_text(path):
            write_private(path, text)
