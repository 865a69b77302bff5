"""What travels on the routes of models' own prompt templates (contract/llm-api.md, section 19)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from jan_server.services.llm_api.model_prompt_templates import Assignment, EffectiveTemplate
from jan_server.services.llm_api.schemas.moment import whole_seconds
from jan_server.services.llm_api.schemas.plain_text import without_nul
from jan_server.services.llm_api.schemas.prompt_template import (
    PromptTemplateObject,
    TemplateKey,
    template_members,
)

_GREATEST = 2**31 - 1

TemplateId = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=128), AfterValidator(without_nul)
]
Priority = Annotated[int, Field(ge=-_GREATEST, le=_GREATEST)]

_EXAMPLE_ID = "pt_0a1b2c3d4e5f6g7h8i9j0k1l"


class NewAssignment(BaseModel):
    """Which template a model is to use for a key."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"template_key": "deep_research", "prompt_template_id": _EXAMPLE_ID}}
    )

    template_key: TemplateKey = Field(description="The key for which the template is used.")
    prompt_template_id: TemplateId = Field(description="The template's `public_id` or `id`.")
    priority: Priority | None = Field(None, description="0 by default.")
    is_active: bool | None = Field(None, description="True by default.")


class AssignmentChanges(BaseModel):
    """What to change of a model's choice; what is left out or null stays."""

    model_config = ConfigDict(json_schema_extra={"example": {"is_active": False}})

    prompt_template_id: TemplateId | None = Field(None, description="The template's `public_id` or `id`.")
    priority: Priority | None = None
    is_active: bool | None = None


class AssignedTemplate(BaseModel):
    """The template of an assignment, without its text."""

    public_id: str
    name: str
    description: str | None = None
    category: str
    template_key: str
    is_active: bool


class AssignmentObject(BaseModel):
    """A model's own choice of a template."""

    model_config = ConfigDict(
        protected_namespaces=(),
        json_schema_extra={
            "example": {
                "id": "0d9f2c7e-7c52-4f4f-9c53-0c3d4be5a8a1",
                "model_catalog_id": "qwen/qwen3-8b",
                "template_key": "deep_research",
                "prompt_template_id": _EXAMPLE_ID,
                "priority": 0,
                "is_active": True,
                "created_at": "2026-01-01T12:00:00Z",
                "updated_at": "2026-01-01T12:00:00Z",
                "prompt_template": {
                    "public_id": _EXAMPLE_ID,
                    "name": "Research in German",
                    "category": "research",
                    "template_key": "deep_research",
                    "is_active": True,
                },
            }
        },
    )

    id: str
    model_catalog_id: str
    template_key: str
    prompt_template_id: str
    priority: int
    is_active: bool
    created_at: str
    updated_at: str
    prompt_template: AssignedTemplate | None = None


class AssignmentList(BaseModel):
    """All assignments of a model."""

    data: list[AssignmentObject]
    total: int


class AssignmentPage(AssignmentList):
    """A page of a model's assignments."""

    page: int
    limit: int


class Effective(BaseModel):
    """What a model gets for a key, and where that comes from."""

    template: PromptTemplateObject
    source: Literal["model_specific", "global_default"]


class EffectiveTemplates(BaseModel):
    """What a model gets, by key."""

    templates: dict[str, Effective]


class CatalogEffective(BaseModel):
    """What a model gets for a key, and where that comes from."""

    template: PromptTemplateObject
    source: Literal["model", "global"]


class CatalogEffectiveTemplates(BaseModel):
    """What a model gets, by key."""

    templates: dict[str, CatalogEffective]


def assignment_members(assignment: Assignment) -> dict[str, Any]:
    """An assignment as it travels."""
    template = assignment.template
    return {
        "id": str(assignment.id),
        "model_catalog_id": assignment.model_id,
        "template_key": assignment.template_key,
        "prompt_template_id": template.public_id,
        "priority": assignment.priority,
        "is_active": assignment.is_active,
        "created_at": whole_seconds(assignment.created_at),
        "updated_at": whole_seconds(assignment.updated_at),
        "prompt_template": {
            "public_id": template.public_id,
            "name": template.name,
            **({"description": template.description} if template.description else {}),
            "category": template.category,
            "template_key": template.template_key,
            "is_active": template.is_active,
        },
    }


def effective_members(effective: Mapping[str, EffectiveTemplate], *, own: str, shared: str) -> dict[str, Any]:
    """What a model gets, as it travels.

    Args:
        effective: By key.
        own: What the source of a model's own template is called.
        shared: What the source of a global one is called.
    """
    return {
        "templates": {
            key: {"template": template_members(found.template), "source": own if found.own else shared}
            for key, found in effective.items()
        }
    }
