"""A scripted OpenAI-compatible upstream on a real socket: it stands in for a provider on another machine.

It answers what the test tells it to (an answer, a stream whose frames the test lets out one by one, a tool
call, an error, silence, a dropped connection) and records every call, so that a test can say what reached the
provider and how many calls are still open there.

    async with OpenAIUpstream() as upstream:
        upstream.always(Answer("Hi"))            # every call from now on
        upstream.next(Failure(500), Answer())    # these first, in order, one a call
        gate = Gate()
        upstream.next(Stream(frames=10, gate=gate))
        gate.release(3)                          # lets three frames out
        await upstream.wait_until(lambda: upstream.live == 0)
"""

from __future__ import annotations

import asyncio
import base64
import re
import struct
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, Self

import orjson
from aiohttp import web

JSON_TYPE = "application/json"


@dataclass(frozen=True)
class FormPart:
    """One part of a form as the upstream received it."""

    name: str
    content: bytes
    filename: str | None = None
    content_type: str = ""


@dataclass(frozen=True)
class Call:
    """One request as the upstream received it."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return orjson.loads(self.body)

    @property
    def form(self) -> list[FormPart]:
        """The parts of a form, in their order."""
        boundary = self.headers["Content-Type"].partition("boundary=")[2].encode()
        parts = []
        for part in self.body.split(b"--" + boundary)[1:-1]:
            head, _, content = part.partition(b"\r\n\r\n")
            told = dict(re.findall(r'(\w+)="([^"]*)"', head.decode()))
            content_type = re.search(r"Content-Type: (\S+)", head.decode())
            parts.append(
                FormPart(
                    told["name"],
                    content.removesuffix(b"\r\n"),
                    told.get("filename"),
                    content_type[1] if content_type else "",
                )
            )
        return parts


class Behaviour(Protocol):
    """What the upstream does with one call."""

    async def respond(self, request: web.Request, call: Call) -> web.StreamResponse: ...


class Gate:
    """Lets a stream's frames out one by one; `open()` lets all the rest out."""

    def __init__(self) -> None:
        self._permits = asyncio.Semaphore(0)
        self._open = False

    def release(self, frames: int = 1) -> None:
        for _ in range(frames):
            self._permits.release()

    def open(self) -> None:
        self._open = True
        self._permits.release()

    async def pass_one(self) -> None:
        if self._open:
            return
        await self._permits.acquire()
        if self._open:
            self._permits.release()


def model_of(call: Call) -> str:
    try:
        body = call.json
    except orjson.JSONDecodeError:
        return "scripted-model"
    return str(body.get("model", "scripted-model")) if isinstance(body, dict) else "scripted-model"


def wants_stream(call: Call) -> bool:
    try:
        body = call.json
    except orjson.JSONDecodeError:
        return False
    return isinstance(body, dict) and body.get("stream") is True


def completion(
    text: str | None,
    *,
    model: str = "scripted-model",
    finish_reason: str = "stop",
    tool_calls: Sequence[Mapping[str, Any]] = (),
    prompt_tokens: int = 7,
    completion_tokens: int = 5,
) -> dict[str, Any]:
    """A chat completion object as OpenAI defines it."""
    message: dict[str, Any] = {"role": "assistant", "content": text}
    if tool_calls:
        message["tool_calls"] = list(tool_calls)
    return {
        "id": "chatcmpl-scripted",
        "object": "chat.completion",
        "created": 1_760_000_000,
        "model": model,
        "choices": [{"index": 0, "message": message, "finish_reason": finish_reason, "logprobs": None}],
        "usage": {
            "prompt_tokens": prompt_tokens,
            "completion_tokens": completion_tokens,
            "total_tokens": prompt_tokens + completion_tokens,
        },
    }


def chunk(
    delta: Mapping[str, Any], *, model: str = "scripted-model", finish_reason: str | None = None
) -> dict[str, Any]:
    """One chat completion chunk object as OpenAI defines it."""
    return {
        "id": "chatcmpl-scripted",
        "object": "chat.completion.chunk",
        "created": 1_760_000_000,
        "model": model,
        "choices": [{"index": 0, "delta": dict(delta), "finish_reason": finish_reason}],
    }


def frame(payload: Any) -> bytes:
    return b"data: " + orjson.dumps(payload) + b"\n\n"


DONE = b"data: [DONE]\n\n"


