"""The routes of projects.

Source: contract/llm-api.md, section 14.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Response
from starlette.requests import Request

from jan_server.http.json_body import OrjsonResponse
from jan_server.http.pagination import page_request
from jan_server.http.typed_body import body_of, documented
from jan_server.services.llm_api import projects
from jan_server.services.llm_api.projects import Project, find_project
from jan_server.services.llm_api.resources import Open
from jan_server.services.llm_api.routes.caller import CallerUser
from jan_server.services.llm_api.routes.listing import page_parameters
from jan_server.services.llm_api.schemas.error import errors
from jan_server.services.llm_api.schemas.project import (
    NewProject,
    ProjectChanges,
    ProjectDeleted,
    ProjectList,
    ProjectObject,
    project_list,
    project_members,
)

router = APIRouter(prefix="/v1/projects", tags=["projects"], responses=errors(400, 401))


async def caller_project(opened: Open, caller: CallerUser, project_id: str) -> Project:
    """FastAPI dependency: the caller's project of the path, found before a body is looked at."""
    async with opened.database.session() as session:
        return await find_project(session, caller.id, project_id)


CallerProject = Annotated[Project, Depends(caller_project)]


@router.post(
    "",
    status_code=201,
    summary="Make a project",
    response_model=ProjectObject,
    openapi_extra=documented(NewProject),
    responses=errors(409),
)
async def create(
    opened: Open, caller: CallerUser, body: Annotated[NewProject, Depends(body_of(NewProject))]
) -> Response:
    """Names are unique among a user's projects; the `code` of a 409 is the id of the one that has it."""
    async with opened.database.session() as session:
        project = await projects.create_project(session, caller.id, body.name, body.instruction)
    return OrjsonResponse(project_members(project), status_code=201)


@router.get(
    "",
    summary="List the caller's projects",
    response_model=ProjectList,
    openapi_extra=page_parameters(),
)
async def listed(request: Request, opened: Open, caller: CallerUser) -> Response:
    """By their last change, archived ones included."""
    page = page_request(request.query_params)
    async with opened.database.session() as session:
        found = await projects.list_projects(session, caller.id, page)
    return OrjsonResponse(project_list(found))


@router.get("/{project_id}", summary="Read a project", response_model=ProjectObject, responses=errors(404))
async def read(project: CallerProject) -> Response:
    """One project of the caller."""
    return OrjsonResponse(project_members(project))


@router.patch(
    "/{project_id}",
    summary="Change a project",
    response_model=ProjectObject,
    openapi_extra=documented(ProjectChanges),
    responses=errors(404, 409),
)
async def change(
    opened: Open,
    project: CallerProject,
    body: Annotated[ProjectChanges, Depends(body_of(ProjectChanges))],
) -> Response:
    """What is left out stays as it is."""
    async with opened.database.session() as session:
        project = await projects.update_project(
            session,
            project,
            name=body.name,
            instruction=body.instruction,
            favorite=body.is_favorite,
            archived=body.is_archived,
        )
    return OrjsonResponse(project_members(project))


@router.delete(
    "/{project_id}", summary="Delete a project", response_model=ProjectDeleted, responses=errors(404)
)
async def delete(opened: Open, project: CallerProject) -> Response:
    """Its conversations stay, and keep naming it."""
    async with opened.database.session() as session:
        await projects.delete_project(session, project)
    return OrjsonResponse({"id": project.public_id, "object": "project", "deleted": True})
