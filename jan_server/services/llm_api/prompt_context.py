"""What prompt modules know of one chat: its messages, tools and flags, who asks, and what is remembered."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from jan_server.services.llm_api.chat_history import Message
from jan_server.services.llm_api.message_content import text_of
from jan_server.services.llm_api.prompt_hints import NO_HINTS, PromptHints
from jan_server.services.llm_api.user_settings import ProfileSettings

LOOKED_AT = 1500
"""How many characters of a question are looked at for its wording."""

_WORD = re.compile(r"[a-z][a-z+#]*")


@dataclass(frozen=True)
class PromptContext:
    """One chat, as modules see it.

    Attributes:
        messages: What the model would get without any module.
        tools: The definitions of the request's tools.
        deep_research: Whether the request asks for it.
        image: Whether the request says that it is about images.
        instruction: The instruction of the conversation's project; empty without one.
        profile: What the user chose of the profile settings, if anything.
        memory: Remembered lines.
        hints: What the request says beside its body.
    """

    messages: Sequence[Message]
    tools: Sequence[Mapping[str, Any]] = ()
    deep_research: bool = False
    image: bool = False
    instruction: str = ""
    profile: ProfileSettings | None = None
    memory: Sequence[str] = ()
    hints: PromptHints = NO_HINTS

    @cached_property
    def question(self) -> str:
        """The text of the last user message; empty without one."""
        for message in reversed(self.messages):
            if message["role"] == "user":
                return text_of(message.get("content"))
        return ""

    @cached_property
    def wording(self) -> str:
        """The beginning of the question in small letters: it shows what the question is about."""
        return self.question[:LOOKED_AT].lower()

    @cached_property
    def words(self) -> frozenset[str]:
        """The words of the beginning of the question."""
        return frozenset(_WORD.findall(self.wording))

    @property
    def has_tool_results(self) -> bool:
        """Whether a tool has answered in this chat."""
        return any(message["role"] == "tool" for message in self.messages)