async def open_event_stream(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(
        headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache", "X-Upstream": "scripted"}
    )
    await response.prepare(request)
    return response


def usage_chunk(call: Call, tokens: int, *, prompt_tokens: int = 7) -> dict[str, Any] | None:
    """The last chunk with the usage, when the caller asked for it with stream_options.include_usage."""
    options = call.json.get("stream_options") or {}
    if not options.get("include_usage"):
        return None
    return {
        **chunk({}, model=model_of(call)),
        "choices": [],
        "usage": {
            "prompt_tokens": prompt_tokens,
            "completion_tokens": tokens,
            "total_tokens": prompt_tokens + tokens,
        },
    }


def drop_connection(request: web.Request) -> None:
    transport = request.transport
    if transport is not None:
        transport.abort()


@dataclass(frozen=True)
class Answer:
    """A constant text: as one object, or word by word when the call asks for a stream."""

    text: str = "Hello from the scripted upstream."
    finish_reason: str = "stop"
    headers: Mapping[str, str] = field(default_factory=dict)
    reasoning: str = ""

    async def respond(self, request: web.Request, call: Call) -> web.StreamResponse:
        if wants_stream(call):
            reasoning = tuple(self.reasoning.split(" ")) if self.reasoning else ()
            return await Stream(words=tuple(self.text.split(" ")), reasoning=reasoning).respond(request, call)
        body = completion(self.text, model=model_of(call), finish_reason=self.finish_reason)
        if self.reasoning:
            body["choices"][0]["message"]["reasoning_content"] = self.reasoning
            body["usage"]["completion_tokens_details"] = {"reasoning_tokens": 3}
        return web.Response(body=orjson.dumps(body), content_type=JSON_TYPE, headers=self.headers)


@dataclass(frozen=True)
class Stream:
    """A stream of `frames` numbered words (or of `words`), each let out by `gate` when there is one.

    With `done=False` the stream ends without its `[DONE]` frame; with `drop_after=n` the connection is cut
    after n content frames; with `then_hang` nothing more comes after them and the connection stays open.
    """

    frames: int = 5
    words: tuple[str, ...] = ()
    gate: Gate | None = None
    done: bool = True
    drop_after: int | None = None
    then_hang: bool = False
    reasoning: tuple[str, ...] = ()

    async def respond(self, request: web.Request, call: Call) -> web.StreamResponse:
        model = model_of(call)
        words = self.words or tuple(f"word{number}" for number in range(self.frames))
        if self.drop_after == 0:
            drop_connection(request)
            return web.Response()
        response = await open_event_stream(request)
        for text in self.reasoning:
            await response.write(frame(chunk({"reasoning_content": text}, model=model)))
        for number, word in enumerate(words):
            if self.gate is not None:
                await self.gate.pass_one()
            delta: dict[str, Any] = {"content": word if number == 0 else " " + word}
            if number == 0:
                delta["role"] = "assistant"
            await response.write(frame(chunk(delta, model=model)))
            if self.drop_after is not None and number + 1 >= self.drop_after:
                drop_connection(request)
                return response
        if self.then_hang:
            await asyncio.Event().wait()
        await response.write(frame(chunk({}, model=model, finish_reason="stop")))
        usage = usage_chunk(call, len(words))
        if usage is not None:
            await response.write(frame(usage))
        if self.done:
            await response.write(DONE)
        await response.write_eof()
        return response


@dataclass(frozen=True)
class ToolCall:
    """The model asks for one function call, or for `further` ones too; in pieces in a stream."""

    name: str = "get_weather"
    arguments: str = '{"city":"Hanoi"}'
    call_id: str = "call_scripted"
    further: tuple[ToolCall, ...] = ()

    async def respond(self, request: web.Request, call: Call) -> web.StreamResponse:
        model = model_of(call)
        asked = (self, *self.further)
        if not wants_stream(call):
            calls = [
                {
                    "id": one.call_id,
                    "type": "function",
                    "function": {"name": one.name, "arguments": one.arguments},
                }
                for one in asked
            ]
            body = completion(None, model=model, finish_reason="tool_calls", tool_calls=calls)
            return web.Response(body=orjson.dumps(body), content_type=JSON_TYPE)
        response = await open_event_stream(request)
        deltas: list[dict[str, Any]] = [{"role": "assistant", "content": None}]
        for index, one in enumerate(asked):
            opening = {"name": one.name, "arguments": ""}
            deltas.append(
                {"tool_calls": [{"index": index, "id": one.call_id, "type": "function", "function": opening}]}
            )
            half = len(one.arguments) // 2
            deltas.extend(
                {"tool_calls": [{"index": index, "function": {"arguments": piece}}]}
                for piece in (one.arguments[:half], one.arguments[half:])
            )
        for delta in deltas:
            await response.write(frame(chunk(delta, model=model)))
        await response.write(frame(chunk({}, model=model, finish_reason="tool_calls")))
        usage = usage_chunk(call, len(deltas))
        if usage is not None:
            await response.write(frame(usage))
        await response.write(DONE)
        await response.write_eof()
        return response


@dataclass(frozen=True)
class CapableModel:
    """A model that sees, reasons and calls tools: what it says is constant, how it says it follows the call.

    It calls the first tool where a tool has to be called, and answers in any other case.
    """

    text: str = "A small red picture."
    reasoning: str = "Let me look closely."
    arguments: str = '{"location":"San Francisco"}'

    async def respond(self, request: web.Request, call: Call) -> web.StreamResponse:
        asked = call.json
        behaviour: Behaviour = Answer(self.text, reasoning=self.reasoning)
        if asked.get("tools") and asked.get("tool_choice") == "required":
            behaviour = ToolCall(asked["tools"][0]["function"]["name"], self.arguments)
        response = await behaviour.respond(request, call)
        if isinstance(response, web.Response) and isinstance(response.body, bytes):
            body = orjson.loads(response.body)
            # OpenAI sends these with every message, whether or not there is anything in them.
            body["choices"][0]["message"].update(refusal=None, annotations=[])
            response.body = orjson.dumps(body)
        return response


@dataclass(frozen=True)
class Json:
    """A JSON value as it is."""

    value: Any
    headers: Mapping[str, str] = field(default_factory=dict)

    async def respond(self, request: web.Request, call: Call) -> web.StreamResponse:
        return web.Response(body=orjson.dumps(self.value), content_type=JSON_TYPE, headers=self.headers)


@dataclass(frozen=True)
class TextCompletion:
    """A text completion: as one object, or word by word when the call asks for a stream."""

    text: str = "there was a fox"

    async def respond(self, request: web.Request, call: Call) -> web.StreamResponse:
        head = {"id": "cmpl-scripted", "object": "text_completion", "created": 1_760_000_000}
        head["model"] = model_of(call)
        usage = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
        if not wants_stream(call):
            choice = {"index": 0, "text": self.text, "finish_reason": "stop", "logprobs": None}
            body = {**head, "choices": [choice], "usage": usage}
            return web.Response(body=orjson.dumps(body), content_type=JSON_TYPE)
        response = await open_event_stream(request)
        words = self.text.split(" ")
        for number, word in enumerate(words):
            last = number + 1 == len(words)
            text = word if number == 0 else " " + word
            choice = {"index": 0, "text": text, "finish_reason": "stop" if last else None}
            await response.write(frame({**head, "choices": [choice]}))
        if (call.json.get("stream_options") or {}).get("include_usage"):
            await response.write(frame({**head, "choices": [], "usage": usage}))
        await response.write(DONE)
        await response.write_eof()
        return response


def numbers_of(text: str) -> list[float]:
    """A short vector that is different for different texts, and exact in 32 bits."""
    return [len(text) / 64, sum(text.encode()) / 2**20, 0.5]


@dataclass(frozen=True)
class EmbeddingsOf:
    """A vector for each text of the call; as base64 when it is asked for, unless `knows_base64` is false."""

    knows_base64: bool = True
    always_base64: bool = False

    async def respond(self, request: web.Request, call: Call) -> web.StreamResponse:
        asked = call.json
        inputs = asked["input"] if isinstance(asked["input"], list) else [asked["input"]]
        packed = self.always_base64 or (self.knows_base64 and asked.get("encoding_format") == "base64")
        data = []
        for index, text in enumerate(inputs):
            numbers = numbers_of(str(text))
            vector: Any = numbers
            if packed:
                vector = base64.b64encode(struct.pack(f"<{len(numbers)}f", *numbers)).decode()
            data.append({"object": "embedding", "index": index, "embedding": vector})
        usage = {"prompt_tokens": 5, "total_tokens": 5}
        body = {"object": "list", "data": data, "model": asked["model"], "usage": usage}
        return web.Response(body=orjson.dumps(body), content_type=JSON_TYPE)


@dataclass(frozen=True)
class Failure:
    """An error status with OpenAI's error body, or with `raw` as the body when it is given."""

    status: int = 500
    message: str = "the scripted upstream failed"
    type: str = "server_error"
    code: str | None = None
    param: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    raw: bytes | None = None
    content_type: str = JSON_TYPE

    async def respond(self, request: web.Request, call: Call) -> web.StreamResponse:
        error = {"message": self.message, "type": self.type, "code": self.code, "param": self.param}
        body = orjson.dumps({"error": error}) if self.raw is None else self.raw
        return web.Response(
            status=self.status, body=body, content_type=self.content_type, headers=self.headers
        )


@dataclass(frozen=True)
class Hang:
    """Accepts the call and never says a word, until the caller goes away."""

    async def respond(self, request: web.Request, call: Call) -> web.StreamResponse:
        await asyncio.Event().wait()
        return web.Response()


@dataclass(frozen=True)
class Drop:
    """Cuts the connection before any answer."""

    async def respond(self, request: web.Request, call: Call) -> web.StreamResponse:
        drop_connection(request)
        return web.Response()


@dataclass(frozen=True)
class Raw:
    """These exact bytes with this status, for what no other behaviour says."""

    body: bytes
    status: int = 200
    content_type: str = JSON_TYPE
    headers: Mapping[str, str] = field(default_factory=dict)

    async def respond(self, request: web.Request, call: Call) -> web.StreamResponse:
        return web.Response(
            status=self.status, body=self.body, content_type=self.content_type, headers=self.headers
        )


@dataclass(frozen=True)
class Custom:
    """Whatever the given function does."""

    function: Callable[[web.Request, Call], Awaitable[web.StreamResponse]]

    async def respond(self, request: web.Request, call: Call) -> web.StreamResponse:
        return await self.function(request, call)


class OpenAIUpstream:
    """The scripted upstream. Use it as an async context manager; its base URL is `url` (it ends in /v1).

    Attributes:
        models: what GET /v1/models lists.
        calls: every call except GET /v1/models, in the order of arrival.
        model_lists: how often GET /v1/models was asked.
        live: calls being answered right now.
        peak: the most calls that were being answered at the same moment.
        received: how many bytes of bodies came in, those of calls that are still coming in included.
        cancelled: calls whose client went away before the answer ended.
        api_key: when set, calls without this bearer key get OpenAI's 401.
    """

    def __init__(self, *, models: Sequence[str] = ("scripted-model",), api_key: str | None = None) -> None:
        self.models = list(models)
        self.api_key = api_key
        self.calls: list[Call] = []
        self.model_lists = 0
        self.live = 0
        self.peak = 0
        self.received = 0
        self.cancelled = 0
        self.port = 0
        self._constant: Behaviour = Answer()
        self._scripted: deque[Behaviour] = deque()
        self._runner: web.AppRunner | None = None

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"{self.origin}/v1"

    @property
    def last(self) -> Call:
        return self.calls[-1]

    def always(self, behaviour: Behaviour) -> None:
        """Answers every call that nothing else is scripted for with `behaviour`."""
        self._constant = behaviour

    def next(self, *behaviours: Behaviour) -> None:
        """Answers the next calls with these, in order, one a call."""
        self._scripted.extend(behaviours)

    def reset(self) -> None:
        """Forgets script and records."""
        self._constant = Answer()
        self._scripted.clear()
        self.calls.clear()
        self.model_lists = self.peak = self.received = self.cancelled = 0

    async def wait_until(self, condition: Callable[[], bool], *, seconds: float = 5.0) -> None:
        """Waits until `condition` holds; fails the test when it does not within `seconds`."""
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                raise AssertionError(
                    f"not reached in {seconds} s: live={self.live} calls={len(self.calls)} "
                    f"cancelled={self.cancelled}"
                )
            await asyncio.sleep(0.005)

    async def stop(self) -> None:
        """Closes the socket: the next calls are refused. `start` opens it again on the same port."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def start(self) -> None:
        app = web.Application(client_max_size=64 * 2**20)
        app.router.add_get("/v1/models", self._list_models)
        app.router.add_route("*", "/{path:.*}", self._serve)
        self._runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=0.2)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def _refused(self, request: web.Request) -> web.Response | None:
        if self.api_key is None or request.headers.get("Authorization") == f"Bearer {self.api_key}":
            return None
        error = {
            "message": "Incorrect API key provided.",
            "type": "invalid_request_error",
            "code": "invalid_api_key",
            "param": None,
        }
        return web.Response(status=401, body=orjson.dumps({"error": error}), content_type=JSON_TYPE)

    async def _list_models(self, request: web.Request) -> web.Response:
        self.model_lists += 1
        refused = self._refused(request)
        if refused is not None:
            return refused
        data = [
            {"id": name, "object": "model", "created": 1_760_000_000, "owned_by": "scripted"}
            for name in self.models
        ]
        return web.Response(body=orjson.dumps({"object": "list", "data": data}), content_type=JSON_TYPE)

    async def _body(self, request: web.Request) -> bytes:
        parts = []
        while chunk := await request.content.readany():
            self.received += len(chunk)
            parts.append(chunk)
        return b"".join(parts)

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        call = Call(
            method=request.method,
            path=request.path,
            query=request.query_string,
            headers=request.headers.copy(),
            body=await self._body(request),
        )
        self.calls.append(call)
        refused = self._refused(request)
        if refused is not None:
            return refused
        self.live += 1
        self.peak = max(self.peak, self.live)
        try:
            behaviour = self._scripted.popleft() if self._scripted else self._constant
            return await behaviour.respond(request, call)
        except (asyncio.CancelledError, ConnectionResetError):
            self.cancelled += 1
            raise
        finally:
            self.live -= 1
