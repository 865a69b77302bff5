"""The routes of prompt templates: read by everybody, kept by administrators.

Source: contract/llm-api.md, section 18.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import Response

from jan_server.http.json_body import OrjsonResponse
from jan_server.http.typed_body import body_of, documented, optional_body_of
from jan_server.services.llm_api import prompt_templates
from jan_server.services.llm_api.prompt_templates import (
    PromptTemplate,
    find_active_template,
    find_template,
)
from jan_server.services.llm_api.resources import Open, Resources
from jan_server.services.llm_api.routes.caller import CallerAdmin, require_admin
from jan_server.services.llm_api.routes.listing import (
    lenient,
    lenient_flag,
    lenient_number,
    query_parameter,
    text_filter,
)
from jan_server.services.llm_api.schemas.error import errors
from jan_server.services.llm_api.schemas.prompt_template import (
    MAXIMUM_COPY_NAME,
    CopyRequest,
    NewPromptTemplate,
    PromptTemplateAnswer,
    PromptTemplateChanges,
    PromptTemplateList,
    template_list,
    template_members,
)

public_router = APIRouter(prefix="/v1/prompt-templates", tags=["prompt templates"])
router = APIRouter(
    prefix="/v1/admin/prompt-templates",
    tags=["prompt templates"],
    dependencies=[Depends(require_admin)],
    responses=errors(400, 401, 403, 429),
)

COPY = " - Copy"

_FLAG = lenient({"type": "boolean"})


async def template_of_path(opened: Open, _: CallerAdmin, template_id: str) -> PromptTemplate:
    """FastAPI dependency: the template of the path, found before a body is looked at."""
    async with opened.database.session() as session:
        return await find_template(session, template_id)


PathTemplate = Annotated[PromptTemplate, Depends(template_of_path)]


@public_router.get(
    "/{template_key}",
    summary="Read a prompt template by its key",
    response_model=PromptTemplateAnswer,
    responses=errors(404),
)
async def read_public(opened: Open, template_key: str) -> Response:
    """For everybody, without a credential: the oldest active template of the key."""
    async with opened.database.session() as session:
        template = await find_active_template(session, template_key)
    return _answer(template)


@router.get(
    "",
    summary="List prompt templates",
    response_model=PromptTemplateList,
    openapi_extra={
        "parameters": [
            query_parameter("category", ""),
            query_parameter("is_active", "Only those in use, or only the others.", _FLAG),
            query_parameter("is_system", "Only those that came with the program, or only the others.", _FLAG),
            query_parameter("search", "Part of the name, the key or the description, in any case."),
            query_parameter("limit", "", lenient({"type": "integer", "minimum": 1, "default": 20})),
            query_parameter("offset", "", lenient({"type": "integer", "minimum": 0, "default": 0})),
        ]
    },
)
async def listed(request: Request, opened: Open) -> Response:
    """By name. Numbers and flags that are none count as not given."""
    async with opened.database.session() as session:
        found, total = await prompt_templates.list_templates(
            session,
            limit=lenient_number(request, "limit", 20, least=1),
            offset=lenient_number(request, "offset", 0),
            category=text_filter(request, "category"),
            is_active=lenient_flag(request, "is_active"),
            is_system=lenient_flag(request, "is_system"),
            search=text_filter(request, "search"),
        )
    return OrjsonResponse(template_list(found, total))


@router.post(
    "",
    status_code=201,
    summary="Make a prompt template",
    response_model=PromptTemplateAnswer,
    openapi_extra=documented(NewPromptTemplate),
    responses=errors(409),
)
async def create(
    opened: Open, admin: CallerAdmin, body: Annotated[NewPromptTemplate, Depends(body_of(NewPromptTemplate))]
) -> Response:
    """It is active at once. A text under the key of a prompt module has to be a template."""
    async with opened.database.session() as session:
        template = await prompt_templates.create_template(
            session, author=admin.subject, **body.model_dump(exclude_none=True)
        )
    await _refresh(opened)
    return _answer(template, status=201)


@router.get(
    "/{template_id}",
    summary="Read a prompt template",
    response_model=PromptTemplateAnswer,
    responses=errors(404),
)
async def read(template: PathTemplate) -> Response:
    """By its public id; inactive ones included."""
    return _answer(template)


@router.patch(
    "/{template_id}",
    summary="Change a prompt template",
    response_model=PromptTemplateAnswer,
    openapi_extra=documented(PromptTemplateChanges),
    responses=errors(404),
)
async def change(
    opened: Open,
    admin: CallerAdmin,
    template: PathTemplate,
    body: Annotated[PromptTemplateChanges, Depends(body_of(PromptTemplateChanges))],
) -> Response:
    """What is left out stays; `version` grows by one."""
    changes = body.model_dump(exclude_none=True)
    async with opened.database.session() as session:
        template = await prompt_templates.update_template(session, template, changes, author=admin.subject)
    await _refresh(opened)
    return _answer(template)


@router.delete(
    "/{template_id}",
    status_code=204,
    summary="Delete a prompt template",
    response_class=Response,
    responses=errors(404),
)
async def delete(opened: Open, template: PathTemplate) -> Response:
    """Models that had chosen it use the global one again. One that came with the program is 403."""
    async with opened.database.session() as session:
        await prompt_templates.delete_template(session, template)
    await _refresh(opened)
    return Response(status_code=204)


@router.post(
    "/{template_id}/duplicate",
    status_code=201,
    summary="Copy a prompt template",
    response_model=PromptTemplateAnswer,
    openapi_extra=documented(CopyRequest, required=False),
    responses=errors(404),
)
async def duplicate(
    opened: Open,
    admin: CallerAdmin,
    template: PathTemplate,
    body: Annotated[CopyRequest, Depends(optional_body_of(CopyRequest))],
) -> Response:
    """The copy has the same key, and takes effect once the older ones of that key are inactive."""
    name = body.new_name or template.name[: MAXIMUM_COPY_NAME - len(COPY)] + COPY
    async with opened.database.session() as session:
        copy = await prompt_templates.duplicate_template(session, template, author=admin.subject, name=name)
    await _refresh(opened)
    return _answer(copy, status=201)


def _answer(template: PromptTemplate, *, status: int = 200) -> Response:
    return OrjsonResponse({"data": template_members(template)}, status_code=status)


async def _refresh(opened: Resources) -> None:
    """Let this process use what was changed at once; others hear of it by a notice."""
    if opened.serving.prompts is not None:
        await opened.serving.prompts.registry.refresh()
