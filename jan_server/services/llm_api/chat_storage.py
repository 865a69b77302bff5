"""The stored side of a chat: what a conversation gives to an exchange, and what it keeps of it.

A conversation is read before the model is called and written when the answer has ended, each in
one statement; a new one comes into being with that statement, so that a failed call leaves nothing
behind (contract/llm-api.md, section 7.8).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from jan_server.http.ids import is_public_id, public_id
from jan_server.services.llm_api.chat_answer import ChatAnswer
from jan_server.services.llm_api.chat_history import Message, messages_of, new_messages, with_history
from jan_server.services.llm_api.chat_request import ChatRequest, ConversationChoice
from jan_server.services.llm_api.conversations import (
    MAIN,
    Conversation,
    branch_name,
)
from jan_server.services.llm_api.exchange_store import (
    Beginning,
    Continuation,
    ExchangeStore,
    StoredItem,
    Wanted,
)
from jan_server.services.llm_api.item_content import (
    Block,
    image_block,
    text_block,
    tool_calls_block,
)
from jan_server.services.llm_api.items import NewItem
from jan_server.services.llm_api.message_content import text_of
from jan_server.services.llm_api.refusals import Invalid, Missing
from jan_server.services.llm_api.tables import now

TOOL_SERVER = "Jan MCP Server"

Interruption = Literal["", "client_disconnected", "upstream_error"]


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request and its answer, as part of a conversation.

    Attributes:
        user_id: The key of the caller's row.
        choice: What the request says about the conversation.
        own: The messages that the request itself brought.
        id: The conversation's public id, known before a new one exists.
        store: Whether messages and answer are kept.
        store_reasoning: Whether reasoning is kept beside the answer.
        conversation: The conversation as it was read; None when it is to be made.
        items: The newest items of the branch, in their order.
        history: The same as messages.
        instruction: The instruction of the conversation's project, if it has one.
        key_id: The API key of the caller; empty for a token.
    """

    user_id: int
    choice: ConversationChoice
    own: list[Message]
    id: str
    store: bool = True
    store_reasoning: bool = False
    conversation: Conversation | None = None
    items: list[StoredItem] = field(default_factory=list)
    history: list[Message] = field(default_factory=list)
    instruction: str | None = None
    key_id: str = ""

    @property
    def title(self) -> str | None:
        """The title that the conversation has."""
        return self.conversation.title if self.conversation else None

    @property
    def metadata(self) -> Mapping[str, str]:
        """The conversation's metadata."""
        return self.conversation.metadata if self.conversation else {}

    def messages(self) -> list[Message]:
        """The messages that the model gets: the project's instruction, history, the request's own."""
        merged = with_history(self.history, self.own, self.choice.history)
        if not self.instruction or any(
            message["role"] == "system" and message["content"] == self.instruction for message in merged
        ):
            return merged
        return [{"role": "system", "content": self.instruction}, *merged]

    def new_messages(self) -> list[Message]:
        """The request's own messages that the conversation does not hold yet."""
        stored = self.history
        if any(item.type == "mcp_call" for item in self.items):
            stored = messages_of(item for item in self.items if item.type != "mcp_call")
        return new_messages(stored, self.own)


def new_exchange(user_id: int, request: ChatRequest, choice: ConversationChoice) -> Exchange:
    """The exchange that begins a conversation.

    Raises:
        Missing: It is to be on another branch than the first.
    """
    if choice.branch not in (None, MAIN):
        raise Missing(f"branch not found: {choice.branch}", param="conversation.branch")
    return Exchange(
        user_id, choice, request.messages, public_id("conv"), request.store, request.store_reasoning
    )


async def begin_exchange(
    store: ExchangeStore, user_id: int, request: ChatRequest, choice: ConversationChoice
) -> Exchange:
    """Read what the conversation of `choice` gives to the exchange.

    Raises:
        Invalid: `choice.id` has not the form of a conversation id.
        Missing: The conversation is unknown or another user's, or it has no such branch.
    """
    if not is_public_id("conv", choice.id):
        raise Invalid("invalid conversation ID", param="conversation")
    branch = branch_name(choice.branch) if choice.branch else None
    found = await store.read(Wanted(choice.id, user_id, branch))
    if found is None:
        raise Missing("conversation not found", param="conversation")
    if not found.has_branch or (choice.branch and branch is None):
        raise Missing("branch not found", param="branch")
    return Exchange(
        user_id,
        choice,
        request.messages,
        choice.id,
        request.store,
        request.store_reasoning,
        found.conversation,
        found.items,
        messages_of(found.items),
        found.instruction,
    )


