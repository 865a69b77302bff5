"""The routes of a conversation's items.

Source: contract/llm-api.md, section 12.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Response
from starlette.requests import Request

from jan_server.http.json_body import OrjsonResponse
from jan_server.http.pagination import page_request
from jan_server.http.typed_body import body_of, documented
from jan_server.services.llm_api.call_outcomes import complete_call
from jan_server.services.llm_api.conversations import find_conversation
from jan_server.services.llm_api.item_removal import remove_item
from jan_server.services.llm_api.items import (
    ItemPage,
    append_items,
    find_item,
    list_items,
)
from jan_server.services.llm_api.resources import Open
from jan_server.services.llm_api.revisions import delete_item
from jan_server.services.llm_api.routes.caller import CallerUser
from jan_server.services.llm_api.routes.conversations import CallerConversation, conversation_answer
from jan_server.services.llm_api.routes.listing import page_parameters, query_parameter
from jan_server.services.llm_api.routes.openai_callers import SpeaksOpenAI
from jan_server.services.llm_api.schemas.branch import ItemDeleted, revision_members
from jan_server.services.llm_api.schemas.conversation import ConversationObject
from jan_server.services.llm_api.schemas.error import errors
from jan_server.services.llm_api.schemas.item import (
    CallOutcome,
    ItemList,
    ItemObject,
    item_list,
    item_members,
)
from jan_server.services.llm_api.schemas.new_item import NewItems, new_items
from jan_server.services.llm_api.schemas.openai_item import (
    OpenAIItem,
    OpenAIItemList,
    openai_item_list,
    openai_item_members,
)

PAGE_MAXIMUM = 100

router = APIRouter(
    prefix="/v1/conversations/{conversation_id}/items", tags=["items"], responses=errors(400, 401, 404)
)


@router.get(
    "",
    summary="List the items of a branch",
    response_model=ItemList | OpenAIItemList,
    openapi_extra=page_parameters(
        query_parameter("branch", "The active branch by default."), maximum=PAGE_MAXIMUM
    ),
)
async def listed(
    request: Request, opened: Open, caller: CallerUser, conversation_id: str, openai: SpeaksOpenAI
) -> Response:
    """In the order of their numbers, the newest first unless `order` says otherwise."""
    page = page_request(request.query_params, maximum=PAGE_MAXIMUM)
    branch = request.query_params.get("branch") or None
    async with opened.database.session() as session:
        conversation = await find_conversation(session, caller.id, conversation_id)
        found = await list_items(session, conversation, page, branch=branch)
    return _list_answer(found, openai=openai)


@router.post(
    "",
    summary="Append items",
    response_model=ItemList | OpenAIItemList,
    openapi_extra=documented(NewItems),
    responses=errors(409),
)
async def append(
    opened: Open,
    conversation: CallerConversation,
    body: Annotated[NewItems, Depends(body_of(NewItems))],
    openai: SpeaksOpenAI,
) -> Response:
    """To the active branch, in the given order; all of them or none."""
    wanted = new_items(body.items, foreign_ids=openai)
    async with opened.database.session() as session:
        items = await append_items(session, conversation, wanted)
    return _list_answer(ItemPage(items, has_more=False), openai=openai)


@router.get("/{item_id}", summary="Read an item", response_model=ItemObject | OpenAIItem)
async def read(
    opened: Open, caller: CallerUser, conversation_id: str, item_id: str, openai: SpeaksOpenAI
) -> Response:
    """In whichever branch it lies."""
    async with opened.database.session() as session:
        conversation = await find_conversation(session, caller.id, conversation_id)
        item = await find_item(session, conversation, item_id)
    return OrjsonResponse(openai_item_members(item) if openai else item_members(item))


@router.delete(
    "/{item_id}",
    summary="Delete an item and all after it",
    response_model=ItemDeleted | ConversationObject,
)
async def delete(
    opened: Open, caller: CallerUser, conversation_id: str, item_id: str, openai: SpeaksOpenAI
) -> Response:
    """`MAIN` ends before the item, and the items that stay keep their ids.

    The former `MAIN` stays readable under the name in `old_main_backup`. With `X-Stainless-Lang`
    the item alone is deleted, for good, and the answer is the conversation.
    """
    async with opened.database.session() as session:
        conversation = await find_conversation(session, caller.id, conversation_id)
        if openai:
            return conversation_answer(await remove_item(session, conversation, item_id), openai=True)
        revision = await delete_item(session, conversation, item_id)
    return OrjsonResponse({**revision_members(revision), "deleted": True})


@router.patch(
    "/by-call-id/{call_id:path}",
    summary="Complete a tool call",
    response_model=ItemObject,
    openapi_extra=documented(CallOutcome),
)
async def complete(
    opened: Open,
    conversation: CallerConversation,
    call_id: str,
    body: Annotated[CallOutcome, Depends(body_of(CallOutcome))],
) -> Response:
    """Write what came of an `mcp_call` into its item."""
    async with opened.database.session() as session:
        item = await complete_call(
            session,
            conversation,
            call_id,
            status=body.status,
            output=body.output,
            error=body.error,
            name=body.name,
            arguments=body.arguments,
            server_label=body.server_label,
        )
    return OrjsonResponse(item_members(item))


def _list_answer(page: ItemPage, *, openai: bool) -> Response:
    return OrjsonResponse(openai_item_list(page) if openai else item_list(page))
