"""Titles written by a model, where the operator asked for that (contract/llm-api.md, section 7.8).

Such a call is one of the caller's: it counts for the same user, key and project, and the limits
of both hold. Its row says what it was for.
"""

from __future__ import annotations

import logging

import orjson

from jan_server.http.errors import ApiError
from jan_server.inference.client import UpstreamClient
from jan_server.services.llm_api import context_window
from jan_server.services.llm_api.accounting import Accounting, MeteredCall
from jan_server.services.llm_api.chat_answer import ChatAnswer, read_answer
from jan_server.services.llm_api.chat_storage import Exchange
from jan_server.services.llm_api.message_content import text_of
from jan_server.services.llm_api.model_registry import ModelRegistry
from jan_server.services.llm_api.models import OfferedModel
from jan_server.services.llm_api.titles import clean_title
from jan_server.services.llm_api.token_counts import TokenCounts, told_counts

logger = logging.getLogger("jan.llm-api.titles")

MAXIMUM_TOKENS = 64
TEMPERATURE = 0.2
SHOWN_CHARACTERS = 4000
"""How much of the exchange the model is shown."""

_INSTRUCTION = (
    "Write a title of at most eight words for this conversation, in its own language. "
    "Answer with the title alone, without quotation marks."
)


class TitleWriter:
    """Asks a model for a title.

    Args:
        registry: Knows the models.
        upstream: Calls providers.
        accounting: Takes down what the calls use.
        model_id: The model that writes titles, by its public or its provider's id; where it is
            not known, the model of the chat writes them.
    """

    def __init__(
        self, registry: ModelRegistry, upstream: UpstreamClient, accounting: Accounting, model_id: str
    ) -> None:
        self._registry = registry
        self._upstream = upstream
        self._accounting = accounting
        self._model_id = model_id

    def _writer(self, chat_model: OfferedModel) -> OfferedModel:
        """The model that writes; of a route its first one, for a title is not worth a second try."""
        found = self._registry.table.find(self._model_id)
        if found is not None and found.route is not None:
            found = found.route.targets[0].model if found.route.targets else None
        return found or chat_model

    async def write(self, chat_model: OfferedModel, exchange: Exchange, answer: ChatAnswer) -> str:
        """A cleaned title; empty when the model failed, may not be called or said nothing usable."""
        model = self._writer(chat_model)
        said = [f"{message['role']}: {text_of(message.get('content'))}" for message in exchange.own]
        said.append(f"assistant: {answer.text}")
        body = {
            "model": model.provider_model_id,
            "messages": [
                {"role": "system", "content": _INSTRUCTION},
                {"role": "user", "content": "\n".join(said)[:SHOWN_CHARACTERS]},
            ],
            "max_tokens": MAXIMUM_TOKENS,
            "temperature": TEMPERATURE,
        }
        conversation = exchange.conversation
        try:
            with MeteredCall(
                self._accounting,
                model,
                user_id=exchange.user_id,
                key_id=exchange.key_id,
                conversation_id=exchange.id,
                project_id=conversation.project_public_id if conversation else None,
                purpose="title",
            ) as meter:
                reply = await self._upstream.complete(model.provider, "/chat/completions", orjson.dumps(body))
                meter.finish(200, told_counts(reply.body) or _estimate(said, reply.body))
        except ApiError as failure:
            logger.info("no title from %s: %s", model.id, failure.message)
            return ""
        return clean_title(read_answer(reply.body).text.strip().partition("\n")[0])


def _estimate(said: list[str], reply: bytes) -> TokenCounts:
    prompt = context_window.text_tokens(_INSTRUCTION + "\n".join(said)[:SHOWN_CHARACTERS])
    return TokenCounts(prompt, context_window.text_tokens(read_answer(reply).text), estimated=True)
