"""History: how a conversation's stored items and a request's messages become one exchange.

Stored items precede the new messages unless the request carries them already; results of tool
calls always find the turn that asked for them (contract/llm-api.md, section 7.2).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

import orjson

from jan_server.services.llm_api.chat_request import History
from jan_server.services.llm_api.media_client import is_media_id
from jan_server.services.llm_api.message_content import text_of

Message = dict[str, Any]


class HistoryItem(Protocol):
    """What history asks of a stored item (see `items.Item`)."""

    @property
    def type(self) -> str:
        """What kind of item it is."""

    @property
    def role(self) -> str | None:
        """Who said it."""

    @property
    def call_id(self) -> str | None:
        """The tool call that it belongs to."""

    @property
    def content(self) -> Sequence[Mapping[str, Any]]:
        """The content blocks."""

    @property
    def details(self) -> Mapping[str, Any]:
        """The further members."""

    @property
    def text(self) -> str:
        """The text of all its blocks."""


_SPOKEN = frozenset({"system", "developer", "user", "assistant", "critic", "discriminator", "unknown"})
_CALLS = frozenset({"function_call", "custom_tool_call"})
_RESULTS = frozenset({"function_call_output", "custom_tool_call_output"})


def messages_of(items: Iterable[HistoryItem]) -> list[Message]:
    """Stored items as chat messages; items that are no part of the talk are left out.

    Calls that are items of their own become part of the assistant's turn that they follow, so that
    calls side by side are one turn.
    """
    messages: list[Message] = []
    asked: set[str] = set()
    for item in items:
        if item.type in _CALLS:
            # A call may be told twice: within the assistant's message, and as an item.
            if (call := _call(item)) is not None and call["id"] not in asked:
                _add_call(messages, call)
                asked.add(call["id"])
        elif (message := _message(item)) is not None:
            messages.append(message)
            if "tool_calls" in message:
                asked.update(_call_ids([message]))
    return messages


def _call(item: HistoryItem) -> dict[str, Any] | None:
    """The call that an item stands for, in OpenAI's shape; None where it does not say which."""
    if not item.call_id or not (name := item.details.get("name")):
        return None
    details = item.details
    arguments = details.get("arguments") or "{}"
    if item.type == "custom_tool_call":
        # Models are told of it as a function: most of them know no other tools.
        arguments = orjson.dumps({"input": details.get("input") or ""}).decode()
    return {"id": item.call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


def _add_call(messages: list[Message], call: Mapping[str, Any]) -> None:
    last = messages.pop() if messages and messages[-1]["role"] == "assistant" else None
    turn = last or {"role": "assistant", "content": None}
    messages.append({**turn, "tool_calls": [*turn.get("tool_calls", ()), call]})


def _message(item: HistoryItem) -> Message | None:
    if item.type == "message":
        return _spoken(item)
    if item.type == "mcp_call":
        return _call_result(item)
    if item.type in _RESULTS:
        return {"role": "tool", "tool_call_id": item.call_id or "", "content": _output(item)}
    return None


def _spoken(item: HistoryItem) -> Message | None:
    if item.role == "assistant":
        return _assistant(item)
    if item.role == "tool":
        return {"role": "tool", "tool_call_id": item.call_id or "", "content": item.text}
    if item.role not in _SPOKEN:
        return None
    content = _content(item.content)
    role = item.role if item.role in ("system", "developer") else "user"
    return {"role": role, "content": content} if content else None


def _assistant(item: HistoryItem) -> Message | None:
    text = item.text or None
    calls = [call for call in item.details.get("tool_calls") or () if call.get("id")]
    if calls:
        return {"role": "assistant", "content": text, "tool_calls": calls}
    return {"role": "assistant", "content": text} if text else None


def _call_result(item: HistoryItem) -> Message | None:
    for block in item.content:
        if block.get("type") == "mcp_call" and isinstance(block.get("mcp_call"), str):
            return {"role": "tool", "tool_call_id": item.call_id or "", "content": block["mcp_call"]}
    return None


def _output(item: HistoryItem) -> str:
    """What a tool gave back, as text: that is all that a chat's tool message holds."""
    output = item.details.get("output")
    if output is None:
        return item.text
    return orjson.dumps(output).decode() if isinstance(output, Mapping) else text_of(output)


def _content(blocks: Sequence[Mapping[str, Any]]) -> str | list[dict[str, Any]]:
    parts = [part for block in blocks if (part := _part(block)) is not None]
    if all(part["type"] == "text" for part in parts):
        return "\n".join(part["text"] for part in parts)
    return parts


def _part(block: Mapping[str, Any]) -> dict[str, Any] | None:
    kind = str(block.get("type"))
    value = block.get(kind)
    if isinstance(value, str):
        return {"type": "text", "text": value} if value else None
    if kind == "image" and isinstance(value, Mapping):
        # A file that is a medium can be shown; other files are their client's own business.
        url = value.get("url") or (value.get("file_id") if is_media_id(value.get("file_id")) else None)
        if url is None:
            return None
        image = {"url": url}
        if value.get("detail"):
            # A chat's images know no more of it than `high`.
            image["detail"] = "high" if value["detail"] == "original" else value["detail"]
        return {"type": "image_url", "image_url": image}
    if kind in ("input_audio", "file") and isinstance(value, Mapping):
        return _file_part(kind, value)
    text = value.get("text") if kind == "output_text" and isinstance(value, Mapping) else None
    return {"type": "text", "text": text} if isinstance(text, str) and text else None


def _file_part(kind: str, value: Mapping[str, Any]) -> dict[str, Any]:
    file = {name: given for name, given in value.items() if name not in ("file_url", "detail")}
    if "file_url" in value and not file.keys() & {"file_id", "file_data"}:
        # A chat's files have no address, so the model is told of it.
        return {"type": "text", "text": value["file_url"]}
    return {"type": kind, kind: file}


def with_history(stored: Sequence[Message], messages: list[Message], history: History) -> list[Message]:
    """The messages that the provider gets.

    Args:
        stored: The branch's items as messages, the oldest first.
        messages: The request's own messages.
        history: `always` puts the stored ones in front; `auto` does unless the request carries
            them; `never` adds only the turns that a tool result of the request answers.
    """
    if not stored:
        return messages
    if history == "never":
        before: Sequence[Message] = ()
    elif history == "always":
        before = stored
    else:
        before = _missing_part(stored, messages)
    before = before or _turns_awaiting(stored, messages)
    if not before:
        return messages
    leading = _leading_instructions(messages)
    merged = [*messages[:leading], *before, *messages[leading:]]
    return _answered_once(merged, before)


def _missing_part(stored: Sequence[Message], messages: Sequence[Message]) -> Sequence[Message]:
    """The stored messages that the request does not carry itself."""
    known = _dialogue(stored)
    keys = [_key(message) for message in _dialogue(messages)]
    common = _common_start(known, keys)
    if common == len(known):
        return ()
    if overlap := _overlap(known, keys):
        first = known[len(known) - overlap]
        return stored[: next(index for index, message in enumerate(stored) if message is first)]
    own_answers = {key for key in keys if key[0] == "assistant"}
    if own_answers and (common or not own_answers.isdisjoint(map(_key, known))):
        # The client resends the talk in a version of its own, for example after an edit.
        return ()
    return stored


def _turns_awaiting(stored: Sequence[Message], messages: Sequence[Message]) -> Sequence[Message]:
    """The stored turns that lead to the calls whose results the request brings, when it lacks them."""
    asked = set(_call_ids(messages))
    wanted = {
        message["tool_call_id"]
        for message in messages
        if message["role"] == "tool" and message["tool_call_id"] not in asked
    }
    if not wanted:
        return ()
    end = start = 0
    for index, message in enumerate(stored):
        if message["role"] == "user" and not end:
            start = index
        if not wanted.isdisjoint(_call_ids([message])):
            end = index + 1
    return stored[start:end] if end else ()


def _answered_once(messages: Sequence[Message], stored: Sequence[Message]) -> list[Message]:
    """The same messages with each result right behind its call, and no stored call without a result."""
    if not any(message["role"] == "tool" or message.get("tool_calls") for message in messages):
        return list(messages)
    results = {message["tool_call_id"]: message for message in messages if message["role"] == "tool"}
    asked = set(_call_ids(messages))
    from_store = set(map(id, stored))
    ordered: list[Message] = []
    for message in messages:
        if message["role"] == "tool" and message["tool_call_id"] in asked:
            continue
        if not message.get("tool_calls"):
            if message["role"] != "tool" or id(message) not in from_store:
                ordered.append(message)
            continue
        answered = [call for call in message["tool_calls"] if call["id"] in results]
        if id(message) in from_store and len(answered) < len(message["tool_calls"]):
            message = _with_calls(message, answered)
        if message.get("tool_calls") or message.get("content"):
            ordered.append(message)
        ordered.extend(results[call["id"]] for call in answered)
    return ordered


def _with_calls(message: Message, calls: list[dict[str, Any]]) -> Message:
    kept = {name: value for name, value in message.items() if name != "tool_calls"}
    return {**kept, "tool_calls": calls} if calls else kept


def new_messages(stored: Sequence[Message], messages: Sequence[Message]) -> list[Message]:
    """The messages of a request that the conversation does not hold yet, instructions left out.

    These are the ones behind the last assistant turn: what came before was said by the model.

    Args:
        stored: The branch's items as messages, without the logs of tool calls (`mcp_call`), which
            are not the tools' own messages.
        messages: The request's own messages.
    """
    dialogue = _dialogue(messages)
    if not dialogue:
        return []
    known = _dialogue(stored)
    last_answer = max(
        (index for index, message in enumerate(dialogue) if message["role"] == "assistant"), default=-1
    )
    fresh = dialogue[last_answer + 1 :]
    if not fresh:
        # The request ends with the beginning of an answer, which the model goes on with.
        return [] if known and _key(known[-1]) == _key(dialogue[-1]) else [dialogue[-1]]
    overlap = _overlap(known, [_key(message) for message in fresh])
    answered = {message["tool_call_id"] for message in known if message["role"] == "tool"}
    return [
        message
        for message in fresh[overlap:]
        if message["role"] != "tool" or message["tool_call_id"] not in answered
    ]


def user_messages(messages: Iterable[Message]) -> int:
    """How many of these messages a user wrote."""
    return sum(message["role"] == "user" for message in messages)


def _leading_instructions(messages: Sequence[Message]) -> int:
    for index, message in enumerate(messages):
        if message["role"] not in ("system", "developer"):
            return index
    return len(messages)


def _dialogue(messages: Iterable[Message]) -> list[Message]:
    return [message for message in messages if message["role"] not in ("system", "developer")]


def _call_ids(messages: Iterable[Message]) -> list[str]:
    return [call["id"] for message in messages for call in message.get("tool_calls") or ()]


def _key(message: Message) -> tuple[str, ...]:
    """What has to agree for two messages to count as the same."""
    content = message.get("content")
    images = (
        [
            str(part["image_url"].get("url", ""))
            for part in content
            if part.get("type") == "image_url" and isinstance(part.get("image_url"), dict)
        ]
        if isinstance(content, list)
        else []
    )
    text = " ".join(text_of(content).split())
    return (message["role"], text, str(message.get("tool_call_id", "")), *_call_ids([message]), *images)


def _common_start(known: Sequence[Message], said: Sequence[tuple[str, ...]]) -> int:
    """How many of the oldest known messages are the first that are said."""
    count = 0
    for message, key in zip(known, said, strict=False):
        if _key(message) != key:
            break
        count += 1
    return count


def _overlap(known: Sequence[Message], said: Sequence[tuple[str, ...]]) -> int:
    """How many of the newest known messages are the first that are said."""
    most = min(len(known), len(said))
    newest = [_key(message) for message in known[len(known) - most :]]
    for count in range(most, 0, -1):
        if newest[most - count :] == list(said[:count]):
            return count
    return 0
