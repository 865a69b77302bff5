"""What travels on the routes of user settings (contract/llm-api.md, section 16)."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AliasChoices, BaseModel, ConfigDict, Field

from jan_server.services.llm_api.schemas.plain_text import PlainText
from jan_server.services.llm_api.user_settings import (
    BASE_STYLES,
    MAXIMUM_TEXT,
    RANGES,
    SettingsChanges,
    UserSettings,
    filled_preferences,
)


def _number(name: str) -> Any:
    # The concept refuses by its own words; here the range is for the OpenAPI document.
    lowest, highest = RANGES[name]
    return Field(None, json_schema_extra={"minimum": lowest, "maximum": highest})


class _Strict(BaseModel):
    """Numbers are numbers, and switches are true or false: nothing is guessed."""

    model_config = ConfigDict(strict=True)


_Text = Annotated[PlainText, Field(json_schema_extra={"maxLength": MAXIMUM_TEXT})]


class MemoryChanges(_Strict):
    """What to change of `memory_config`."""

    enabled: bool | None = None
    observe_enabled: bool | None = None
    inject_user_core: bool | None = None
    inject_semantic: bool | None = None
    inject_episodic: bool | None = None
    max_user_items: int | None = _number("max_user_items")
    max_project_items: int | None = _number("max_project_items")
    max_episodic_items: int | None = _number("max_episodic_items")
    min_similarity: float | None = _number("min_similarity")


class ProfileChanges(_Strict):
    """What to change of `profile_settings`."""

    base_style: str | None = Field(None, json_schema_extra={"enum": list(BASE_STYLES)})
    custom_instructions: _Text | None = None
    nick_name: _Text | None = Field(
        None,
        validation_alias=AliasChoices("nick_name", "nickname"),
        description="`nickname` is understood as well.",
    )
    occupation: _Text | None = None
    more_about_you: _Text | None = None


class AdvancedChanges(_Strict):
    """What to change of `advanced_settings`."""

    web_search: bool | None = None
    code_enabled: bool | None = None


class UserSettingsChanges(_Strict):
    """What to change of a user's settings; what is left out stays."""

    model_config = ConfigDict(
        strict=True,
        json_schema_extra={
            "example": {
                "memory_config": {"max_user_items": 5},
                "profile_settings": {"base_style": "Concise"},
                "preferences": {"theme": "dark"},
            }
        },
    )

    memory_config: MemoryChanges | None = None
    profile_settings: ProfileChanges | None = None
    advanced_settings: AdvancedChanges | None = None
    enable_trace: bool | None = None
    enable_tools: bool | None = None
    preferences: dict[str, Any] | None = Field(
        None, description="Merged deeply into the stored map; null takes a member out."
    )


class PreferencesChanges(_Strict):
    """What to change of the preferences."""

    model_config = ConfigDict(
        strict=True, json_schema_extra={"example": {"preferences": {"selected_model": "jan-v2-30b"}}}
    )

    preferences: dict[str, Any] = Field(
        description="Merged deeply into the stored map; null takes a member out."
    )


class MemoryObject(BaseModel):
    """How memories of the user are gathered and used."""

    enabled: bool
    observe_enabled: bool
    inject_user_core: bool
    inject_semantic: bool
    inject_episodic: bool
    max_user_items: int
    max_project_items: int
    max_episodic_items: int
    min_similarity: float


class ProfileObject(BaseModel):
    """Who the user is and how it wants to be answered."""

    base_style: str
    custom_instructions: str
    nick_name: str
    occupation: str
    more_about_you: str


class AdvancedObject(BaseModel):
    """Switches that clients read."""

    web_search: bool
    code_enabled: bool


class ServerCapabilities(BaseModel):
    """What this installation can do; nobody can change it here."""

    image_generation_enabled: bool


class UserSettingsObject(BaseModel):
    """The settings of the caller."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "id": 1,
                "user_id": 7,
                "memory_config": {
                    "enabled": True,
                    "observe_enabled": True,
                    "inject_user_core": True,
                    "inject_semantic": True,
                    "inject_episodic": False,
                    "max_user_items": 3,
                    "max_project_items": 5,
                    "max_episodic_items": 3,
                    "min_similarity": 0.75,
                },
                "profile_settings": {
                    "base_style": "Friendly",
                    "custom_instructions": "",
                    "nick_name": "",
                    "occupation": "",
                    "more_about_you": "",
                },
                "advanced_settings": {"web_search": False, "code_enabled": False},
                "enable_trace": False,
                "enable_tools": True,
                "preferences": {
                    "selected_model": "jan-v2-30b",
                    "enable_deep_research": False,
                    "enable_thinking": True,
                    "enable_search": True,
                    "enable_browser": False,
                },
                "server_capabilities": {"image_generation_enabled": False},
                "created_at": "2026-01-01T12:00:00Z",
                "updated_at": "2026-01-01T12:00:00Z",
            }
        }
    )

    id: int
    user_id: int
    memory_config: MemoryObject
    profile_settings: ProfileObject
    advanced_settings: AdvancedObject
    enable_trace: bool
    enable_tools: bool
    preferences: dict[str, Any]
    server_capabilities: ServerCapabilities
    created_at: datetime
    updated_at: datetime


class PreferencesObject(BaseModel):
    """The preferences of the caller, with defaults for what it never chose."""

    preferences: dict[str, Any]


def settings_changes(body: UserSettingsChanges) -> SettingsChanges:
    """What a caller wants to change; a null counts as left out, but inside the preferences."""
    return SettingsChanges(
        memory_config=_given(body.memory_config),
        profile_settings=_given(body.profile_settings),
        advanced_settings=_given(body.advanced_settings),
        preferences=body.preferences or {},
        enable_trace=body.enable_trace,
        enable_tools=body.enable_tools,
    )


def _given(section: BaseModel | None) -> dict[str, Any]:
    return section.model_dump(exclude_none=True) if section else {}


def settings_members(settings: UserSettings, *, first_model: str, makes_images: bool) -> dict[str, Any]:
    """The settings as they travel.

    Args:
        settings: The settings.
        first_model: The id of the first model in the list of models.
        makes_images: Whether this installation can make images.
    """
    return {
        "id": settings.id,
        "user_id": settings.user_id,
        "memory_config": asdict(settings.memory_config),
        "profile_settings": asdict(settings.profile_settings),
        "advanced_settings": asdict(settings.advanced_settings),
        "enable_trace": settings.enable_trace,
        "enable_tools": settings.enable_tools,
        "preferences": filled_preferences(settings, first_model),
        "server_capabilities": {"image_generation_enabled": makes_images},
        "created_at": _whole_seconds(settings.created_at),
        "updated_at": _whole_seconds(settings.updated_at),
    }


def _whole_seconds(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
