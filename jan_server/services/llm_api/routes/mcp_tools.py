"""The routes of MCP tools: read by the MCP service, kept by administrators.

Source: contract/llm-api.md, section 20.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import Response

from jan_server.http.json_body import OrjsonResponse
from jan_server.http.typed_body import body_of, documented
from jan_server.services.llm_api.mcp_tools import (
    McpTool,
    find_active_tool,
    find_tool,
    list_tools,
    update_tool,
)
from jan_server.services.llm_api.resources import Open
from jan_server.services.llm_api.routes.caller import CallerAdmin, require_admin
from jan_server.services.llm_api.routes.listing import (
    lenient,
    lenient_flag,
    lenient_number,
    query_parameter,
    text_filter,
)
from jan_server.services.llm_api.schemas.error import errors
from jan_server.services.llm_api.schemas.mcp_tool import (
    McpToolAnswer,
    McpToolChanges,
    McpToolList,
    PublicMcpToolList,
    tool_answer,
    tool_members,
)

public_router = APIRouter(prefix="/v1/mcp-tools", tags=["MCP tools"])
router = APIRouter(
    prefix="/v1/admin/mcp-tools",
    tags=["MCP tools"],
    dependencies=[Depends(require_admin)],
    responses=errors(400, 401, 403, 429),
)


async def tool_of_path(opened: Open, _: CallerAdmin, tool_id: str) -> McpTool:
    """FastAPI dependency: the tool of the path, found before a body is looked at."""
    async with opened.database.session() as session:
        return await find_tool(session, tool_id)


PathTool = Annotated[McpTool, Depends(tool_of_path)]


@public_router.get(
    "",
    summary="List the MCP tools that are switched on",
    response_model=PublicMcpToolList,
    openapi_extra={"parameters": [query_parameter("category", "")]},
    responses=errors(400),
)
async def listed_public(request: Request, opened: Open) -> Response:
    """For everybody, without a credential; by name."""
    async with opened.database.session() as session:
        found, _ = await list_tools(session, is_active=True, category=text_filter(request, "category"))
    return OrjsonResponse({"data": list(map(tool_members, found))})


@public_router.get(
    "/{tool_key}",
    summary="Read an MCP tool by its key",
    response_model=McpToolAnswer,
    responses=errors(404),
)
async def read_public(opened: Open, tool_key: str) -> Response:
    """For everybody, without a credential; one that is switched off is 404."""
    async with opened.database.session() as session:
        tool = await find_active_tool(session, tool_key)
    return OrjsonResponse(tool_answer(tool))


@router.get(
    "",
    summary="List MCP tools",
    response_model=McpToolList,
    openapi_extra={
        "parameters": [
            query_parameter("category", ""),
            query_parameter(
                "is_active",
                "Only those that are switched on, or only the others.",
                lenient({"type": "boolean"}),
            ),
            query_parameter("search", "Part of the name, the key or the description, in any case."),
            query_parameter("limit", "", lenient({"type": "integer", "minimum": 1, "default": 20})),
            query_parameter("offset", "", lenient({"type": "integer", "minimum": 0, "default": 0})),
        ]
    },
)
async def listed(request: Request, opened: Open) -> Response:
    """By name. Numbers and flags that are none count as not given."""
    async with opened.database.session() as session:
        found, total = await list_tools(
            session,
            limit=lenient_number(request, "limit", 20, least=1),
            offset=lenient_number(request, "offset", 0),
            category=text_filter(request, "category"),
            is_active=lenient_flag(request, "is_active"),
            search=text_filter(request, "search"),
        )
    return OrjsonResponse({"data": list(map(tool_members, found)), "total": total})


@router.get("/{tool_id}", summary="Read an MCP tool", response_model=McpToolAnswer, responses=errors(404))
async def read(tool: PathTool) -> Response:
    """By its public id, switched on or off."""
    return OrjsonResponse(tool_answer(tool))


@router.patch(
    "/{tool_id}",
    summary="Change an MCP tool",
    response_model=McpToolAnswer,
    openapi_extra=documented(McpToolChanges),
    responses=errors(404),
)
async def change(
    opened: Open,
    admin: CallerAdmin,
    tool: PathTool,
    body: Annotated[McpToolChanges, Depends(body_of(McpToolChanges))],
) -> Response:
    """What is left out stays. Every one of `disallowed_keywords` has to be a regular expression."""
    changes = body.model_dump(exclude_none=True)
    async with opened.database.session() as session:
        tool = await update_tool(session, tool, changes, author=admin.subject)
    return OrjsonResponse(tool_answer(tool))
