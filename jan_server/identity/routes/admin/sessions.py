"""The admin API's sessions, and the failed log-ins that make accounts wait."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from jan_server.http.json_body import OrjsonResponse
from jan_server.identity.login_attempts import USER, failures_of, forget_failures
from jan_server.identity.routes.admin.access import MANAGE_USERS, VIEW_USERS, admin_call
from jan_server.identity.sessions import delete_session, end_all_sessions

router = APIRouter(prefix="/admin/realms/{realm}", tags=["admin: sessions"])

_FAILURES = "/attack-detection/brute-force/users"


@router.delete("/sessions/{session_id}", status_code=204)
async def remove_session(request: Request) -> Response:
    """End a session."""
    async with admin_call(request, MANAGE_USERS) as call:
        await delete_session(call.session, call.realm, request.path_params["session_id"])
    return Response(status_code=204)


@router.post("/logout-all")
async def log_everybody_out(request: Request) -> Response:
    """End every session of the realm; tokens issued so far are refused."""
    async with admin_call(request, MANAGE_USERS) as call:
        await end_all_sessions(call.session, call.realm)
        await call.touch()
    return OrjsonResponse({})


@router.get(_FAILURES + "/{user_id}")
async def show_failures(request: Request) -> Response:
    """The failed log-ins of a user, and whether it waits."""
    async with admin_call(request, VIEW_USERS) as call:
        return OrjsonResponse(await failures_of(call.session, call.realm, request.path_params["user_id"]))


@router.delete(_FAILURES + "/{user_id}", status_code=204)
@router.delete(_FAILURES, status_code=204)
async def forget(request: Request) -> Response:
    """Let a user, or everybody, log in again at once."""
    async with admin_call(request, MANAGE_USERS) as call:
        await forget_failures(call.session, call.realm, USER, request.path_params.get("user_id"))
    return Response(status_code=204)
