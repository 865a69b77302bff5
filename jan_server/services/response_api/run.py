"""The making of one response: turns of the model, calls of tools, until there is an answer.

Source: Open Responses, "The agentic loop"; contract/response-api.md, section 7.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from jan_server.authentication.principal import Principal
from jan_server.http.errors import ApiError
from jan_server.services.response_api.chat_body import TOOL_MEMBERS, chat_body
from jan_server.services.response_api.chat_client import ChatClient
from jan_server.services.response_api.chat_messages import CALL, RESULT, chat_messages
from jan_server.services.response_api.context_budget import trimmed
from jan_server.services.response_api.events import Event, EventCounter
from jan_server.services.response_api.execution import ToolExecution
from jan_server.services.response_api.journal import Journal, NoJournal
from jan_server.services.response_api.mcp_endpoint import ToolServerError
from jan_server.services.response_api.offered_tools import OWN_LABEL, Offer, OfferedTool, ToolSource
from jan_server.services.response_api.request import ResponseRequest
from jan_server.services.response_api.response_object import added_usage, output_text, shown_item
from jan_server.services.response_api.turn import Turn, TurnCall, call_item

TOO_DEEP = "tool orchestration depth exceeded"
DENIED = "The user did not approve this call."

# What providers say that take no tools (contract/response-api.md, section 7.6).
_NO_TOOLS = ("failed to complete chat request", "tools unsupported", "does not support tools")
_INCOMPLETE: Mapping[str, str] = {"length": "max_output_tokens", "content_filter": "content_filter"}


@dataclass(frozen=True, slots=True)
class RunLimits:
    """How much one response may take.

    Attributes:
        depth: Turns of the model.
        tool_seconds: One call of a tool.
        parallel_calls: Calls of tools at the same time.
        seconds: Everything together.
        tokens: All turns together; 0 for no limit.
    """

    depth: int = 8
    tool_seconds: float = 45.0
    parallel_calls: int = 8
    seconds: float = 900.0
    tokens: int = 0


@dataclass(frozen=True, slots=True)
class RunPlace:
    """Who a run is for and where it belongs.

    Attributes:
        principal: Who asked.
        request_id: The id of the request.
        conversation_id: The conversation; empty when there is none.
        history: The items that precede those of the request.
        finished: Items of the output that an earlier run of the same response finished.
        first_event: The number of the first event.
    """

    principal: Principal
    request_id: str = ""
    conversation_id: str = ""
    history: Sequence[Mapping[str, Any]] = ()
    finished: Sequence[Mapping[str, Any]] = ()
    first_event: int = 0


class ResponseRun:
    """Makes one response. Cancelling whoever iterates over its events stops it, upstream call included.

    Args:
        request: What was asked for.
        response: The response as it stands (`response_object`); it is brought up to date.
        place: Who it is for.
        chat: Asks models.
        tools: Finds tools.
        limits: How much it may take.
        by_default: Whether tools are offered to a request that names none.
        journal: Where it writes down what is done.

    Attributes:
        response: The response as it stands.
        output: Its items, with what only the model is told.
        failure: Why it failed; None when it did not.
    """

    def __init__(
        self,
        request: ResponseRequest,
        response: dict[str, Any],
        place: RunPlace,
        *,
        chat: ChatClient,
        tools: ToolSource,
        limits: RunLimits,
        by_default: bool = True,
        journal: Journal | None = None,
    ) -> None:
        self._request = request
        self._place = place
        self._chat = chat
        self._source = tools
        self._limits = limits
        self._by_default = by_default
        self._journal: Journal = journal or NoJournal()
        self._counter = EventCounter(place.first_event)
        self._offer = Offer()
        self._calls_made = 0
        self._denied: list[dict[str, Any]] = []
        self.response = response
        self.output: list[dict[str, Any]] = [dict(item) for item in place.finished]
        self.failure: ApiError | None = None

    async def events(self) -> AsyncGenerator[Event]:
        """Make the response and tell each step; the last event says how it ended."""
        async with aclosing(self._made()) as made:
            async for event in made:
                await self._journal.event(event)
                yield event

    async def _made(self) -> AsyncGenerator[Event]:
        if not self._place.finished:
            yield self._told("response.created")
            yield self._told("response.in_progress")
        try:
            async with asyncio.timeout(self._limits.seconds):
                async with aclosing(self._steps()) as steps:
                    async for event in steps:
                        yield event
        except TimeoutError:
            yield self._failed(
                ApiError(
                    504, f"the response was not ready within {self._limits.seconds:g} seconds", code="timeout"
                )
            )
        except ToolServerError as failure:
            yield self._failed(ApiError(502, f"list MCP tools: {failure}", code="tool_server_unavailable"))
        except ApiError as failure:
            yield self._failed(failure)

    async def _steps(self) -> AsyncGenerator[Event]:
        await self._find_tools()
        async with aclosing(self._listed()) as listed:
            async for event in listed:
                yield event
        async with aclosing(self._approved()) as approved:
            async for event in approved:
                yield event
        for depth in range(self._limits.depth):
            turn = Turn(
                self._offer.tools,
                self.output,
                self._counter,
                summarised=bool(self._request.reasoning.get("summary")),
            )
            async with aclosing(self._ask(turn, first=depth == 0)) as asked:
                async for event in asked:
                    yield event
            here = [call for call in turn.calls if call.runs_here]
            async with aclosing(self._execute(here)) as executed:
                async for event in executed:
                    yield event
            self._keep_up()
            await self._journal.step_done(self.response)
            if turn.finish_reason in _INCOMPLETE:
                yield self._incomplete(_INCOMPLETE[turn.finish_reason])
                return
            if not here or len(here) < len(turn.calls):
                yield self._completed()
                return
            if self._limits.tokens and self.response["usage"]["total_tokens"] >= self._limits.tokens:
                yield self._incomplete("max_tokens_of_response")
                return
        yield self._failed(ApiError(502, TOO_DEEP, code="tool_depth_exceeded"))

    async def _find_tools(self) -> None:
        by_default = self._by_default
        if self._request.tools is None and by_default:
            by_default = await self._chat.supports_tools(self._request.model, self._place.principal)
        self._offer = await self._source.offer(self._request, self._place.principal, by_default=by_default)

    async def _listed(self) -> AsyncGenerator[Event]:
        """Tell what the servers of the request offer, once a response."""
        if any(item["type"] == "mcp_list_tools" for item in self.output):
            return
        for item in self._offer.lists:
            position = len(self.output)
            self.output.append(item)
            named = {"item_id": item["id"], "output_index": position}
            begun = {**item, "tools": []}
            yield self._counter.event("response.output_item.added", output_index=position, item=begun)
            yield self._counter.event("response.mcp_list_tools.in_progress", **named)
            ended = "failed" if item["error"] else "completed"
            yield self._counter.event(f"response.mcp_list_tools.{ended}", **named)
            yield self._counter.event("response.output_item.done", output_index=position, item=dict(item))
            await self._journal.item_done(position, item)

    async def _approved(self) -> AsyncGenerator[Event]:
        """Make the calls that the client approved with this request."""
        requests = {
            item["id"]: item for item in self._place.history if item.get("type") == "mcp_approval_request"
        }
        done = {item.get("approval_request_id") for item in self.output}
        calls: list[TurnCall] = []
        for answer in self._request.items:
            asked = requests.get(answer.get("approval_request_id"))
            if answer.get("type") != "mcp_approval_response" or asked is None or asked["id"] in done:
                continue
            name, arguments = str(asked["name"]), str(asked["arguments"])
            if answer["approve"] is not True:
                refused = {"id": asked["id"], "name": name, "arguments": arguments}
                self._denied.append({"type": "mcp_call", CALL: refused, RESULT: DENIED})
                continue
            calls.append(self._approved_call(asked, name, arguments))
        for call in calls:
            yield self._counter.event(
                "response.output_item.added", output_index=call.position, item=shown_item(call.item)
            )
        async with aclosing(self._execute(calls)) as executed:
            async for event in executed:
                yield event

    def _approved_call(self, asked: Mapping[str, Any], name: str, arguments: str) -> TurnCall:
        label = asked.get("server_label")
        tool = next(
            (
                OfferedTool(
                    each.name, each.definition, each.kind, each.endpoint, each.tool_name, each.server_label
                )
                for each in self._offer.tools.values()
                if each.tool_name == name and each.server_label == label
            ),
            None,
        )
        item = call_item(tool, name, str(asked["id"]))
        item["approval_request_id"] = asked["id"]
        self.output.append(item)
        known = tool.name if tool is not None else name
        return TurnCall(tool, item, len(self.output) - 1, known, str(asked["id"]), arguments)

    async def _ask(self, turn: Turn, *, first: bool) -> AsyncGenerator[Event]:
        """One turn of the model; once more without tools where the provider takes none."""
        body = await self._chat_body(first=first)
        begun = False
        try:
            async with aclosing(self._pieces(turn, body)) as pieces:
                async for event in pieces:
                    begun = True
                    yield event
        except ApiError as failure:
            if begun or "tools" not in body or not _takes_no_tools(failure):
                raise
            plain = {name: value for name, value in body.items() if name not in TOOL_MEMBERS}
            self._offer.tools.clear()
            async with aclosing(self._pieces(turn, plain)) as pieces:
                async for event in pieces:
                    yield event

    async def _pieces(self, turn: Turn, body: Mapping[str, Any]) -> AsyncGenerator[Event]:
        asked = self._chat.pieces(body, self._place.principal, self._place.request_id)
        async with aclosing(asked) as pieces:
            async for piece in pieces:
                for event in turn.feed(piece):
                    yield event
                async for event in self._kept(turn, ()):
                    yield event
        cut_off = turn.finish_reason in _INCOMPLETE
        async for event in self._kept(turn, turn.close(status="incomplete" if cut_off else "completed")):
            yield event
        if turn.usage is not None:
            self.response["usage"] = added_usage(self.response["usage"], turn.usage)

    async def _kept(self, turn: Turn, events: Iterator[Event] | tuple[()]) -> AsyncGenerator[Event]:
        """The events, and what they finished written down."""
        for event in events:
            yield event
        for position, item in turn.closed:
            await self._journal.item_done(position, item)
        turn.closed.clear()

    async def _chat_body(self, *, first: bool) -> dict[str, Any]:
        request = self._request
        items = [*self._place.history, *request.items, *self._denied, *self.output]
        messages = chat_messages(items, instructions=request.instructions)
        if request.truncation == "auto":
            context = await self._chat.context_length(request.model, self._place.principal)
            messages = trimmed(messages, context)
        most = request.max_tool_calls
        return chat_body(
            request,
            messages,
            self._offer.tools,
            first=first,
            calls_left=most is None or self._calls_made < most,
        )

    async def _execute(self, calls: Sequence[TurnCall]) -> AsyncGenerator[Event]:
        """Make calls side by side; their events come as they happen."""
        if not calls:
            return
        queue: asyncio.Queue[Event | None] = asyncio.Queue()
        turns = asyncio.Semaphore(self._limits.parallel_calls if self._request.parallel_tool_calls else 1)

        async def make(call: TurnCall) -> None:
            try:
                async with turns:
                    execution = self._execution(call)
                    async for event in execution.events():
                        queue.put_nowait(event)
                    if execution.record is not None:
                        await self._journal.tool_done(execution.record)
                    await self._journal.item_done(call.position, call.item)
            finally:
                queue.put_nowait(None)

        tasks = [asyncio.create_task(make(call)) for call in self._within_limit(calls)]
        running = len(tasks)
        try:
            while running:
                event = await queue.get()
                if event is None:
                    running -= 1
                else:
                    yield event
            for task in tasks:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _within_limit(self, calls: Sequence[TurnCall]) -> Iterator[TurnCall]:
        most = self._request.max_tool_calls
        for call in calls:
            self._calls_made += 1
            if most is not None and self._calls_made > most:
                # The model asked for more than it may: it is told, and answers with what it has.
                call.tool = None
                call.name = f"{call.name} (no more than {most} calls are allowed)"
            yield call

    def _execution(self, call: TurnCall) -> ToolExecution:
        place = self._place
        ours = call.tool is not None and call.tool.server_label in (OWN_LABEL, "")
        passed = {
            "request_id": place.request_id,
            "conversation_id": place.conversation_id,
            "tool_call_id": call.call_id,
        }
        headers = {"X-Conversation-ID": place.conversation_id, "X-Tool-Call-ID": call.call_id}
        return ToolExecution(
            call,
            self._counter,
            seconds=self._limits.tool_seconds,
            passed={name: value for name, value in passed.items() if value} if ours else {},
            headers={name: value for name, value in headers.items() if value} if ours else {},
        )

    def _keep_up(self) -> None:
        self.response["output"] = [shown_item(item, self._request.include) for item in self.output]
        self.response["output_text"] = output_text(self.output)

    def _told(self, kind: str) -> Event:
        return self._counter.event(kind, response=dict(self.response))

    def _completed(self) -> Event:
        self.response["status"] = "completed"
        return self._ended("response.completed")

    def _incomplete(self, reason: str) -> Event:
        self.response["status"] = "incomplete"
        self.response["incomplete_details"] = {"reason": reason}
        return self._ended("response.incomplete")

    def _failed(self, failure: ApiError) -> Event:
        self.failure = failure
        self.response["status"] = "failed"
        self.response["error"] = {"code": failure.code or "server_error", "message": failure.message}
        return self._ended("response.failed")

    def _ended(self, kind: str) -> Event:
        self._keep_up()
        moment = now_seconds()
        if kind != "response.failed":
            self.response["completed_at"] = moment
        else:
            self.response["failed_at"] = moment
        return self._told(kind)


def _takes_no_tools(failure: ApiError) -> bool:
    words = failure.message.lower()
    return any(told in words for told in _NO_TOOLS)


def now_seconds() -> int:
    """The present moment in Unix seconds."""
    return int(time.time())
