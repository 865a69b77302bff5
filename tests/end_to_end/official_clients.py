"""The official `openai` and `anthropic` packages behind one set of words: one tour plays through both.

A tour says what is asked and what must come back; the classes here only write it down in the words of
their package. Nothing is mended on the way: what a package cannot read, the tour does not see.
"""

from __future__ import annotations

import base64
import json
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, Self

import anthropic
import openai

ENOUGH_TOKENS = 200

Choice = Literal["auto", "required", "none"]


@dataclass(frozen=True)
class Tool:
    """A tool that the model may call."""

    name: str
    schema: dict[str, Any]
    description: str = ""


@dataclass(frozen=True)
class Use:
    """One call of a tool, as a model asked for it."""

    name: str
    arguments: Any
    id: str = "call_of_the_tour"


@dataclass(frozen=True)
class Result:
    """What came out of one call."""

    id: str
    text: str


@dataclass(frozen=True)
class Picture:
    data: bytes
    media_type: str = "image/png"

    @property
    def base64(self) -> str:
        return base64.b64encode(self.data).decode()

    @property
    def url(self) -> str:
        return f"data:{self.media_type};base64,{self.base64}"


Part = str | Picture | Use | Result


@dataclass(frozen=True)
class Turn:
    role: Literal["user", "assistant"]
    parts: Sequence[Part]


def user(*parts: Part) -> Turn:
    return Turn("user", parts)


def assistant(*parts: Part) -> Turn:
    return Turn("assistant", parts)


@dataclass(frozen=True)
class Question:
    """One request.

    Attributes:
        named: The one tool that has to be called.
        layout: The JSON schema of the answer.
    """

    model: str
    turns: Sequence[Turn]
    system: str = ""
    tools: Sequence[Tool] = ()
    choice: Choice | None = None
    named: str = ""
    parallel: bool = True
    stops: Sequence[str] = ()
    layout: dict[str, Any] | None = None
    tokens: int = ENOUGH_TOKENS
    temperature: float | None = None


@dataclass(frozen=True)
class Reply:
    """What came back.

    Attributes:
        stop: Why it ended, in OpenAI's words: stop, length or tool_calls.
    """

    text: str
    stop: str
    model: str
    thinking: str = ""
    uses: list[Use] = field(default_factory=list)
    asked_tokens: int = 0
    answer_tokens: int = 0


class OfficialClient(ABC):
    """One package with one credential.

    Attributes:
        package: The module, whose exceptions have the same names in both.
    """

    package: Any

    @abstractmethod
    async def ask(self, question: Question) -> Reply:
        """A whole answer."""

    @abstractmethod
    def stream(self, question: Question) -> AsyncIterator[str | Reply]:
        """The pieces of text as they come, and at the end the whole reply, put together by the package."""

    @abstractmethod
    async def models(self) -> list[str]:
        """The ids of the models, page after page."""

    @abstractmethod
    async def model(self, model_id: str) -> str:
        """The id of one model."""

    @abstractmethod
    def told(self, error: Any) -> tuple[str, str]:
        """The type and the message that an error carries."""

    @abstractmethod
    def again(self, **options: Any) -> Self:
        """The same with other options of the package."""

    @abstractmethod
    async def close(self) -> None: ...


class OpenAIClient(OfficialClient):
    package = openai

    def __init__(self, client: openai.AsyncOpenAI) -> None:
        self.client = client

    @classmethod
    def at(cls, gateway: str, credential: str, **options: Any) -> OpenAIClient:
        options = {"max_retries": 0, **options}
        return cls(openai.AsyncOpenAI(base_url=f"{gateway}/v1", api_key=credential, **options))

    def again(self, **options: Any) -> OpenAIClient:
        return OpenAIClient(self.client.with_options(**options))

    async def ask(self, question: Question) -> Reply:
        return openai_reply(await self.client.chat.completions.create(**openai_request(question)))

    async def stream(self, question: Question) -> AsyncIterator[str | Reply]:
        request = {**openai_request(question), "stream_options": {"include_usage": True}}
        async with self.client.chat.completions.stream(**request) as stream:
            async for event in stream:
                if event.type == "content.delta":
                    yield event.delta
            try:
                yield openai_reply(await stream.get_final_completion())
            except openai.LengthFinishReasonError as cut_off:
                yield openai_reply(cut_off.completion)

    async def models(self) -> list[str]:
        return [model.id async for model in self.client.models.list()]

    async def model(self, model_id: str) -> str:
        return (await self.client.models.retrieve(model_id)).id

    def told(self, error: Any) -> tuple[str, str]:
        return error.type, error.body["message"]

    async def close(self) -> None:
        await self.client.close()


class AnthropicClient(OfficialClient):
    package = anthropic

    def __init__(self, client: anthropic.AsyncAnthropic) -> None:
        self.client = client

    @classmethod
    def at(cls, gateway: str, credential: str, **options: Any) -> AnthropicClient:
        options = {"max_retries": 0, **options}
        name = "api_key" if credential.startswith("sk") else "auth_token"
        return cls(anthropic.AsyncAnthropic(base_url=gateway, **{name: credential}, **options))

    def again(self, **options: Any) -> AnthropicClient:
        return AnthropicClient(self.client.with_options(**options))

    async def ask(self, question: Question) -> Reply:
        return anthropic_reply(await self.client.messages.create(**anthropic_request(question)))

    async def stream(self, question: Question) -> AsyncIterator[str | Reply]:
        async with self.client.messages.stream(**anthropic_request(question)) as stream:
            async for text in stream.text_stream:
                yield text
            yield anthropic_reply(await stream.get_final_message())

    async def models(self) -> list[str]:
        return [model.id async for model in self.client.models.list(limit=1)]

    async def model(self, model_id: str) -> str:
        return (await self.client.models.retrieve(model_id)).id

    def told(self, error: Any) -> tuple[str, str]:
        return error.body["error"]["type"], error.body["error"]["message"]

    async def close(self) -> None:
        await self.client.close()


