"""Conversation titles: how text becomes one, and when a conversation gets a new one.

Source: contract/llm-api.md, section 7.8 (REC column).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from jan_server.services.llm_api.message_content import text_of

UNTITLED = "New Conversation"
MAXIMUM_LENGTH = 256
LOCK_KEY = "title_locked"
RETITLE_EVERY = 5
"""A titled conversation is titled anew when a request brings 5, 10, 15 … user messages."""

_URL = re.compile(r"(?:https?://|ftp://|www\.)\S*", re.IGNORECASE)
_MARKDOWN_LINK = re.compile(r"\[([^\]]*)\]\([^)]*\)")
_EMAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_SPACES = re.compile(r"\s+")
_PUNCTUATION = ".,!?-'"
# Everything but letters, numbers, white space and that punctuation, in any script.
_DROPPED = re.compile(r"[^\w\s.,!?'-]|_")
_ELLIPSIS = "..."


def clean_title(text: str) -> str:
    """The title that `text` makes: one line of words, at most 256 characters; empty when none are left."""
    text = _URL.sub("", text)
    text = _MARKDOWN_LINK.sub(r"\1", text)
    text = _EMAIL.sub("", text)
    text = _DROPPED.sub("", text)
    text = _SPACES.sub(" ", text).strip().rstrip(" " + _PUNCTUATION)
    if len(text) <= MAXIMUM_LENGTH:
        return text
    text = text[: MAXIMUM_LENGTH - len(_ELLIPSIS)]
    last_space = text.rfind(" ")
    if last_space > (MAXIMUM_LENGTH - len(_ELLIPSIS)) // 2:
        text = text[:last_space]
    return text + _ELLIPSIS


def text_title(messages: Sequence[Mapping[str, Any]]) -> str:
    """The title that the first user message with usable text gives, else `New Conversation`."""
    for message in messages:
        if message.get("role") == "user" and (title := clean_title(text_of(message.get("content")))):
            return title
    return UNTITLED


def is_untitled(title: str | None) -> bool:
    """Whether a stored title counts as none."""
    return not title or title == UNTITLED


def wants_title(
    title: str | None, metadata: Mapping[str, Any] | None, user_messages: int, request_title: str
) -> bool:
    """Whether an answered request gives its conversation a new title.

    Args:
        title: The title that the conversation has.
        metadata: The conversation's metadata; `title_locked` = `"true"` forbids any change.
        user_messages: How many user messages the request itself brought.
        request_title: The text title of this very request.
    """
    if (metadata or {}).get(LOCK_KEY) == "true" or user_messages == 0:
        return False
    if is_untitled(title):
        return True
    if user_messages == 1:
        return title == request_title
    return user_messages % RETITLE_EVERY == 0
