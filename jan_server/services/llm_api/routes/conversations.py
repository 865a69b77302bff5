"""The routes of conversations.

Source: contract/llm-api.md, section 11.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Response
from starlette.requests import Request

from jan_server.http.json_body import OrjsonResponse
from jan_server.http.pagination import page_request
from jan_server.http.typed_body import body_of, documented
from jan_server.services.llm_api import conversations
from jan_server.services.llm_api.conversations import Conversation, find_conversation
from jan_server.services.llm_api.items import append_items
from jan_server.services.llm_api.resources import Open
from jan_server.services.llm_api.routes.caller import CallerUser
from jan_server.services.llm_api.routes.listing import page_parameters, query_parameter, text_filter
from jan_server.services.llm_api.routes.openai_callers import SpeaksOpenAI
from jan_server.services.llm_api.schemas.conversation import (
    ConversationChanges,
    ConversationDeleted,
    ConversationList,
    ConversationObject,
    ConversationsDeleted,
    NewConversation,
    conversation_list,
    conversation_members,
)
from jan_server.services.llm_api.schemas.error import errors
from jan_server.services.llm_api.schemas.new_item import new_items
from jan_server.services.llm_api.schemas.openai_item import openai_conversation_members

router = APIRouter(prefix="/v1/conversations", tags=["conversations"], responses=errors(400, 401))


async def caller_conversation(opened: Open, caller: CallerUser, conversation_id: str) -> Conversation:
    """FastAPI dependency: the caller's conversation of the path, found before a body is looked at."""
    async with opened.database.session() as session:
        return await find_conversation(session, caller.id, conversation_id)


CallerConversation = Annotated[Conversation, Depends(caller_conversation)]


def conversation_answer(conversation: Conversation, *, openai: bool) -> Response:
    """A conversation as the caller reads it."""
    shape = openai_conversation_members if openai else conversation_members
    return OrjsonResponse(shape(conversation))


@router.get(
    "",
    summary="List the caller's conversations",
    response_model=ConversationList,
    openapi_extra=page_parameters(
        query_parameter("referrer", "Only those with this referrer."),
        query_parameter("project_id", "Only those in this project."),
    ),
)
async def listed(request: Request, opened: Open, caller: CallerUser) -> Response:
    """By their last change, the newest first unless `order` says otherwise.

    A conversation that changes while somebody walks through the list moves to its newest end:
    a walk with `order=asc` and `next_cursor` meets every conversation at least once.
    """
    page = page_request(request.query_params)
    referrer = text_filter(request, "referrer")
    project_id = text_filter(request, "project_id")
    async with opened.database.session() as session:
        found = await conversations.list_conversations(
            session, caller.id, page, referrer=referrer, project_id=project_id
        )
    return OrjsonResponse(conversation_list(found))


@router.post(
    "",
    summary="Make a conversation",
    response_model=ConversationObject,
    openapi_extra=documented(NewConversation),
    responses=errors(404, 409),
)
async def create(
    opened: Open,
    caller: CallerUser,
    body: Annotated[NewConversation, Depends(body_of(NewConversation))],
    openai: SpeaksOpenAI,
) -> Response:
    """With its first items, where the body holds some; all of it or nothing."""
    items = new_items(body.items or [], foreign_ids=openai)
    async with opened.database.session() as session:
        conversation = await conversations.create_conversation(
            session,
            caller.id,
            title=body.title,
            metadata=body.metadata,
            referrer=body.referrer,
            project_id=body.project_id,
        )
        if await append_items(session, conversation, items):
            # Items change the time of the last change, which the answer tells.
            conversation = await conversations.find_conversation(session, caller.id, conversation.public_id)
    return conversation_answer(conversation, openai=openai)


@router.delete("", summary="Delete all conversations of the caller", response_model=ConversationsDeleted)
async def delete_all(opened: Open, caller: CallerUser) -> Response:
    """They are out of reach from then on, for their owner too."""
    async with opened.database.session() as session:
        count = await conversations.delete_conversations(session, caller.id)
    return OrjsonResponse({"object": "conversations.deleted", "deleted": True, "deleted_count": count})


@router.get(
    "/{conversation_id}",
    summary="Read a conversation",
    response_model=ConversationObject,
    responses=errors(404),
)
async def read(conversation: CallerConversation, openai: SpeaksOpenAI) -> Response:
    """The conversation without its items."""
    return conversation_answer(conversation, openai=openai)


@router.post(
    "/{conversation_id}",
    summary="Change a conversation",
    response_model=ConversationObject,
    openapi_extra=documented(ConversationChanges),
    responses=errors(404),
)
async def change(
    opened: Open,
    conversation: CallerConversation,
    body: Annotated[ConversationChanges, Depends(body_of(ConversationChanges))],
    openai: SpeaksOpenAI,
) -> Response:
    """What is left out stays as it is."""
    async with opened.database.session() as session:
        conversation = await conversations.update_conversation(
            session,
            conversation,
            title=body.title,
            metadata=body.metadata,
            referrer=body.referrer,
            project_id=body.project_id,
        )
    return conversation_answer(conversation, openai=openai)


@router.delete(
    "/{conversation_id}",
    summary="Delete a conversation",
    response_model=ConversationDeleted,
    responses=errors(404),
)
async def delete(opened: Open, conversation: CallerConversation) -> Response:
    """It is out of reach from then on, for its owner too."""
    async with opened.database.session() as session:
        await conversations.delete_conversation(session, conversation)
    return OrjsonResponse({"id": conversation.public_id, "object": "conversation.deleted", "deleted": True})