CLIENTS: dict[str, type[OpenAIClient] | type[AnthropicClient]] = {
    "openai": OpenAIClient,
    "anthropic": AnthropicClient,
}


@asynccontextmanager
async def official_client(
    package: str, gateway: str, credential: str, **options: Any
) -> AsyncIterator[OpenAIClient | AnthropicClient]:
    """A client of one package, closed at the end."""
    client = CLIENTS[package].at(gateway, credential, **options)
    try:
        yield client
    finally:
        await client.close()


def openai_request(question: Question) -> dict[str, Any]:
    messages: list[dict[str, Any]] = []
    if question.system:
        messages.append({"role": "system", "content": question.system})
    for turn in question.turns:
        messages.extend(openai_messages(turn))
    request: dict[str, Any] = {
        "model": question.model,
        "messages": messages,
        "max_completion_tokens": question.tokens,
    }
    if question.tools:
        request["tools"] = [
            {
                "type": "function",
                "function": {
                    "name": tool.name,
                    "description": tool.description,
                    "parameters": tool.schema,
                    "strict": True,
                },
            }
            for tool in question.tools
        ]
    if question.named:
        request["tool_choice"] = {"type": "function", "function": {"name": question.named}}
    elif question.choice:
        request["tool_choice"] = question.choice
    if not question.parallel:
        request["parallel_tool_calls"] = False
    if question.stops:
        request["stop"] = list(question.stops)
    if question.layout is not None:
        request["response_format"] = {
            "type": "json_schema",
            "json_schema": {"name": "answer", "strict": True, "schema": question.layout},
        }
    if question.temperature is not None:
        request["temperature"] = question.temperature
    return request


def openai_messages(turn: Turn) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = [
        {"role": "tool", "tool_call_id": part.id, "content": part.text}
        for part in turn.parts
        if isinstance(part, Result)
    ]
    said: list[dict[str, Any]] = []
    for part in turn.parts:
        if isinstance(part, str):
            said.append({"type": "text", "text": part})
        elif isinstance(part, Picture):
            said.append({"type": "image_url", "image_url": {"url": part.url}})
    calls = [
        {
            "id": part.id,
            "type": "function",
            "function": {"name": part.name, "arguments": json.dumps(part.arguments)},
        }
        for part in turn.parts
        if isinstance(part, Use)
    ]
    if calls:
        messages.append({"role": turn.role, "content": said or None, "tool_calls": calls})
    elif said:
        only_text = len(said) == 1 and said[0]["type"] == "text"
        messages.append({"role": turn.role, "content": said[0]["text"] if only_text else said})
    return messages


def openai_reply(completion: Any) -> Reply:
    assert completion.object == "chat.completion"
    choice = completion.choices[0]
    assert choice.message.role == "assistant"
    return Reply(
        text=choice.message.content or "",
        stop=choice.finish_reason,
        model=completion.model,
        thinking=getattr(choice.message, "reasoning_content", None) or "",
        uses=[
            Use(call.function.name, json.loads(call.function.arguments), call.id)
            for call in choice.message.tool_calls or ()
        ],
        asked_tokens=completion.usage.prompt_tokens,
        answer_tokens=completion.usage.completion_tokens,
    )


_STOPS = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "tool_use": "tool_calls",
}
_CHOICES = {"auto": "auto", "required": "any", "none": "none"}


def anthropic_request(question: Question) -> dict[str, Any]:
    request: dict[str, Any] = {
        "model": question.model,
        "messages": [
            {"role": turn.role, "content": [anthropic_block(part) for part in turn.parts]}
            for turn in question.turns
        ],
        "max_tokens": question.tokens,
    }
    if question.system:
        request["system"] = question.system
    if question.tools:
        request["tools"] = [
            {"name": tool.name, "description": tool.description, "input_schema": tool.schema}
            for tool in question.tools
        ]
    choice: dict[str, Any] = {}
    if question.named:
        choice = {"type": "tool", "name": question.named}
    elif question.choice:
        choice = {"type": _CHOICES[question.choice]}
    if not question.parallel:
        choice = {"type": "auto", **choice, "disable_parallel_tool_use": True}
    if choice:
        request["tool_choice"] = choice
    if question.stops:
        request["stop_sequences"] = list(question.stops)
    if question.layout is not None:
        request["output_config"] = {"format": {"type": "json_schema", "schema": question.layout}}
    if question.temperature is not None:
        # The package has no word for it any more, while the API still knows it.
        request["extra_body"] = {"temperature": question.temperature}
    return request


def anthropic_block(part: Part) -> dict[str, Any]:
    if isinstance(part, str):
        return {"type": "text", "text": part}
    if isinstance(part, Picture):
        source = {"type": "base64", "media_type": part.media_type, "data": part.base64}
        return {"type": "image", "source": source}
    if isinstance(part, Use):
        return {"type": "tool_use", "id": part.id, "name": part.name, "input": part.arguments}
    return {"type": "tool_result", "tool_use_id": part.id, "content": part.text}


def anthropic_reply(message: Any) -> Reply:
    assert (message.type, message.role) == ("message", "assistant")
    blocks = message.content
    return Reply(
        text="".join(block.text for block in blocks if block.type == "text"),
        stop=_STOPS[message.stop_reason],
        model=message.model,
        thinking="".join(block.thinking for block in blocks if block.type == "thinking"),
        uses=[Use(block.name, block.input, block.id) for block in blocks if block.type == "tool_use"],
        asked_tokens=message.usage.input_tokens,
        answer_tokens=message.usage.output_tokens,
    )
