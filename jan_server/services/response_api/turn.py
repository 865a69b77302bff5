"""One turn of the model: the pieces of a chat completion become items, and events that tell of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from jan_server.http.ids import public_id
from jan_server.services.response_api.chat_client import CallPiece, ChatPiece
from jan_server.services.response_api.chat_messages import CALL, EXECUTED
from jan_server.services.response_api.events import Event, EventCounter
from jan_server.services.response_api.input_items import item_id
from jan_server.services.response_api.offered_tools import OfferedTool

_ARGUMENT_EVENTS: Mapping[str, str] = {
    "function_call": "response.function_call_arguments",
    "mcp_call": "response.mcp_call_arguments",
}


@dataclass(slots=True)
class TurnCall:
    """A call that the model makes in this turn.

    Attributes:
        tool: What it calls; None for a name that nobody offered.
        item: Its item in the output.
        position: The item's place there.
        name: The name that the model used.
        call_id: The id that the model gave it.
        arguments: Its arguments as far as they came.
    """

    tool: OfferedTool | None
    item: dict[str, Any]
    position: int
    name: str
    call_id: str
    arguments: str = ""

    @property
    def runs_here(self) -> bool:
        """Whether the call is made here; the others wait for the client."""
        return self.item["type"] in EXECUTED


@dataclass(slots=True)
class Turn:
    """Takes the pieces of one turn and adds its items to the output.

    Attributes:
        tools: What the model may call.
        output: The response's output, which grows.
        counter: Numbers the events.
        summarised: Whether reasoning is told as a summary.
        calls: The calls so far, in their order.
        finish_reason: Why the turn ended; empty before its end.
        usage: The tokens of the turn, as the provider counts them.
        closed: Items that the last call of `feed` or `close` finished, with their places.
    """

    tools: Mapping[str, OfferedTool]
    output: list[dict[str, Any]]
    counter: EventCounter
    summarised: bool = False
    calls: list[TurnCall] = field(default_factory=list)
    finish_reason: str = ""
    usage: Mapping[str, Any] | None = None
    closed: list[tuple[int, dict[str, Any]]] = field(default_factory=list)
    _by_index: dict[int, TurnCall] = field(default_factory=dict)
    _open: tuple[int, dict[str, Any]] | None = None
    _part: dict[str, Any] | None = None

    def feed(self, piece: ChatPiece) -> Iterator[Event]:
        """Take one piece."""
        if piece.reasoning:
            yield from self._reason(piece.reasoning)
        if piece.text:
            yield from self._say(piece.text, piece.logprobs)
        if piece.refusal:
            yield from self._refuse(piece.refusal)
        for call in piece.calls:
            yield from self._call(call)
        self.finish_reason = piece.finish_reason or self.finish_reason
        self.usage = piece.usage or self.usage

    def close(self, *, status: str = "completed") -> Iterator[Event]:
        """End the turn: whatever is still open is finished."""
        yield from self._close_open(status)
        for call in self.calls:
            kind = call.item["type"]
            if events := _ARGUMENT_EVENTS.get(kind):
                yield self._of_item(call.position, call.item, f"{events}.done", arguments=call.arguments)
            if kind == "function_call":
                call.item["status"] = status
            if not call.runs_here:
                yield self._done(call.position, call.item)

    def _reason(self, text: str) -> Iterator[Event]:
        if self._open is None or self._open[1]["type"] != "reasoning":
            yield from self._close_open()
            item: dict[str, Any] = {
                "type": "reasoning",
                "id": item_id("reasoning"),
                "summary": [],
                "content": [],
                "encrypted_content": None,
                "status": "in_progress",
            }
            yield self._add(item)
            yield self._open_reasoning_part()
        position, item = self._opened()
        assert self._part is not None
        self._part["text"] += text
        if self.summarised:
            kind, index = "response.reasoning_summary_text.delta", {"summary_index": 0}
        else:
            kind, index = "response.reasoning_text.delta", {"content_index": 0}
        yield self._of_item(position, item, kind, **index, delta=text)

    def _open_reasoning_part(self) -> Event:
        position, item = self._opened()
        if self.summarised:
            self._part = {"type": "summary_text", "text": ""}
            kind, index = "response.reasoning_summary_part.added", "summary_index"
            item["summary"].append(self._part)
        else:
            self._part = {"type": "reasoning_text", "text": ""}
            kind, index = "response.content_part.added", "content_index"
            item["content"].append(self._part)
        return self._of_item(position, item, kind, **{index: 0}, part=dict(self._part))

    def _say(self, text: str, logprobs: tuple[Any, ...]) -> Iterator[Event]:
        yield from self._open_message({"type": "output_text", "text": "", "annotations": [], "logprobs": []})
        position, item = self._opened()
        assert self._part is not None
        self._part["text"] += text
        self._part["logprobs"].extend(logprobs)
        yield self._of_item(
            position,
            item,
            "response.output_text.delta",
            content_index=len(item["content"]) - 1,
            delta=text,
            logprobs=list(logprobs),
        )

    def _refuse(self, text: str) -> Iterator[Event]:
        yield from self._open_message({"type": "refusal", "refusal": ""})
        position, item = self._opened()
        assert self._part is not None
        self._part["refusal"] += text
        yield self._of_item(
            position, item, "response.refusal.delta", content_index=len(item["content"]) - 1, delta=text
        )

    def _open_message(self, part: dict[str, Any]) -> Iterator[Event]:
        if self._open is None or self._open[1]["type"] != "message":
            yield from self._close_open()
            item: dict[str, Any] = {
                "type": "message",
                "id": item_id("message"),
                "status": "in_progress",
                "role": "assistant",
                "content": [],
            }
            yield self._add(item)
        if self._part is None or self._part["type"] != part["type"]:
            if self._part is not None:
                yield from self._close_part()
            position, item = self._opened()
            self._part = part
            item["content"].append(part)
            at = len(item["content"]) - 1
            shown = (
                {**part, "annotations": [], "logprobs": []} if part["type"] == "output_text" else dict(part)
            )
            yield self._of_item(position, item, "response.content_part.added", content_index=at, part=shown)

    def _call(self, piece: CallPiece) -> Iterator[Event]:
        call = self._by_index.get(piece.index)
        if call is None or (piece.id and piece.id != call.call_id and piece.name):
            yield from self._close_open()
            tool = self.tools.get(piece.name)
            call_id = piece.id or public_id("call", 24)
            item = call_item(tool, piece.name, call_id)
            call = TurnCall(tool, item, len(self.output), piece.name, call_id)
            self._by_index[piece.index] = call
            self.calls.append(call)
            self.output.append(item)
            yield self.counter.event(
                "response.output_item.added", output_index=call.position, item=shown_call(item)
            )
        if piece.arguments:
            call.arguments += piece.arguments
            if "arguments" in call.item:
                call.item["arguments"] = call.arguments
            if events := _ARGUMENT_EVENTS.get(call.item["type"]):
                yield self._of_item(call.position, call.item, f"{events}.delta", delta=piece.arguments)

    def _add(self, item: dict[str, Any]) -> Event:
        position = len(self.output)
        self.output.append(item)
        self._open = (position, item)
        self._part = None
        shown = {name: [] if isinstance(value, list) else value for name, value in item.items()}
        return self.counter.event("response.output_item.added", output_index=position, item=shown)

    def _close_open(self, status: str = "completed") -> Iterator[Event]:
        if self._open is None:
            return
        yield from self._close_part()
        position, item = self._opened()
        item["status"] = status
        self._open = None
        yield self._done(position, item)

    def _close_part(self) -> Iterator[Event]:
        position, item = self._opened()
        part, self._part = self._part, None
        if part is None:
            return
        at = {"content_index": len(item["content"]) - 1}
        if part["type"] == "output_text":
            yield self._of_item(
                position,
                item,
                "response.output_text.done",
                **at,
                text=part["text"],
                logprobs=part["logprobs"],
            )
        elif part["type"] == "refusal":
            yield self._of_item(position, item, "response.refusal.done", **at, refusal=part["refusal"])
        elif part["type"] == "summary_text":
            of_summary = {"summary_index": 0}
            yield self._of_item(
                position, item, "response.reasoning_summary_text.done", **of_summary, text=part["text"]
            )
            yield self._of_item(
                position, item, "response.reasoning_summary_part.done", **of_summary, part=dict(part)
            )
            return
        else:
            yield self._of_item(position, item, "response.reasoning_text.done", **at, text=part["text"])
        yield self._of_item(position, item, "response.content_part.done", **at, part=dict(part))

    def _done(self, position: int, item: dict[str, Any]) -> Event:
        self.closed.append((position, item))
        return self.counter.event("response.output_item.done", output_index=position, item=dict(item))

    def _of_item(self, position: int, item: Mapping[str, Any], kind: str, **members: Any) -> Event:
        return self.counter.event(kind, item_id=item["id"], output_index=position, **members)

    def _opened(self) -> tuple[int, dict[str, Any]]:
        assert self._open is not None
        return self._open


def call_item(tool: OfferedTool | None, name: str, call_id: str) -> dict[str, Any]:
    """The item of a call that has just begun."""
    kind = tool.kind if tool is not None else "mcp_call"
    if kind == "function":
        return {
            "type": "function_call",
            "id": item_id("function_call"),
            "call_id": call_id,
            "name": name,
            "arguments": "",
            "status": "in_progress",
        }
    if tool is not None and tool.needs_approval:
        return {
            "type": "mcp_approval_request",
            "id": item_id("mcp_approval_request"),
            "server_label": tool.server_label,
            "name": tool.tool_name,
            "arguments": "",
        }
    item: dict[str, Any] = {"type": kind, "id": item_id(kind), "status": "in_progress"}
    if kind == "mcp_call":
        item |= {
            "server_label": tool.server_label if tool is not None else "",
            "name": tool.tool_name if tool is not None else name,
            "arguments": "",
            "approval_request_id": None,
            "output": None,
            "error": None,
        }
    elif kind == "web_search_call":
        item["action"] = {"type": "search", "query": ""}
    elif kind == "file_search_call":
        item |= {"queries": [], "results": None}
    else:
        item |= {"code": None, "container_id": "", "outputs": None}
    item[CALL] = {"id": call_id, "name": name, "arguments": ""}
    return item


def shown_call(item: Mapping[str, Any]) -> dict[str, Any]:
    """A call's item without what only the model is told."""
    return {name: value for name, value in item.items() if not name.startswith("_")}