async def store_exchange(
    store: ExchangeStore,
    exchange: Exchange,
    answer: ChatAnswer,
    *,
    title: str | None = None,
    interruption: Interruption = "",
) -> None:
    """Write an exchange, all of it or nothing.

    Args:
        store: Where conversations are.
        exchange: As it began.
        answer: What the model said.
        title: The title that the conversation gets; None leaves it.
        interruption: Why the answer is incomplete; empty when it is complete.

    Raises:
        Missing: The conversation or its branch was deleted in the meantime.
    """
    items: list[NewItem] = []
    if exchange.store:
        items = [item_of(message) for message in exchange.new_messages()]
        items += answer_items(answer, store_reasoning=exchange.store_reasoning, interruption=interruption)
    choice = exchange.choice
    if exchange.conversation is None:
        await store.begin(Beginning(exchange.id, exchange.user_id, title, choice.referrer, items))
        return
    # A title that was cut is not the same once it is cleaned again.
    title = None if title == exchange.title else title
    if not items and title is None:
        return
    branch = branch_name(choice.branch) if choice.branch else None
    if not await store.append(Continuation(exchange.conversation, branch, title, items)):
        raise Missing("the conversation or its branch was deleted meanwhile", param="conversation")


def item_of(message: Message) -> NewItem:
    """A request's message as an item."""
    role = message["role"]
    text = text_of(message.get("content"))
    if role in ("tool", "function"):
        call_id = str(message.get("tool_call_id") or "").replace("\0", "") or None
        block = text_block("tool_result", text, tool_call_id=call_id)
        return NewItem(role="tool", content=[block], call_id=call_id, details=_named(message))
    kind = "text" if role == "assistant" else "input_text"
    return NewItem(role=role, content=list(_blocks(message.get("content"), kind)), details=_named(message))


def _named(message: Message) -> dict[str, Any]:
    name = message.get("name")
    return {"name": name} if isinstance(name, str) and name else {}


def _blocks(content: Any, kind: str) -> Iterable[Block]:
    if isinstance(content, str):
        yield text_block(kind, content)
        return
    for part in content if isinstance(content, list) else ():
        block = _block(part, kind)
        if block is not None:
            yield block


def _block(part: Mapping[str, Any], kind: str) -> Block | None:
    part_type = part["type"]
    if part_type == "image_url":
        image = part.get("image_url")
        url = image.get("url") if isinstance(image, dict) else image
        detail = image.get("detail") if isinstance(image, dict) else None
        return image_block(str(url), detail) if url else None
    if part_type in ("input_audio", "file") and isinstance(part.get(part_type), dict):
        return {"type": part_type, part_type: part[part_type]}
    text = text_of([part])
    return text_block(kind, text) if text else None


def answer_items(
    answer: ChatAnswer, *, store_reasoning: bool = False, interruption: Interruption = ""
) -> list[NewItem]:
    """An answer as items: the assistant's message, and an open `mcp_call` for each call it asks for.

    Args:
        answer: What the model said.
        store_reasoning: Whether reasoning is kept beside an answer; alone it always is.
        interruption: Why the answer is incomplete; its calls, which may be cut off, are left out.
    """
    calls = [] if interruption else answer.tool_calls
    blocks: list[Block] = []
    if answer.reasoning and (store_reasoning or not (answer.text or answer.refusal or calls)):
        blocks.append(text_block("reasoning_text", answer.reasoning))
    if answer.text:
        blocks.append(text_block("text", answer.text, finish_reason=answer.finish_reason or None))
    if answer.refusal:
        blocks.append(text_block("refusal", answer.refusal))
    if calls:
        blocks.append(tool_calls_block(list(calls)))
    message = _incomplete(blocks, interruption) if interruption else _complete(blocks, now())
    return [message, *(_open_call(call) for call in calls)]


def _complete(blocks: list[Block], moment: datetime) -> NewItem:
    return NewItem(role="assistant", content=blocks, completed_at=moment)


def _incomplete(blocks: list[Block], reason: str) -> NewItem:
    return NewItem(
        role="assistant",
        content=blocks,
        status="incomplete",
        incomplete_at=now(),
        details={"incomplete_details": {"reason": reason}},
    )


def _open_call(call: Mapping[str, Any]) -> NewItem:
    function = call["function"]
    return NewItem(
        type="mcp_call",
        role="tool",
        status="in_progress",
        call_id=str(call["id"]).replace("\0", ""),
        details={
            "name": function["name"],
            "arguments": function["arguments"],
            "server_label": TOOL_SERVER,
        },
    )
