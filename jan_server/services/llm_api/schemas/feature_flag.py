"""What travels on the routes of feature flags (contract/llm-api.md, section 17)."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from jan_server.services.llm_api.schemas.plain_text import without_nul
from jan_server.services.llm_api.tables.feature_flag import KEY_LENGTH, FeatureFlag

FlagKey = Annotated[
    str, StringConstraints(strip_whitespace=True, pattern=rf"^[A-Za-z0-9_]{{1,{KEY_LENGTH}}}$")
]
FlagName = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=255),
    AfterValidator(without_nul),
]
Description = Annotated[str, StringConstraints(max_length=4096), AfterValidator(without_nul)]
Category = Annotated[
    str, StringConstraints(strip_whitespace=True, max_length=50), AfterValidator(without_nul)
]


class NewFlag(BaseModel):
    """A wanted feature flag."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"key": "voice_mode", "name": "Voice mode", "category": "audio"}}
    )

    key: FlagKey = Field(description="Letters, digits and underscores.")
    name: FlagName
    description: Description | None = None
    category: Category | None = None


class FlagChanges(BaseModel):
    """What to change of a feature flag; what is left out or null stays."""

    model_config = ConfigDict(json_schema_extra={"example": {"description": "Talk with the model."}})

    key: FlagKey | None = Field(None, description="Groups and models follow a new key.")
    name: FlagName | None = None
    description: Description | None = None
    category: Category | None = None


class FlagInfo(BaseModel):
    """A feature flag."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "id": "b7a6d8f0-58f7-4a3e-8f19-4f2a8f0b7d11",
                "key": "experimental_models",
                "name": "Experimental models",
                "description": "Shows models of the catalogue that are marked experimental.",
                "category": "models",
                "created_at": "2026-01-01T12:00:00Z",
                "updated_at": "2026-01-01T12:00:00Z",
            }
        }
    )

    id: UUID
    key: str
    name: str
    description: str
    category: str
    created_at: datetime
    updated_at: datetime


class FlagList(BaseModel):
    """All feature flags."""

    data: list[FlagInfo]


class CarriedFlags(BaseModel):
    """The feature flags that a group carries."""

    model_config = ConfigDict(json_schema_extra={"example": {"flags": ["experimental_models"]}})

    flags: list[FlagName]


def flag_members(flag: FeatureFlag) -> dict[str, Any]:
    """A feature flag as it travels."""
    return {
        "id": flag.id,
        "key": flag.key,
        "name": flag.name,
        "description": flag.description,
        "category": flag.category,
        "created_at": flag.created_at,
        "updated_at": flag.updated_at,
    }
