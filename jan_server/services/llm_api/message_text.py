"""The text of a chat message's content, which may be a string or a list of parts."""

from __future__ import annotations

from typing import Any


def text_of(content: Any) -> str:
    """All text of `content`: a string as it is, the text parts of a list joined by line breaks."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    texts = [
        part["text"]
        for part in content
        if isinstance(part, dict) and part.get("type") in _TEXT_PARTS and isinstance(part.get("text"), str)
    ]
    return "\n".join(texts)


_TEXT_PARTS = frozenset({"text", "input_text", "output_text", "refusal"})
