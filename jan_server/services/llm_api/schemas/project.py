"""What travels on the routes of projects (contract/llm-api.md, section 14)."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints
from pydantic_core import PydanticCustomError

from jan_server.services.llm_api.pages import Page
from jan_server.services.llm_api.projects import Project
from jan_server.services.llm_api.schemas.plain_text import PlainText

MAXIMUM_NAME = 120
MAXIMUM_INSTRUCTION = 32_768


def _printable(name: str) -> str:
    if not name.isprintable():
        raise PydanticCustomError("not_printable", "must hold printable characters only")
    return name


Name = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=MAXIMUM_NAME),
    AfterValidator(_printable),
]
Instruction = Annotated[PlainText, StringConstraints(max_length=MAXIMUM_INSTRUCTION)]


class NewProject(BaseModel):
    """A wanted project."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"name": "Thesis", "instruction": "Answer in academic English."}}
    )

    name: Name
    instruction: Instruction | None = Field(None, description="Goes with every chat in the project.")


class ProjectChanges(BaseModel):
    """What to change of a project; what is left out stays."""

    model_config = ConfigDict(json_schema_extra={"example": {"is_favorite": True}})

    name: Name | None = None
    instruction: Instruction | None = Field(None, description="An empty text removes it.")
    is_favorite: bool | None = None
    is_archived: bool | None = None


class ProjectObject(BaseModel):
    """A project."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "id": "proj_0a1b2c3d4e5f6g7h",
                "object": "project",
                "name": "Thesis",
                "instruction": "Answer in academic English.",
                "is_favorite": False,
                "is_archived": False,
                "created_at": 1730000000,
                "updated_at": 1730000000,
            }
        }
    )

    id: str
    object: Literal["project"]
    name: str
    instruction: str | None = None
    is_favorite: bool
    is_archived: bool
    archived_at: int | None = Field(None, description="Unix seconds.")
    created_at: int = Field(description="Unix seconds.")
    updated_at: int = Field(description="Unix seconds.")


class ProjectList(BaseModel):
    """One page of projects."""

    object: Literal["list"]
    data: list[ProjectObject]
    first_id: str | None = None
    last_id: str | None = None
    next_cursor: str | None = Field(
        None, description="Give it as `after` for the next page; left out on the last one."
    )
    has_more: bool
    total: int


class ProjectDeleted(BaseModel):
    """A project is gone."""

    id: str
    object: Literal["project"]
    deleted: Literal[True]


def project_members(project: Project) -> dict[str, Any]:
    """A project as it travels."""
    members: dict[str, Any] = {"id": project.public_id, "object": "project", "name": project.name}
    if project.instruction:
        members["instruction"] = project.instruction
    members["is_favorite"] = project.favorite
    members["is_archived"] = project.archived_at is not None
    if project.archived_at is not None:
        members["archived_at"] = int(project.archived_at.timestamp())
    members["created_at"] = int(project.created_at.timestamp())
    members["updated_at"] = int(project.updated_at.timestamp())
    return members


def project_list(page: Page[Project]) -> dict[str, Any]:
    """A page of projects as it travels."""
    members: dict[str, Any] = {"object": "list", "data": [project_members(project) for project in page.rows]}
    if page.rows:
        members["first_id"] = page.rows[0].public_id
        members["last_id"] = page.rows[-1].public_id
    if page.next_cursor:
        members["next_cursor"] = page.next_cursor
    return members | {"has_more": page.has_more, "total": page.total}
