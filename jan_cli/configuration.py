"""Loading the settings for a command, and showing what is wrong with them as every error is shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jan_cli.console import CommandError, PlatformAway, warn
from jan_server.settings.home import JanHome

if TYPE_CHECKING:
    from jan_server.settings.errors import SettingsError
    from jan_server.settings.loading import LoadedSettings


def configuration(
    home: Path, profiles: Sequence[str] = (), flags: Mapping[str, Any] | None = None
) -> LoadedSettings:
    """The settings that hold in a home folder.

    Args:
        home: `$JAN_HOME`; it may not exist yet.
        profiles: The values of `--profile`; without any, those of the configuration.
        flags: Settings that the command line gives, by dotted key; None means "not given".

    Raises:
        CommandError: The configuration cannot be used.
    """
    from jan_server.settings.errors import SettingsError
    from jan_server.settings.loading import load_settings

    try:
        return load_settings(home, profiles, flags)
    except SettingsError as error:
        raise unusable(error) from None


def unusable(error: SettingsError) -> CommandError:
    """The error that tells everything that is wrong with a configuration."""
    from jan_server.settings.keys import all_keys

    if len(error.problems) == 1:
        key = error.problems[0].key
        return CommandError(str(error), f"See: jan config explain {key}" if key in all_keys() else None)
    lines = "".join(f"\n  {problem}" for problem in error.problems)
    return CommandError(f"The configuration has {len(error.problems)} problems:{lines}")


def existing_configuration(home: Path, profiles: Sequence[str] = ()) -> LoadedSettings:
    """The settings of a home folder that has been configured; what is doubtful in them is shown.

    Raises:
        CommandError: There is no configuration yet, or it cannot be used.
    """
    if not JanHome(home).config_file.exists():
        raise PlatformAway(f"There is no configuration in {home} yet.", "Make one: jan quickstart")
    loaded = configuration(home, profiles)
    for warning in loaded.warnings:
        warn(warning)
    return loaded
