"""The routes of editing and regenerating, which a model answers at once where the caller says so.

Source: contract/llm-api.md, section 13.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from jan_server.http.errors import ApiError
from jan_server.http.json_body import OrjsonResponse, parse_json, read_json_object
from jan_server.http.typed_body import documented, parsed
from jan_server.services.llm_api.chat import Chat, with_members
from jan_server.services.llm_api.chat_call import ChatCall
from jan_server.services.llm_api.chat_history import Message
from jan_server.services.llm_api.chat_request import ChatRequest
from jan_server.services.llm_api.conversations import MAIN, Conversation
from jan_server.services.llm_api.member_checks import check_boolean
from jan_server.services.llm_api.prompt_hints import prompt_hints
from jan_server.services.llm_api.regeneration import answer_request, last_model, question_message
from jan_server.services.llm_api.resources import Open, Resources
from jan_server.services.llm_api.revisions import Revision, edit_item, question_of, regenerate_item
from jan_server.services.llm_api.routes.caller import CallerUser
from jan_server.services.llm_api.routes.chat import ChatResponse
from jan_server.services.llm_api.routes.conversations import CallerConversation
from jan_server.services.llm_api.routes.routed import UPSTREAM_ERRORS
from jan_server.services.llm_api.schemas.branch import (
    AnsweredEdit,
    AnsweredRegeneration,
    EditWish,
    ItemEdited,
    ItemRegenerated,
    NewText,
    RegenerationWish,
    branch_members,
    revision_members,
)
from jan_server.services.llm_api.schemas.item import item_members
from jan_server.services.llm_api.users import CurrentUser

router = APIRouter(
    prefix="/v1/conversations/{conversation_id}/items/{item_id}", tags=["branches"], responses=UPSTREAM_ERRORS
)

BACKUP_HEADER = b"x-old-main-backup"
ITEM_HEADER = b"x-user-item-id"

_OWN_MEMBERS = frozenset({"content", "generate", "regenerate"})
"""Members of the body that are no part of a chat request."""

_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The revision; with `generate: true` the answer, or with `stream: true` its chunks.",
        "content": {"text/event-stream": {}},
    }
}


@router.post(
    "/edit",
    summary="Edit a user message",
    response_model=ItemEdited | AnsweredEdit,
    openapi_extra=documented(EditWish),
    responses=_ANSWERS,
)
async def edit(
    request: Request, opened: Open, caller: CallerUser, conversation: CallerConversation, item_id: str
) -> Response:
    """`MAIN` starts anew up to the message, which gets the new text; what came after it is dropped.

    The former `MAIN` stays readable, ids included, under the name in `old_main_backup`; the items
    of the new one have new ids. With `generate: true` a model answers the new text at once.
    """
    body = await read_json_object(request)
    wish = parsed(NewText, body)
    asked = None
    if wish.generate:
        question = {"role": "user", "content": wish.content}
        asked = await _asked(request, opened, caller, conversation, question, body)
    async with opened.database.session() as session:
        revision = await edit_item(session, conversation, item_id, wish.content)
    assert revision.item is not None
    return _response(opened, caller, revision, {"user_item": item_members(revision.item)}, asked)


@router.post(
    "/regenerate",
    summary="Take back an answer",
    response_model=ItemRegenerated | AnsweredRegeneration,
    openapi_extra=documented(RegenerationWish, required=False),
    responses=_ANSWERS,
)
async def regenerate(
    request: Request, opened: Open, caller: CallerUser, conversation: CallerConversation, item_id: str
) -> Response:
    """`MAIN` starts anew up to the question, and the caller asks the model next; a body is ignored.

    With `generate: true` in the body a model answers at once. The former `MAIN` stays readable, ids
    included, under the name in `old_main_backup`; the items of the new one have new ids.
    """
    body = _generating(await request.body())
    asked = None
    if body is not None:
        async with opened.database.session() as session:
            question = question_message(await question_of(session, conversation, item_id))
        asked = await _asked(request, opened, caller, conversation, question, body)
    async with opened.database.session() as session:
        revision = await regenerate_item(session, conversation, item_id)
    assert revision.item is not None
    return _response(opened, caller, revision, {"user_item_id": revision.item.public_id}, asked)


def _generating(raw: bytes) -> dict[str, Any] | None:
    """The body that asks for an answer at once; None for every other body, whatever it holds."""
    try:
        body = parse_json(raw)
    except ApiError:
        return None
    if not isinstance(body, dict) or body.get("generate") is None:
        return None
    check_boolean("generate", body["generate"])
    return body if body["generate"] else None


async def _asked(
    request: Request,
    opened: Resources,
    caller: CurrentUser,
    conversation: Conversation,
    question: Message,
    body: Mapping[str, Any],
) -> ChatRequest:
    """The checked request for an answer; what is wrong with it is told before anything is changed."""
    serving = opened.serving
    parameters = {name: value for name, value in body.items() if name not in _OWN_MEMBERS}
    model = None
    if parameters.get("model") is None:
        await serving.accounting.write()
        async with opened.database.session() as session:
            model = await last_model(session, conversation)
    asked = answer_request(conversation, question, model, parameters)
    await serving.chat.preparation.choose(asked, caller.principal)
    if serving.prompts is not None:
        asked.hints = prompt_hints(request.scope)
    return asked


def _response(
    opened: Resources,
    caller: CurrentUser,
    revision: Revision,
    question: Mapping[str, Any],
    asked: ChatRequest | None,
) -> Response:
    members = {**revision_members(revision), "new_branch": branch_members(revision.main, MAIN), **question}
    if asked is None:
        return OrjsonResponse(members)
    return RevisionResponse(opened.serving.chat, asked, caller, revision, members)


class RevisionResponse(ChatResponse):
    """The answer to the question of a revised conversation: a chat, with what the revision made.

    A whole answer has the revision's members at its end. The chunks of a stream are those of any
    chat: there only the headers, which a whole answer has too, tell of the revision.
    """

    def __init__(
        self,
        chat: Chat,
        chat_request: ChatRequest,
        user: CurrentUser,
        revision: Revision,
        members: dict[str, Any],
    ) -> None:
        raw = orjson.dumps({**chat_request.body, "messages": chat_request.messages})
        super().__init__(chat, chat_request, user, raw)
        self._revision = revision
        self._members = members

    def _whole_answer(self, call: ChatCall, body: bytes) -> bytes:
        return with_members(body, self._members)

    def _told(self, call: ChatCall) -> list[tuple[bytes, bytes]]:
        assert self._revision.item is not None
        return [
            *super()._told(call),
            (BACKUP_HEADER, self._revision.old_main_backup.encode()),
            (ITEM_HEADER, self._revision.item.public_id.encode()),
        ]
