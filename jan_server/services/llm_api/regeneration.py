"""Regeneration: the chat request that has the question of a revised conversation answered at once.

It is the request that a client would send next: it goes the way of every chat, from the conversation's
history to what is stored.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select
from sqlmodel.ext.asyncio.session import AsyncSession

from jan_server.database.statements import execute
from jan_server.services.llm_api.chat_history import HistoryItem, Message, messages_of
from jan_server.services.llm_api.chat_request import ChatRequest, parse_chat_request
from jan_server.services.llm_api.conversations import MAIN, Conversation
from jan_server.services.llm_api.refusals import Invalid
from jan_server.services.llm_api.tables.token_usage import TOKEN_USAGE

MODEL_KEY = "model"
"""The member of a conversation's metadata in which clients keep the name of its model."""

_ANSWERED = (200, 499)
"""What calls came to that gave an answer: the whole of it, or a part until the caller left."""


async def last_model(session: AsyncSession, conversation: Conversation) -> str | None:
    """The model that answered last in a conversation, else the one that its metadata names."""
    statement = (
        select(TOKEN_USAGE.c.model)
        .where(
            TOKEN_USAGE.c.conversation_id == conversation.public_id,
            TOKEN_USAGE.c.purpose.is_(None),
            TOKEN_USAGE.c.status.in_(_ANSWERED),
        )
        .order_by(TOKEN_USAGE.c.created_at.desc())
        .limit(1)
    )
    answered: str | None = (await execute(session, statement)).scalar_one_or_none()
    return answered or conversation.metadata.get(MODEL_KEY)


def question_message(question: HistoryItem) -> Message:
    """A stored question as the message that asks it again.

    Raises:
        Invalid: It holds nothing that a model can be asked.
    """
    messages = messages_of([question])
    if not messages:
        raise Invalid("the question holds nothing that a model can be asked", param="item_id")
    return messages[0]


def answer_request(
    conversation: Conversation, question: Message, model: str | None, parameters: Mapping[str, Any]
) -> ChatRequest:
    """The request that asks the last question of `MAIN`, as history knows it: only its answer is new.

    Args:
        conversation: Where it is asked.
        question: The question.
        model: Who is asked, where the parameters name nobody.
        parameters: Further members of a chat request.

    Raises:
        Invalid: A member is wrong, or must not be given, or there is no model; `param` names it.
    """
    for name in ("messages", "conversation"):
        if parameters.get(name) is not None:
            raise Invalid(f"{name} must be left out: the question is the conversation's own", param=name)
    body = {
        **parameters,
        "model": parameters.get("model") or model,
        "messages": [{"role": "user", "content": ""}],
        "conversation": {"id": conversation.public_id, "branch": MAIN},
    }
    request = parse_chat_request(body)
    # What is stored was read already: a text that looks like JSON stays the text that it is there.
    request.messages = [question]
    return request
