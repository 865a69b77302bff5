"""What travels on the routes of MCP tools (contract/llm-api.md, section 20)."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints
from pydantic.types import JsonValue

from jan_server.services.llm_api.mcp_tools import McpTool
from jan_server.services.llm_api.schemas.json_map import JsonMap
from jan_server.services.llm_api.schemas.moment import whole_seconds
from jan_server.services.llm_api.schemas.plain_text import without_nul

MOST_KEYWORDS = 200
MAXIMUM_KEYWORD = 500

Description = Annotated[str, StringConstraints(max_length=4096), AfterValidator(without_nul)]
Category = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100), AfterValidator(without_nul)
]
Keywords = Annotated[
    list[Annotated[str, StringConstraints(max_length=MAXIMUM_KEYWORD), AfterValidator(without_nul)]],
    Field(max_length=MOST_KEYWORDS),
]

_EXAMPLE: dict[str, JsonValue] = {
    "id": "0f3b9b1c-5d0e-4c56-8d2f-1f7f0a4e2b90",
    "public_id": "mcp_google_search_001",
    "tool_key": "google_search",
    "name": "Google Search",
    "description": "Searches the web.",
    "category": "search",
    "is_active": True,
    "disallowed_keywords": ["(?i)spam"],
    "created_at": "2026-01-01T12:00:00Z",
    "updated_at": "2026-01-01T12:00:00Z",
}


class McpToolChanges(BaseModel):
    """What to change of a tool; what is left out or null stays."""

    model_config = ConfigDict(json_schema_extra={"example": {"disallowed_keywords": ["(?i)spam"]}})

    description: Description | None = Field(
        None, description="Replaces the one that the MCP service has; an empty text gives that one back."
    )
    category: Category | None = None
    is_active: bool | None = None
    disallowed_keywords: Keywords | None = Field(
        None, description="Regular expressions; search results that one of them matches are dropped."
    )
    metadata: JsonMap | None = Field(None, description="Replaces the whole map.")


class McpToolObject(BaseModel):
    """What is said about a tool."""

    model_config = ConfigDict(json_schema_extra={"example": _EXAMPLE})

    id: str
    public_id: str
    tool_key: str
    name: str
    description: str
    category: str
    is_active: bool
    metadata: dict[str, Any] | None = None
    disallowed_keywords: list[str]
    created_at: str
    updated_at: str


class McpToolAnswer(McpToolObject):
    """One tool: its members, and the same once more under `data`."""

    model_config = ConfigDict(json_schema_extra={"example": {**_EXAMPLE, "data": _EXAMPLE}})

    data: McpToolObject


class PublicMcpToolList(BaseModel):
    """The tools that are switched on."""

    data: list[McpToolObject]


class McpToolList(PublicMcpToolList):
    """A page of the tools, and the number of all that fit."""

    total: int


def tool_members(tool: McpTool) -> dict[str, Any]:
    """A tool as it travels."""
    return {
        "id": str(tool.id),
        "public_id": tool.public_id,
        "tool_key": tool.tool_key,
        "name": tool.name,
        "description": tool.description,
        "category": tool.category,
        "is_active": tool.is_active,
        **({"metadata": tool.metadata} if tool.metadata else {}),
        "disallowed_keywords": tool.disallowed_keywords,
        "created_at": whole_seconds(tool.created_at),
        "updated_at": whole_seconds(tool.updated_at),
    }


def tool_answer(tool: McpTool) -> dict[str, Any]:
    """One tool as it travels: existing clients read it at the top, or under `data`."""
    members = tool_members(tool)
    return {**members, "data": members}
