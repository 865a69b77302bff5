"""Writes exchanges to their conversations, also for callers who are already gone."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace

from jan_server.database.engine import Database
from jan_server.services.llm_api.chat_answer import ChatAnswer
from jan_server.services.llm_api.chat_history import user_messages
from jan_server.services.llm_api.chat_request import ChatRequest, ConversationChoice
from jan_server.services.llm_api.chat_storage import (
    Exchange,
    Interruption,
    begin_exchange,
    new_exchange,
    store_exchange,
)
from jan_server.services.llm_api.exchange_store import ExchangeStore
from jan_server.services.llm_api.metrics import CONVERSATIONS_CREATED
from jan_server.services.llm_api.models import OfferedModel
from jan_server.services.llm_api.refusals import Missing
from jan_server.services.llm_api.title_writer import TitleWriter
from jan_server.services.llm_api.titles import text_title, wants_title

logger = logging.getLogger("jan.llm-api.chat")


class ExchangeWriter:
    """Reads conversations before the model is called and writes them when it has answered.

    Args:
        database: Where conversations are.
        titles: Writes titles with a model; None where titles are made of text.
    """

    def __init__(self, database: Database, titles: TitleWriter | None = None) -> None:
        self._conversations = ExchangeStore(database)
        self._titles = titles
        self._writes: set[asyncio.Task[str | None]] = set()

    async def begin(
        self, user_id: int, request: ChatRequest, choice: ConversationChoice, *, key_id: str = ""
    ) -> Exchange:
        """The exchange that a request is part of; `key_id` is the API key of the caller, if any.

        Raises:
            Invalid: The id has not the form of one.
            Missing: The conversation is unknown or another user's, or it has no such branch.
        """
        if not choice.id:
            return replace(new_exchange(user_id, request, choice), key_id=key_id)
        return replace(await begin_exchange(self._conversations, user_id, request, choice), key_id=key_id)

    async def store(
        self, exchange: Exchange, model: OfferedModel, answer: ChatAnswer, interruption: Interruption = ""
    ) -> str | None:
        """Write an exchange in one transaction, to its end even when the caller leaves meanwhile.

        Args:
            exchange: As it began.
            model: Who answered; it writes the title where no other model is known for that.
            answer: What was said.
            interruption: Why the answer is incomplete; empty when it is complete.

        Returns:
            The conversation's title afterwards.
        """
        return await asyncio.shield(self.store_later(exchange, model, answer, interruption))

    def store_later(
        self, exchange: Exchange, model: OfferedModel, answer: ChatAnswer, interruption: Interruption
    ) -> asyncio.Task[str | None]:
        """The same without waiting for it."""
        task = asyncio.create_task(
            self._store(exchange, model, answer, interruption), name="store an exchange"
        )
        self._writes.add(task)
        task.add_done_callback(self._written)
        return task

    async def close(self) -> None:
        """Wait for what is still being written."""
        await asyncio.gather(*self._writes, return_exceptions=True)

    async def _store(
        self, exchange: Exchange, model: OfferedModel, answer: ChatAnswer, interruption: Interruption
    ) -> str | None:
        title = await self._new_title(exchange, model, answer, interruption)
        try:
            await store_exchange(
                self._conversations, exchange, answer, title=title, interruption=interruption
            )
        except Missing as failure:
            # Deleted while the model spoke: the answer is still the caller's.
            logger.info("an answer was not stored: %s", failure.message)
            return exchange.title
        if exchange.conversation is None:
            CONVERSATIONS_CREATED.inc()
        return title or exchange.title

    async def _new_title(
        self, exchange: Exchange, model: OfferedModel, answer: ChatAnswer, interruption: Interruption
    ) -> str | None:
        from_text = text_title(exchange.own)
        if not wants_title(exchange.title, exchange.metadata, user_messages(exchange.own), from_text):
            return None
        if self._titles is None or interruption:
            return from_text
        return await self._titles.write(model, exchange, answer) or from_text

    def _written(self, task: asyncio.Task[str | None]) -> None:
        self._writes.discard(task)
        if not task.cancelled() and (failure := task.exception()) is not None:
            logger.error("an exchange was not stored: %s", failure)
