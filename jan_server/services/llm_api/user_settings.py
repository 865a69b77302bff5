"""User settings: what a user chose about memory, profile, tools and clients.

Only choices are stored; what was never chosen has its default. The service itself acts on memory
and profile, the rest is kept for clients.

Source: contract/llm-api.md, section 16.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any, TypeVar

import orjson
from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlmodel.ext.asyncio.session import AsyncSession

from jan_server.database.statements import execute
from jan_server.services.llm_api.refusals import Invalid
from jan_server.services.llm_api.tables.user_settings import USER_SETTINGS

BASE_STYLES = ("Concise", "Friendly", "Professional")
MAXIMUM_TEXT = 32_768
MAXIMUM_PREFERENCES_BYTES = 64 * 1024

RANGES: Mapping[str, tuple[int, int]] = {
    "max_user_items": (0, 20),
    "max_project_items": (0, 50),
    "max_episodic_items": (0, 20),
    "min_similarity": (0, 1),
}
"""The smallest and the largest value of the numbers in `memory_config`."""

DEFAULT_PREFERENCES: Mapping[str, Any] = {
    "enable_deep_research": False,
    "enable_thinking": True,
    "enable_search": True,
    "enable_browser": False,
}
"""The preferences of somebody who chose none; `selected_model` is added to them."""


@dataclass(frozen=True, slots=True)
class MemoryConfig:
    """How memories of the user are gathered and used; numbers are limits for one request."""

    enabled: bool = True
    observe_enabled: bool = True
    inject_user_core: bool = True
    inject_semantic: bool = True
    inject_episodic: bool = False
    max_user_items: int = 3
    max_project_items: int = 5
    max_episodic_items: int = 3
    min_similarity: float = 0.75


@dataclass(frozen=True, slots=True)
class ProfileSettings:
    """Who the user is and how it wants to be answered."""

    base_style: str = "Friendly"
    custom_instructions: str = ""
    nick_name: str = ""
    occupation: str = ""
    more_about_you: str = ""


@dataclass(frozen=True, slots=True)
class AdvancedSettings:
    """Switches that clients read."""

    web_search: bool = False
    code_enabled: bool = False


@dataclass(frozen=True, slots=True)
class UserSettings:
    """The settings of one user.

    Attributes:
        id: The key of their row.
        preferences: The user's own map, without defaults.
    """

    id: int
    user_id: int
    memory_config: MemoryConfig
    profile_settings: ProfileSettings
    advanced_settings: AdvancedSettings
    preferences: Mapping[str, Any]
    enable_trace: bool
    enable_tools: bool
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class SettingsChanges:
    """What to change of a user's settings; what is left out stays.

    Attributes:
        memory_config: Members of `MemoryConfig` by name; likewise the next two.
        preferences: Merged deeply; a member that is None is taken out.
    """

    memory_config: Mapping[str, Any] = field(default_factory=dict)
    profile_settings: Mapping[str, Any] = field(default_factory=dict)
    advanced_settings: Mapping[str, Any] = field(default_factory=dict)
    preferences: Mapping[str, Any] = field(default_factory=dict)
    enable_trace: bool | None = None
    enable_tools: bool | None = None


_COLUMNS = (
    USER_SETTINGS.c.id,
    USER_SETTINGS.c.user_id,
    USER_SETTINGS.c.memory_config,
    USER_SETTINGS.c.profile_settings,
    USER_SETTINGS.c.advanced_settings,
    USER_SETTINGS.c.preferences,
    USER_SETTINGS.c.enable_trace,
    USER_SETTINGS.c.enable_tools,
    USER_SETTINGS.c.created_at,
    USER_SETTINGS.c.updated_at,
)


async def read_settings(session: AsyncSession, user_id: int) -> UserSettings:
    """The settings of the user with this key; the first reading makes their row."""
    statement = select(*_COLUMNS).where(USER_SETTINGS.c.user_id == user_id)
    row = (await execute(session, statement)).one_or_none()
    if row is None:
        await _make(session, user_id)
        row = (await execute(session, statement)).one()
    return _settings(row)


async def update_settings(session: AsyncSession, user_id: int, changes: SettingsChanges) -> UserSettings:
    """Change what is given and keep the rest; changes that come at once are all kept.

    Raises:
        Invalid: A value is out of its range, of no known style or too long; `param` names it.
    """
    _check(changes)
    await _make(session, user_id)
    statement = select(*_COLUMNS).where(USER_SETTINGS.c.user_id == user_id).with_for_update()
    row = (await execute(session, statement)).one()
    values: dict[str, Any] = {
        name: {**getattr(row, name), **change}
        for name in ("memory_config", "profile_settings", "advanced_settings")
        if (change := getattr(changes, name))
    }
    if changes.preferences:
        values["preferences"] = merged_preferences(row.preferences, changes.preferences)
        _refuse_large(values["preferences"])
    values |= {
        name: chosen
        for name in ("enable_trace", "enable_tools")
        if (chosen := getattr(changes, name)) is not None
    }
    if values:
        write = (
            update(USER_SETTINGS)
            .where(USER_SETTINGS.c.user_id == user_id)
            .values(**values, updated_at=func.clock_timestamp())
            .returning(*_COLUMNS)
        )
        row = (await execute(session, write)).one()
    return _settings(row)


def merged_preferences(stored: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """`stored` with `changes` merged into it: maps are merged, other values replace, None takes out."""
    merged = dict(stored)
    for name, value in changes.items():
        if value is None:
            merged.pop(name, None)
        elif isinstance(value, Mapping):
            known = merged.get(name)
            merged[name] = merged_preferences(known if isinstance(known, Mapping) else {}, value)
        else:
            merged[name] = value
    return merged


def filled_preferences(settings: UserSettings, first_model: str) -> dict[str, Any]:
    """The preferences with defaults for what the user never chose.

    Args:
        settings: The user's settings.
        first_model: The id of the first model in the list of models; empty when there is none.
    """
    return {"selected_model": first_model, **DEFAULT_PREFERENCES, **settings.preferences}


async def _make(session: AsyncSession, user_id: int) -> None:
    await execute(session, insert(USER_SETTINGS).values(user_id=user_id).on_conflict_do_nothing())


def _settings(row: Any) -> UserSettings:
    return UserSettings(
        id=row.id,
        user_id=row.user_id,
        memory_config=_filled(MemoryConfig, row.memory_config),
        profile_settings=_filled(ProfileSettings, row.profile_settings),
        advanced_settings=_filled(AdvancedSettings, row.advanced_settings),
        preferences=row.preferences,
        enable_trace=row.enable_trace,
        enable_tools=row.enable_tools,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


_Section = TypeVar("_Section", MemoryConfig, ProfileSettings, AdvancedSettings)


def _filled(section: type[_Section], chosen: Mapping[str, Any]) -> _Section:
    # A member that another version of the program stored is none of ours.
    known = {member.name for member in fields(section)}
    return section(**{name: value for name, value in chosen.items() if name in known})


def _check(changes: SettingsChanges) -> None:
    _refuse_large(changes.preferences)
    for name, value in changes.memory_config.items():
        if name in RANGES:
            lowest, highest = RANGES[name]
            if not lowest <= value <= highest:
                raise _invalid(f"memory_config.{name}", f"must be between {lowest} and {highest}")
    for name, value in changes.profile_settings.items():
        if name == "base_style" and value not in BASE_STYLES:
            raise _invalid("profile_settings.base_style", f"must be one of: {', '.join(BASE_STYLES)}")
        if len(value) > MAXIMUM_TEXT:
            raise _invalid(f"profile_settings.{name}", f"must have at most {MAXIMUM_TEXT} characters")


def _refuse_large(preferences: Mapping[str, Any]) -> None:
    try:
        text = orjson.dumps(preferences)
    except TypeError as failure:
        raise _invalid("preferences", "is nested too deeply") from failure
    if len(text) > MAXIMUM_PREFERENCES_BYTES:
        raise _invalid("preferences", f"must have at most {MAXIMUM_PREFERENCES_BYTES} bytes as JSON")
    # An escaped backslash is no part of another escape.
    if b"\\u0000" in text.replace(b"\\\\", b""):
        raise _invalid("preferences", "must not hold NUL characters")


def _invalid(param: str, problem: str) -> Invalid:
    return Invalid(f"{param} {problem}", param=param)
