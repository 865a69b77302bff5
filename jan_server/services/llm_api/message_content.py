"""The content of a chat message: a string, or a list of parts.

Beside OpenAI's own parts Jan's clients send tool output and images in the shapes that MCP
servers return; those are brought into OpenAI's shapes here (contract/llm-api.md, section 7.1).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

JSON_PARTS = "[{"
"""How text begins that may be a list of parts written as JSON."""

_TEXT_PARTS = frozenset({"text", "input_text", "output_text", "refusal"})
_JAN_PARTS = frozenset({"tool_result", "image"})
_LISTED_PARTS = frozenset({"text", "image_url", *_JAN_PARTS})


def text_of(content: Any) -> str:
    """All text of `content`: a string as it is, the text parts of a list joined by line breaks."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    return "\n".join(
        part["text"]
        for part in content
        if isinstance(part, dict) and part.get("type") in _TEXT_PARTS and isinstance(part.get("text"), str)
    )


def is_jan_part(part: Mapping[str, Any]) -> bool:
    """Whether a part has a shape that only Jan knows."""
    return part.get("type") in _JAN_PARTS


def parts_in_text(text: str) -> list[dict[str, Any]] | None:
    """The parts that `text` spells out as JSON, or None when it is just text."""
    try:
        parts = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(parts, list) or not all(
        isinstance(part, dict) and part.get("type") in _LISTED_PARTS for part in parts
    ):
        return None
    return openai_parts(parts) or None


def openai_parts(parts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same parts in OpenAI's shapes; empty ones are left out, unknown ones stay as they are."""
    return [shaped for part in parts if (shaped := _openai_part(part)) is not None]


def _openai_part(part: dict[str, Any]) -> dict[str, Any] | None:
    kind = part.get("type")
    if kind == "text":
        return part if part.get("text") else None
    if kind == "tool_result":
        result = part.get("tool_result")
        text = result if isinstance(result, str) else text_of([result]) or text_of(result)
        return {"type": "text", "text": text} if text else None
    if kind == "image":
        url = _image_url(part)
        return {"type": "image_url", "image_url": url} if url else None
    return part


def _image_url(part: Mapping[str, Any]) -> dict[str, Any] | None:
    for member in ("image_url", "image", "url"):
        value = part.get(member)
        if isinstance(value, str) and value:
            return {"url": value}
        if isinstance(value, dict) and value.get("url"):
            return value
    data = part.get("data")
    if isinstance(data, str) and data:
        media_type = part.get("mimeType") or part.get("mime_type") or "image/png"
        return {"url": data if data.startswith("data:") else f"data:{media_type};base64,{data}"}
    return None
