"""Prompt orchestration: the server's own part in what a model is told, where the operator wants one.

It gathers what modules need to know of a chat and lets them work on it; everything is at hand in
the process, but the profile of a user who was not seen for long.
Source: contract/llm-api.md, sections 7.2 and 7.6.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy.exc import SQLAlchemyError

from jan_server.database.engine import Database
from jan_server.services.llm_api.chat_request import ChatRequest
from jan_server.services.llm_api.chat_storage import Exchange
from jan_server.services.llm_api.prompt_context import PromptContext
from jan_server.services.llm_api.prompt_hints import memory_lines
from jan_server.services.llm_api.prompt_modules import AppliedModules, PromptSwitches, apply_modules
from jan_server.services.llm_api.prompt_registry import PromptRegistry
from jan_server.services.llm_api.user_profiles import UserProfiles
from jan_server.services.llm_api.user_settings import ProfileSettings

logger = logging.getLogger("jan.llm-api.prompts")

PROFILE_SECONDS = 2.0
"""How long a chat waits for the profile of a user who was not seen for long."""

MEMORY_KEYS = "memory"
"""How keys of a conversation's metadata begin whose values are remembered lines."""


class PromptOrchestration:
    """Adds to chats what the prompt modules have to say.

    Args:
        database: Where templates and settings are stored.
        allowed: Which groups of modules may be active.

    Attributes:
        registry: The templates of this moment.
        profiles: The profile settings of users.
    """

    def __init__(self, database: Database, allowed: PromptSwitches) -> None:
        self.registry = PromptRegistry(database)
        self.profiles = UserProfiles(database)
        self._allowed = allowed

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Keep templates and profiles up to date, while the context lasts."""
        async with self.registry.open(), self.profiles.open():
            yield

    async def apply(
        self, request: ChatRequest, model_id: str, user_id: int, exchange: Exchange | None
    ) -> AppliedModules:
        """What becomes of a chat's messages; the request itself is not changed.

        Args:
            request: The request, with the messages that the model would get.
            model_id: Who answers.
            user_id: The key of the caller's row.
            exchange: The request's place in a conversation; None without one.
        """
        metadata = exchange.metadata if exchange is not None else {}
        kept = [value for name, value in metadata.items() if name.startswith(MEMORY_KEYS)]
        context = PromptContext(
            messages=request.messages,
            tools=request.body.get("tools") or (),
            deep_research=request.deep_research,
            image=request.image,
            instruction=(exchange.instruction if exchange is not None else None) or "",
            profile=await self._profile(user_id),
            memory=(*request.hints.memory, *memory_lines(kept)),
            hints=request.hints,
        )
        return apply_modules(context, model_id, self.registry, self._allowed)

    async def _profile(self, user_id: int) -> ProfileSettings | None:
        """The user's profile; None when it cannot be had now, because a chat does not fail for it."""
        try:
            async with asyncio.timeout(PROFILE_SECONDS):
                return await self.profiles.find(user_id)
        except (SQLAlchemyError, TimeoutError) as failure:
            logger.warning("the profile of user %d is left out: %s", user_id, failure)
            return None
