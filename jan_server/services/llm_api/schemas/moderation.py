"""What travels on the route of moderations, for the OpenAPI document: the route checks by hand."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class ModerationRequest(BaseModel):
    """OpenAI's request."""

    model_config = ConfigDict(extra="allow")

    input: str | list[str] | list[dict[str, Any]] = Field(
        description="A text, several, or parts with texts and images.",
        examples=["I want to hug somebody."],
    )
    model: str = Field("omni-moderation-latest", examples=["omni-moderation-latest"])


class ModerationResult(BaseModel):
    """The judgement on one input."""

    model_config = ConfigDict(extra="allow")

    flagged: bool
    categories: dict[str, bool]
    category_scores: dict[str, float]


class Moderation(BaseModel):
    """The provider's answer, its own bytes."""

    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={
            "example": {
                "id": "modr-1",
                "model": "omni-moderation-latest",
                "results": [
                    {
                        "flagged": False,
                        "categories": {"violence": False},
                        "category_scores": {"violence": 0.0001},
                    }
                ],
            }
        },
    )

    id: str
    model: str
    results: list[ModerationResult]
