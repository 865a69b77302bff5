"""What travels on the routes with which administrators keep routes of models."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from jan_server.services.llm_api.schemas.administration import Name
from jan_server.services.llm_api.schemas.plain_text import PlainText

MOST_TARGETS = 100
MOST_WEIGHT = 1_000_000

FallbackReason = Literal["error", "timeout", "rate_limit", "context_overflow"]
FallbackReasons = Annotated[
    list[FallbackReason],
    AfterValidator(lambda reasons: list(dict.fromkeys(reasons))),
    Field(
        description="What makes a request go on to the next target: failures of all kinds, time-outs, too "
        "many requests, and messages that are too long for the model. Empty goes on for nothing."
    ),
]
Description = Annotated[PlainText, StringConstraints(max_length=4096)]

_EXAMPLE: dict[str, Any] = {
    "name": "assistant",
    "description": "The house's own model first, the cloud when it is away.",
    "targets": [
        {"model": "jan/smollm2-135m-instruct", "weight": 1, "priority": 0},
        {"model": "openai/gpt-4o-mini", "provider_id": "prov_0a1b2c3d4e5f6g7h", "priority": 1},
    ],
    "fallback_on": ["error", "timeout", "rate_limit", "context_overflow"],
}


class RouteTarget(BaseModel):
    """One model behind a route."""

    model_config = ConfigDict(protected_namespaces=())

    model: Name = Field(
        description="A model id, or the provider's own id; never another route.",
        examples=["jan/smollm2-135m-instruct"],
    )
    provider_id: PlainText | None = Field(
        None, description="The provider that answers; null for the one that answers for the model's id."
    )
    weight: Annotated[int, Field(strict=True)] = Field(
        1,
        ge=0,
        le=MOST_WEIGHT,
        description="Its share of the requests among the targets of the same priority; 0 gets none as long "
        "as another one works.",
    )
    priority: Annotated[int, Field(strict=True)] = Field(
        0,
        ge=0,
        le=2**31 - 1,
        description="The lowest number is asked first, the next number when all of those fail.",
    )


Targets = Annotated[list[RouteTarget], Field(min_length=1, max_length=MOST_TARGETS)]


class NewModelRoute(BaseModel):
    """A wanted route of models."""

    model_config = ConfigDict(json_schema_extra={"example": _EXAMPLE})

    name: Name = Field(description="What clients send as `model`; it wins over a model of the same id.")
    description: Description = ""
    targets: Targets
    fallback_on: FallbackReasons = ["error", "timeout", "rate_limit", "context_overflow"]
    active: bool = True


class ModelRouteChanges(BaseModel):
    """What to change of a route of models; what is left out stays, lists are replaced as a whole."""

    model_config = ConfigDict(json_schema_extra={"example": {"active": False}})

    name: Name = Field("", description="What clients send as `model`.")
    description: Description = ""
    targets: Targets = []
    fallback_on: FallbackReasons = []
    active: bool = True


class ModelRouteInfo(BaseModel):
    """A route of models."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "id": "rte_0a1b2c3d4e5f6g7h",
                **_EXAMPLE,
                "active": True,
                "source": "api",
                "created_at": 1764000000,
                "updated_at": 1764000000,
            }
        }
    )

    id: str
    name: str
    description: str
    targets: list[RouteTarget]
    fallback_on: list[FallbackReason]
    active: bool
    source: Literal["api", "settings"] = Field(
        description="`settings` are described in the settings and can be changed only there."
    )
    created_at: int
    updated_at: int


class ModelRouteList(BaseModel):
    """A page of the routes of models."""

    data: list[ModelRouteInfo]
    total: int
    limit: int
