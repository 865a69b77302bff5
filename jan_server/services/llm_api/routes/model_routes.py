"""The routes with which administrators keep routes of models: aliases, weighted groups and fallbacks."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import Response

from jan_server.http.errors import invalid_request
from jan_server.http.json_body import OrjsonResponse
from jan_server.http.pagination import page_request
from jan_server.http.typed_body import body_of, documented
from jan_server.services.llm_api.model_routes import (
    RouteSpec,
    create_route,
    delete_route,
    find_route,
    list_routes,
    route_object,
    update_route,
)
from jan_server.services.llm_api.resources import Open
from jan_server.services.llm_api.routes.caller import require_admin
from jan_server.services.llm_api.routes.listing import flag_filter, query_parameter, text_filter
from jan_server.services.llm_api.schemas.error import errors
from jan_server.services.llm_api.schemas.model_route import (
    ModelRouteChanges,
    ModelRouteInfo,
    ModelRouteList,
    NewModelRoute,
)

router = APIRouter(
    prefix="/v1/admin/models/routes",
    tags=["model administration"],
    dependencies=[Depends(require_admin)],
    responses=errors(400, 401, 403),
)


@router.get(
    "",
    summary="List the routes of models",
    response_model=ModelRouteList,
    openapi_extra={
        "parameters": [
            query_parameter("limit", "", {"type": "integer", "minimum": 1, "default": 20}),
            query_parameter("offset", "", {"type": "integer", "minimum": 0}),
            query_parameter("order", "", {"type": "string", "enum": ["asc", "desc"], "default": "desc"}),
            query_parameter("search", "Part of a name, in any case."),
            query_parameter("active", "", {"type": "boolean"}),
        ]
    },
)
async def listed_model_routes(request: Request, opened: Open) -> Response:
    """By age, the newest first unless `order` says otherwise."""
    page = page_request(request.query_params)
    if page.after is not None:
        raise invalid_request("this list has no cursors; use offset", param="after")
    async with opened.database.session() as session:
        rows, total = await list_routes(
            session, page, search=text_filter(request, "search"), active=flag_filter(request, "active")
        )
    return OrjsonResponse({"data": list(map(route_object, rows)), "total": total, "limit": page.limit})


@router.post(
    "",
    summary="Create a route of models",
    status_code=201,
    response_model=ModelRouteInfo,
    openapi_extra=documented(NewModelRoute),
    responses=errors(409),
)
async def create_model_route(
    opened: Open, body: Annotated[NewModelRoute, Depends(body_of(NewModelRoute))]
) -> Response:
    """Clients may use its name as `model` at once."""
    given = body.model_dump()
    spec = RouteSpec(
        name=given["name"],
        targets=tuple(given["targets"]),
        description=given["description"],
        fallback_on=tuple(given["fallback_on"]),
        active=given["active"],
    )
    async with opened.database.session() as session:
        shown = route_object(await create_route(session, spec))
    await opened.serving.registry.refresh()
    return OrjsonResponse(shown, 201)


@router.get(
    "/{route_public_id}",
    summary="Read a route of models",
    response_model=ModelRouteInfo,
    responses=errors(404),
)
async def read_model_route(opened: Open, route_public_id: str) -> Response:
    """Its id is `rte_…`."""
    async with opened.database.session() as session:
        return OrjsonResponse(route_object(await find_route(session, route_public_id)))


@router.patch(
    "/{route_public_id}",
    summary="Change a route of models",
    response_model=ModelRouteInfo,
    openapi_extra=documented(ModelRouteChanges),
    responses=errors(404, 409),
)
async def change_model_route(
    opened: Open,
    route_public_id: str,
    body: Annotated[ModelRouteChanges, Depends(body_of(ModelRouteChanges))],
) -> Response:
    """What is left out stays; `targets` and `fallback_on` are replaced as a whole."""
    async with opened.database.session() as session:
        row = await find_route(session, route_public_id)
        shown = route_object(await update_route(session, row, body.model_dump(exclude_unset=True)))
    await opened.serving.registry.refresh()
    return OrjsonResponse(shown)


@router.delete(
    "/{route_public_id}", summary="Remove a route of models", status_code=204, responses=errors(404, 409)
)
async def delete_model_route(opened: Open, route_public_id: str) -> Response:
    """Its name is free again; the models behind it stay."""
    async with opened.database.session() as session:
        await delete_route(session, await find_route(session, route_public_id))
    await opened.serving.registry.refresh()
    return Response(status_code=204)
