"""Snapshots: what a public link shows of a conversation, fixed when the link is made.

Everything in a snapshot is named here: a member that an item, a block or an annotation gains one
day does not become public by itself.

Source: contract/llm-api.md, section 15.3.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from sqlmodel.ext.asyncio.session import AsyncSession

from jan_server.http.pagination import PageRequest
from jan_server.services.llm_api.conversations import Conversation
from jan_server.services.llm_api.item_content import Block
from jan_server.services.llm_api.items import Item, find_item, list_items
from jan_server.services.llm_api.refusals import Invalid, Missing
from jan_server.services.llm_api.titles import is_untitled

MAXIMUM_BYTES = 10 * 1024 * 1024
FEWEST_ITEMS = 2
UNTITLED = "Untitled Conversation"

_TITLE_BYTES = 50
_PAGE = 200
_ROLES = frozenset({"user", "assistant", "tool"})
_CITATIONS = frozenset({"url_citation", "file_citation"})
_CITATION_MEMBERS = (
    "type",
    "text",
    "title",
    "url",
    "file_id",
    "filename",
    "quote",
    "index",
    "start_index",
    "end_index",
)


@dataclass(frozen=True, slots=True)
class SharedPart:
    """Which part of a conversation is shown, and how much of it.

    Attributes:
        item_id: The public id of the one answer that is shown; None for the whole branch.
        branch: The name of the branch; None for the active one.
        title: What the share is called; None takes it from the conversation.
        include_images: Whether images are shown.
        include_context_messages: Whether an answer is shown with the question before it.
    """

    item_id: str | None = None
    branch: str | None = None
    title: str | None = None
    include_images: bool = False
    include_context_messages: bool = False


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a public link shows.

    Attributes:
        title: What the share is called.
        model_name: The model that the conversation's metadata name; empty when they name none.
        assistant_name: The assistant, likewise.
        items: The items as they travel.
    """

    title: str
    model_name: str
    assistant_name: str
    items: list[dict[str, Any]]


async def take_snapshot(session: AsyncSession, conversation: Conversation, part: SharedPart) -> Snapshot:
    """What a link to `part` of a conversation shows.

    Args:
        session: The open transaction.
        conversation: A conversation whose row is locked, so that its branches hold still.
        part: What is shared of it.

    Raises:
        Invalid: There are fewer than two items, nothing that may be shown, or more than 10 MiB
            of it; or the item is no completed answer.
        Missing: There is no such branch, or no such item in it.
    """
    await _refuse_short(session, conversation, part.branch)
    if part.item_id is None:
        items = await _conversation_items(session, conversation, part)
    else:
        items = await _answer_items(session, conversation, part, part.item_id)
    if not items:
        raise Invalid("nothing in it can be shown publicly", param="scope")
    return Snapshot(
        title=part.title or await _title(session, conversation, part.branch),
        model_name=conversation.metadata.get("model", ""),
        assistant_name=conversation.metadata.get("assistant", ""),
        items=items,
    )


async def _refuse_short(session: AsyncSession, conversation: Conversation, branch: str | None) -> None:
    page = await list_items(session, conversation, PageRequest(limit=FEWEST_ITEMS), branch=branch)
    if len(page.items) < FEWEST_ITEMS:
        raise Invalid(f"conversation must have at least {FEWEST_ITEMS} items to share", param="branch")


async def _conversation_items(
    session: AsyncSession, conversation: Conversation, part: SharedPart
) -> list[dict[str, Any]]:
    shown = []
    size = 0
    async for item in _branch_items(session, conversation, part.branch):
        if item.role not in _ROLES or item.type == "mcp_call":
            continue
        if (public := public_item(item, images=part.include_images)) is not None:
            size += len(orjson.dumps(public))
            _refuse_large(size)
            shown.append(public)
    return shown


async def _answer_items(
    session: AsyncSession, conversation: Conversation, part: SharedPart, item_id: str
) -> list[dict[str, Any]]:
    target = await find_item(session, conversation, item_id)
    if not await _is_in_branch(session, conversation, target, part.branch):
        raise Missing("item not found in the branch", param="item_id")
    if target.role != "assistant" or target.status != "completed":
        raise Invalid("only a completed assistant item can be shared", param="item_id")
    answer = public_item(target, images=part.include_images)
    if answer is None:
        return []
    shown = [answer]
    if part.include_context_messages:
        question = await _question_before(session, conversation, target)
        if question and (context := public_item(question, images=part.include_images)) is not None:
            shown = [context, answer]
    _refuse_large(len(orjson.dumps(shown)))
    return shown


async def _is_in_branch(
    session: AsyncSession, conversation: Conversation, item: Item, branch: str | None
) -> bool:
    page = PageRequest(limit=1, order="asc", offset=item.sequence_number - 1)
    found = (await list_items(session, conversation, page, branch=branch)).items
    return bool(found) and found[0].public_id == item.public_id


