"""What travels on the routes of prompt templates (contract/llm-api.md, section 18)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints
from pydantic_core import PydanticCustomError

from jan_server.services.llm_api.prompt_templates import PromptTemplate
from jan_server.services.llm_api.schemas.json_map import JsonMap
from jan_server.services.llm_api.schemas.moment import whole_seconds
from jan_server.services.llm_api.schemas.plain_text import without_nul

MAXIMUM_CONTENT = 100_000
MAXIMUM_COPY_NAME = 200
MOST_VARIABLES = 100


def _not_blank(text: str) -> str:
    if not text.strip():
        raise PydanticCustomError("blank", "must not be blank")
    return text


TemplateKey = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_]{1,100}$")]
Name = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=255), AfterValidator(without_nul)
]
Category = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100), AfterValidator(without_nul)
]
Description = Annotated[str, StringConstraints(max_length=4096), AfterValidator(without_nul)]
Content = Annotated[
    str,
    StringConstraints(max_length=MAXIMUM_CONTENT),
    AfterValidator(without_nul),
    AfterValidator(_not_blank),
]
Variables = Annotated[
    list[Annotated[str, StringConstraints(min_length=1, max_length=100), AfterValidator(without_nul)]],
    Field(max_length=MOST_VARIABLES),
]
CopyName = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=MAXIMUM_COPY_NAME),
    AfterValidator(without_nul),
]


class NewPromptTemplate(BaseModel):
    """A wanted prompt template."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "name": "Tutor",
                "category": "education",
                "template_key": "math_tutor",
                "content": "Explain {{.Topic}} to a pupil of {{.Age}} years.",
                "variables": ["Topic", "Age"],
            }
        }
    )

    name: Name
    category: Category
    template_key: TemplateKey = Field(description="Letters, digits and underscores; 409 when it is taken.")
    content: Content
    description: Description | None = None
    variables: Variables | None = None
    metadata: JsonMap | None = None


class PromptTemplateChanges(BaseModel):
    """What to change of a prompt template; what is left out or null stays."""

    model_config = ConfigDict(json_schema_extra={"example": {"content": "The date is {{.CurrentDate}}."}})

    name: Name | None = None
    category: Category | None = None
    content: Content | None = None
    description: Description | None = Field(None, description="An empty text removes it.")
    variables: Variables | None = None
    metadata: JsonMap | None = Field(None, description="Replaces the whole map.")
    is_active: bool | None = None


class CopyRequest(BaseModel):
    """How a copy of a prompt template is to be called."""

    model_config = ConfigDict(json_schema_extra={"example": {"new_name": "Tutor for adults"}})

    new_name: CopyName | None = Field(None, description="By default the name with ` - Copy` behind it.")


class PromptTemplateObject(BaseModel):
    """A prompt template."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "id": "6a5f2f56-8a0f-4f0c-8f6f-2d1f3e6f7a10",
                "public_id": "pt_timing_001",
                "name": "Current date",
                "description": "Tells the model what day it is.",
                "category": "context",
                "template_key": "timing",
                "content": "The current date is {{.CurrentDate}}.",
                "variables": ["CurrentDate"],
                "is_active": True,
                "is_system": True,
                "version": 1,
                "created_at": "2026-01-01T12:00:00Z",
                "updated_at": "2026-01-01T12:00:00Z",
            }
        }
    )

    id: str
    public_id: str
    name: str
    description: str | None = None
    category: str
    template_key: str
    content: str
    variables: list[str] | None = None
    metadata: dict[str, Any] | None = None
    is_active: bool
    is_system: bool
    version: int
    created_at: str
    updated_at: str


class PromptTemplateAnswer(BaseModel):
    """One prompt template."""

    data: PromptTemplateObject


class PromptTemplateList(BaseModel):
    """A page of prompt templates, and the number of all that fit."""

    data: list[PromptTemplateObject]
    total: int


def template_members(template: PromptTemplate) -> dict[str, Any]:
    """A prompt template as it travels; what is empty is left out."""
    optional = {
        "description": template.description,
        "variables": template.variables,
        "metadata": template.metadata,
    }
    return {
        "id": str(template.id),
        "public_id": template.public_id,
        "name": template.name,
        "category": template.category,
        "template_key": template.template_key,
        "content": template.content,
        **{name: value for name, value in optional.items() if value},
        "is_active": template.is_active,
        "is_system": template.is_system,
        "version": template.version,
        "created_at": whole_seconds(template.created_at),
        "updated_at": whole_seconds(template.updated_at),
    }


def template_list(templates: Sequence[PromptTemplate], total: int) -> dict[str, Any]:
    """A page of prompt templates as it travels."""
    return {"data": [template_members(template) for template in templates], "total": total}
