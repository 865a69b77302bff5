"""Content blocks as OpenAI's Conversations API shows them: the text under `text`, members beside `type`.

Source: the types of OpenAI's Python package, `openai.types.conversations.message`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from jan_server.services.llm_api.item_content import Block

Shown = dict[str, Any]

_REASONING = frozenset({"reasoning_text", "thinking", "text"})


def openai_content(blocks: Iterable[Block], role: str | None) -> list[Shown]:
    """The blocks of a message by `role`; calls are left out, because they are items of their own."""
    return [
        _SHOWN[kind](block, role) if (kind := str(block.get("type"))) in _SHOWN else dict(block)
        for block in blocks
        if block.get("type") != "tool_calls"
    ]


def openai_reasoning(blocks: Iterable[Block]) -> list[Shown]:
    """The blocks of a reasoning item."""
    return [_named("reasoning_text", block) for block in blocks if block.get("type") in _REASONING]


def _named(kind: str, block: Block) -> Shown:
    return {"type": kind, "text": block[block["type"]]}


def _text(block: Block, role: str | None) -> Shown:
    if role == "assistant":
        return {**_named("output_text", block), "annotations": []}
    return _named("input_text", block)


def _output_text(block: Block, role: str | None) -> Shown:
    given = block["output_text"]
    return {"type": "output_text", "text": given["text"], "annotations": given.get("annotations") or []}


def _refusal(block: Block, role: str | None) -> Shown:
    return {"type": "refusal", "refusal": block["refusal"]}


def _image(block: Block, role: str | None) -> Shown:
    image: Mapping[str, Any] = block["image"]
    return {
        "type": "input_image",
        "detail": image.get("detail") or "auto",
        "file_id": image.get("file_id"),
        "image_url": image.get("url"),
    }


def _file(block: Block, role: str | None) -> Shown:
    file: Mapping[str, Any] = block["file"]
    given = {
        "file_id": file.get("file_id"),
        "file_data": file.get("file_data"),
        "file_url": file.get("file_url") or file.get("url"),
        "filename": file.get("filename") or file.get("name"),
        "detail": file.get("detail"),
    }
    return {"type": "input_file", **{name: value for name, value in given.items() if value is not None}}


def _screenshot(block: Block, role: str | None) -> Shown:
    given: Mapping[str, Any] = block["computer_screenshot"]
    screenshot = {"detail": "auto", "file_id": None, "image_url": None}
    return {"type": "computer_screenshot", **screenshot, **given}


def _as(kind: str) -> Callable[[Block, str | None], Shown]:
    return lambda block, role: _named(kind, block)


_SHOWN: Mapping[str, Callable[[Block, str | None], Shown]] = {
    "text": _text,
    "input_text": _as("input_text"),
    "output_text": _output_text,
    "reasoning_text": _as("reasoning_text"),
    "thinking": _as("reasoning_text"),
    "summary_text": _as("summary_text"),
    "tool_result": _as("text"),
    "mcp_call": _as("text"),
    "code": _as("text"),
    "refusal": _refusal,
    "image": _image,
    "file": _file,
    "computer_screenshot": _screenshot,
}
"""The kinds of blocks that OpenAI shows in another way; those that it does not have stay as they are."""
