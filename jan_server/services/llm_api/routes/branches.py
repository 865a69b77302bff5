"""The routes of a conversation's branches.

Source: contract/llm-api.md, section 13.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Response

from jan_server.http.json_body import OrjsonResponse
from jan_server.http.typed_body import body_of, documented
from jan_server.services.llm_api.branches import (
    activate_branch,
    create_branch,
    delete_branch,
    find_branch,
    list_branches,
)
from jan_server.services.llm_api.conversations import find_conversation
from jan_server.services.llm_api.resources import Open
from jan_server.services.llm_api.routes.caller import CallerUser
from jan_server.services.llm_api.routes.conversations import CallerConversation
from jan_server.services.llm_api.schemas.branch import (
    BranchActivated,
    BranchList,
    BranchObject,
    NewBranch,
    branch_members,
)
from jan_server.services.llm_api.schemas.error import errors

router = APIRouter(
    prefix="/v1/conversations/{conversation_id}", tags=["branches"], responses=errors(400, 401, 404)
)


@router.get("/branches", summary="List the branches", response_model=BranchList)
async def listed(opened: Open, caller: CallerUser, conversation_id: str) -> Response:
    """`MAIN` first, then in the order of their making."""
    async with opened.database.session() as session:
        conversation = await find_conversation(session, caller.id, conversation_id)
        branches = await list_branches(session, conversation)
    active = conversation.active_branch
    return OrjsonResponse(
        {
            "object": "list",
            "data": [branch_members(branch, active) for branch in branches],
            "active_branch": active,
        }
    )


@router.post(
    "/branches",
    status_code=201,
    summary="Make a branch",
    response_model=BranchObject,
    openapi_extra=documented(NewBranch),
    responses=errors(409),
)
async def create(
    opened: Open,
    conversation: CallerConversation,
    body: Annotated[NewBranch, Depends(body_of(NewBranch))],
) -> Response:
    """The items of the parent up to `fork_from_item_id` are copied into it, under new ids."""
    async with opened.database.session() as session:
        branch = await create_branch(
            session,
            conversation,
            body.name,
            parent=body.parent_branch,
            fork_from_item_id=body.fork_from_item_id,
            description=body.description,
        )
    return OrjsonResponse(branch_members(branch, conversation.active_branch), status_code=201)


@router.get("/branches/{name}", summary="Read a branch", response_model=BranchObject)
async def read(opened: Open, caller: CallerUser, conversation_id: str, name: str) -> Response:
    """`MAIN` is there from the conversation's first moment."""
    async with opened.database.session() as session:
        conversation = await find_conversation(session, caller.id, conversation_id)
        branch = await find_branch(session, conversation, name)
    return OrjsonResponse(branch_members(branch, conversation.active_branch))


@router.delete("/branches/{name}", status_code=204, summary="Delete a branch")
async def delete(opened: Open, caller: CallerUser, conversation_id: str, name: str) -> Response:
    """With its items; neither `MAIN` nor the active branch. One that does not exist is fine."""
    async with opened.database.session() as session:
        conversation = await find_conversation(session, caller.id, conversation_id)
        await delete_branch(session, conversation, name)
    return Response(status_code=204)


@router.post("/branches/{name}/activate", summary="Activate a branch", response_model=BranchActivated)
async def activate(opened: Open, caller: CallerUser, conversation_id: str, name: str) -> Response:
    """Reads and writes go to it from then on, unless they name another."""
    async with opened.database.session() as session:
        conversation = await find_conversation(session, caller.id, conversation_id)
        branch = await activate_branch(session, conversation, name)
    return OrjsonResponse({"active_branch": branch.name, "message": "Branch activated successfully"})