async def _question_before(session: AsyncSession, conversation: Conversation, item: Item) -> Item | None:
    """The nearest user item before `item` in its branch."""
    after = item.public_id
    while True:
        page = await list_items(
            session, conversation, PageRequest(limit=_PAGE, after=after), branch=item.branch
        )
        for earlier in page.items:
            if earlier.role == "user":
                return earlier
        if not page.has_more:
            return None
        after = page.items[-1].public_id


async def _title(session: AsyncSession, conversation: Conversation, branch: str | None) -> str:
    if conversation.title and not is_untitled(conversation.title):
        return conversation.title
    async for item in _branch_items(session, conversation, branch):
        if item.role == "user" and (text := " ".join(item.text.split())):
            return _beginning(text)
    return UNTITLED


def _beginning(text: str) -> str:
    """The first 50 bytes of a text, whole characters only, and an ellipsis where it goes on."""
    whole = text.encode()
    if len(whole) <= _TITLE_BYTES:
        return text
    return whole[:_TITLE_BYTES].decode(errors="ignore").rstrip() + "..."


async def _branch_items(
    session: AsyncSession, conversation: Conversation, branch: str | None
) -> AsyncIterator[Item]:
    """The items of a branch from the oldest on, read bit by bit: a long one may be left early."""
    offset = 0
    while True:
        page = await list_items(
            session, conversation, PageRequest(limit=_PAGE, order="asc", offset=offset), branch=branch
        )
        for item in page.items:
            yield item
        if not page.has_more:
            return
        offset += _PAGE


def _refuse_large(size: int) -> None:
    if size > MAXIMUM_BYTES:
        raise Invalid(
            f"what would be shown has more than {MAXIMUM_BYTES // 1024 // 1024} MiB; "
            "share one answer, or leave images out",
            param="scope",
        )


def public_item(item: Item, *, images: bool) -> dict[str, Any] | None:
    """An item as the public sees it; None when nothing of it is for the public.

    Args:
        item: The item.
        images: Whether images are shown.
    """
    content = [
        block for stored in item.content if (block := _public_block(stored, images=images)) is not None
    ]
    if not content:
        return None
    shown: dict[str, Any] = {"id": item.public_id, "type": item.type, "role": item.role, "content": content}
    if item.call_id and item.role == "tool":
        shown["call_id"] = item.call_id
    shown["created_at"] = int(item.created_at.timestamp())
    return shown


def _public_block(block: Block, *, images: bool) -> dict[str, Any] | None:
    kind = block.get("type")
    if kind == "image" and not images:
        return None
    make = _PUBLIC_BLOCKS.get(kind) if isinstance(kind, str) else None
    if make is None:
        return None
    shown = {"type": kind, **make(block)}
    if isinstance(call_id := block.get("tool_call_id"), str):
        shown["tool_call_id"] = call_id
    return shown


def _named_text(block: Block) -> dict[str, Any]:
    kind = block["type"]
    return {kind: block[kind]}


def _reasoning(block: Block) -> dict[str, Any]:
    return {"text": block["reasoning_text"]}


def _output_text(block: Block) -> dict[str, Any]:
    given = block["output_text"]
    annotations = [
        _members(annotation, _CITATION_MEMBERS)
        for annotation in given.get("annotations") or ()
        if annotation.get("type") in _CITATIONS
    ]
    return {"output_text": {"text": given["text"], "annotations": annotations}}


def _file(block: Block) -> dict[str, Any]:
    file = block["file"]
    shown = _members(file, ("file_id", "mime_type", "name"))
    if "name" not in shown and isinstance(name := file.get("filename"), str):
        shown["name"] = name
    return {"file_ref": shown}


def _image(block: Block) -> dict[str, Any]:
    return {"image": _members(block["image"], ("url", "file_id", "detail"))}


def _tool_calls(block: Block) -> dict[str, Any]:
    calls: Sequence[Mapping[str, Any]] = block["tool_calls"]
    return {
        "tool_calls": [
            {**_members(call, ("id", "type")), "function": _members(call["function"], ("name", "arguments"))}
            for call in calls
        ]
    }


def _members(value: Mapping[str, Any], names: Sequence[str]) -> dict[str, str | int | float]:
    """Those of the named members that are plain texts or numbers."""
    return {name: value[name] for name in names if isinstance(value.get(name), str | int | float)}


_PUBLIC_BLOCKS: Mapping[str, Callable[[Block], dict[str, Any]]] = {
    "text": _named_text,
    "input_text": _named_text,
    "tool_result": _named_text,
    "mcp_call": _named_text,
    "output_text": _output_text,
    "reasoning_text": _reasoning,
    "file": _file,
    "image": _image,
    "tool_calls": _tool_calls,
}
"""The kinds of blocks that become public, each with what is shown of it."""
