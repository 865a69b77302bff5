"""The routes with which administrators give models prompt templates of their own.

Two families of paths serve the same: one with the action before the model's id, one with the id
first. Ids may hold slashes, raw or percent-encoded; in the second family the last segment is
therefore never part of the id.
Source: contract/llm-api.md, section 19.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path
from starlette.requests import Request
from starlette.responses import Response

from jan_server.http.json_body import OrjsonResponse
from jan_server.http.typed_body import body_of, documented
from jan_server.services.llm_api import model_prompt_templates as assignments
from jan_server.services.llm_api.model_prompt_templates import Assignment
from jan_server.services.llm_api.resources import Open, Resources
from jan_server.services.llm_api.routes.caller import CallerAdmin, require_admin
from jan_server.services.llm_api.routes.listing import lenient, lenient_number, query_parameter
from jan_server.services.llm_api.schemas.error import errors
from jan_server.services.llm_api.schemas.model_prompt_template import (
    AssignmentChanges,
    AssignmentList,
    AssignmentObject,
    AssignmentPage,
    CatalogEffectiveTemplates,
    EffectiveTemplates,
    NewAssignment,
    assignment_members,
    effective_members,
)

router = APIRouter(
    prefix="/v1/admin/models",
    tags=["model prompt templates"],
    dependencies=[Depends(require_admin)],
    responses=errors(400, 401, 403, 404, 429),
)

ModelId = Annotated[str, Path(description="The catalogue's id of the model.")]
NewBody = Annotated[NewAssignment, Depends(body_of(NewAssignment))]
ChangesBody = Annotated[AssignmentChanges, Depends(body_of(AssignmentChanges))]


@router.get(
    "/prompt-templates/list/{model_id:path}",
    summary="List a model's own prompt templates",
    response_model=AssignmentList,
)
async def listed(opened: Open, model_id: ModelId) -> Response:
    """Those of the highest priority first."""
    async with opened.database.session() as session:
        found, total = await assignments.list_assignments(session, model_id)
    return OrjsonResponse({"data": list(map(assignment_members, found)), "total": total})


@router.post(
    "/prompt-templates/assign/{model_id:path}",
    summary="Give a model a prompt template of its own",
    response_model=AssignmentObject,
    openapi_extra=documented(NewAssignment),
)
async def assign(opened: Open, admin: CallerAdmin, model_id: ModelId, body: NewBody) -> Response:
    """It takes the place of the one that the model had for the key."""
    return OrjsonResponse(assignment_members(await _assigned(opened, admin.subject, model_id, body)))


@router.get(
    "/prompt-templates/effective/{model_id:path}",
    summary="Read what a model gets for each key",
    response_model=EffectiveTemplates,
)
async def effective(opened: Open, model_id: ModelId) -> Response:
    """Its own template where it has an active one, else the global one."""
    async with opened.database.session() as session:
        found = await assignments.effective_templates(session, model_id)
    return OrjsonResponse(effective_members(found, own="model_specific", shared="global_default"))


@router.patch(
    "/prompt-templates/update/{template_key}/{model_id:path}",
    summary="Change a model's own prompt template",
    response_model=AssignmentObject,
    openapi_extra=documented(AssignmentChanges),
)
async def change(
    opened: Open, admin: CallerAdmin, template_key: str, model_id: ModelId, body: ChangesBody
) -> Response:
    """What is left out stays."""
    return await _changed(opened, admin.subject, model_id, template_key, body)


@router.delete(
    "/prompt-templates/unassign/{template_key}/{model_id:path}",
    status_code=204,
    summary="Take a prompt template from a model",
    response_class=Response,
)
async def unassign(opened: Open, template_key: str, model_id: ModelId) -> Response:
    """The model uses the global one again."""
    return await _unassigned(opened, model_id, template_key)


@router.get(
    "/catalog-prompt-templates/{model_id:path}/effective",
    summary="Read what a model of the catalogue gets for each key",
    response_model=CatalogEffectiveTemplates,
)
async def catalog_effective(opened: Open, model_id: ModelId) -> Response:
    """Its own template where it has an active one, else the global one."""
    async with opened.database.session() as session:
        found = await assignments.effective_templates(session, model_id)
    return OrjsonResponse(effective_members(found, own="model", shared="global"))


@router.get(
    "/catalog-prompt-templates/{model_id:path}",
    summary="List the own prompt templates of a model of the catalogue",
    response_model=AssignmentPage,
    openapi_extra={
        "parameters": [
            query_parameter("page", "", lenient({"type": "integer", "minimum": 1, "default": 1})),
            query_parameter("limit", "", lenient({"type": "integer", "minimum": 1, "default": 20})),
        ]
    },
)
async def catalog_listed(request: Request, opened: Open, model_id: ModelId) -> Response:
    """Those of the highest priority first. Numbers that are none count as not given."""
    page = lenient_number(request, "page", 1, least=1)
    limit = lenient_number(request, "limit", 20, least=1)
    async with opened.database.session() as session:
        found, total = await assignments.list_assignments(
            session, model_id, limit=limit, offset=(page - 1) * limit
        )
    data = list(map(assignment_members, found))
    return OrjsonResponse({"data": data, "total": total, "page": page, "limit": limit})


@router.post(
    "/catalog-prompt-templates/{model_id:path}",
    status_code=201,
    summary="Give a model of the catalogue a prompt template of its own",
    response_model=AssignmentObject,
    openapi_extra=documented(NewAssignment),
)
async def catalog_assign(opened: Open, admin: CallerAdmin, model_id: ModelId, body: NewBody) -> Response:
    """It takes the place of the one that the model had for the key."""
    made = await _assigned(opened, admin.subject, model_id, body)
    return OrjsonResponse(assignment_members(made), status_code=201)


@router.patch(
    "/catalog-prompt-templates/{model_id:path}/{template_key}",
    summary="Change an own prompt template of a model of the catalogue",
    response_model=AssignmentObject,
    openapi_extra=documented(AssignmentChanges),
)
async def catalog_change(
    opened: Open, admin: CallerAdmin, model_id: ModelId, template_key: str, body: ChangesBody
) -> Response:
    """What is left out stays."""
    return await _changed(opened, admin.subject, model_id, template_key, body)


@router.delete(
    "/catalog-prompt-templates/{model_id:path}/{template_key}",
    status_code=204,
    summary="Take a prompt template from a model of the catalogue",
    response_class=Response,
)
async def catalog_unassign(opened: Open, model_id: ModelId, template_key: str) -> Response:
    """The model uses the global one again."""
    return await _unassigned(opened, model_id, template_key)


async def _assigned(opened: Resources, author: str, model_id: str, body: NewAssignment) -> Assignment:
    async with opened.database.session() as session:
        made = await assignments.assign_template(
            session,
            model_id,
            author=author,
            template_key=body.template_key,
            template_id=body.prompt_template_id,
            priority=body.priority or 0,
            is_active=body.is_active is not False,
        )
    await _refresh(opened)
    return made


async def _changed(
    opened: Resources, author: str, model_id: str, template_key: str, body: AssignmentChanges
) -> Response:
    changes = body.model_dump(exclude_none=True)
    async with opened.database.session() as session:
        changed = await assignments.update_assignment(session, model_id, template_key, changes, author=author)
    await _refresh(opened)
    return OrjsonResponse(assignment_members(changed))


async def _unassigned(opened: Resources, model_id: str, template_key: str) -> Response:
    async with opened.database.session() as session:
        await assignments.remove_assignment(session, model_id, template_key)
    await _refresh(opened)
    return Response(status_code=204)


async def _refresh(opened: Resources) -> None:
    """Let this process use what was changed at once; others hear of it by a notice."""
    if opened.serving.prompts is not None:
        await opened.serving.prompts.registry.refresh()
