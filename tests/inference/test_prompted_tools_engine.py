"""The built-in model calls tools: it knows none by itself, and its calls are valid every time."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Any

import orjson
import pytest
from pydantic import BaseModel, ConfigDict, Field

from jan_server.inference.client import UpstreamClient
from jan_server.inference.gguf import read_header
from jan_server.inference.prompted_tool_stream import PromptedToolStream
from jan_server.inference.prompted_tools import prompt_tools, read_completion
from jan_server.inference.provider import Endpoint, Provider
from tests.inference.conftest import MODEL_ID, RunningEngine

CHAT = "/chat/completions"
ENOUGH_TOKENS = 200


class Unit(Enum):
    CELSIUS = "C"
    FAHRENHEIT = "F"


class Weather(BaseModel):
    """The weather of a city."""

    model_config = ConfigDict(extra="forbid")

    city: str = Field(max_length=30)
    unit: Unit
    days: int = Field(1, ge=1, le=7)


class Tag(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str = Field(max_length=12)
    important: bool


class Note(BaseModel):
    """Keep a note."""

    model_config = ConfigDict(extra="forbid")

    text: str = Field(max_length=40)
    tags: list[Tag] = Field(max_length=2)


class Time(BaseModel):
    """The time now."""

    model_config = ConfigDict(extra="forbid")


TOOLS: dict[str, type[BaseModel]] = {"get_weather": Weather, "keep_note": Note, "get_time": Time}


def request(text: str, choice: Any, **members: Any) -> dict[str, Any]:
    tools = [
        {
            "type": "function",
            "function": {"name": name, "description": model.__doc__, "parameters": model.model_json_schema()},
        }
        for name, model in TOOLS.items()
    ]
    messages = [{"role": "user", "content": text}]
    return {
        "model": MODEL_ID,
        "messages": messages,
        "tools": tools,
        "tool_choice": choice,
        "max_tokens": ENOUGH_TOKENS,
        **members,
    }


def named(name: str) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name}}


@pytest.fixture
def provider(engine: RunningEngine) -> Provider:
    return Provider("prov_engine", "The engine", (Endpoint(engine.url),), kind="jan")


def test_its_template_knows_no_tools(model_file: Path) -> None:
    assert not read_header(model_file).knows_tools


@pytest.mark.parametrize("text", ["What is the weather in Hanoi?", "Remember: buy milk, now."])
@pytest.mark.parametrize("choice", ["required", *map(named, TOOLS)])
async def test_a_call_is_valid_every_time(
    client: UpstreamClient, provider: Provider, text: str, choice: Any
) -> None:
    sent, reading = prompt_tools(request(text, choice, seed=len(text)), bounded=True)
    assert reading is not None
    answer = await client.complete(provider, CHAT, orjson.dumps(sent))
    told = orjson.loads(read_completion(answer.body, reading))["choices"][0]
    assert told["finish_reason"] == "tool_calls"
    (call,) = told["message"]["tool_calls"]
    name = call["function"]["name"]
    assert name in ([choice["function"]["name"]] if isinstance(choice, dict) else TOOLS)
    TOOLS[name].model_validate_json(call["function"]["arguments"])


async def test_a_streamed_call_is_valid_too(client: UpstreamClient, provider: Provider) -> None:
    sent, reading = prompt_tools(request("What is the weather in Hue?", named("get_weather"), stream=True))
    assert reading is not None
    tools, frames = PromptedToolStream(reading), b""
    stream = await client.stream(provider, CHAT, orjson.dumps(sent))
    async with stream:
        async for chunk in stream:
            frames += tools.feed(chunk)
    frames += tools.end()
    choices = [
        orjson.loads(frame[6:])["choices"][0] for frame in frames.split(b"\n\n") if b'"choices"' in frame
    ]
    parts = [part["function"] for choice in choices for part in choice["delta"].get("tool_calls") or ()]
    assert parts[0]["name"] == "get_weather"
    Weather.model_validate_json("".join(part["arguments"] for part in parts))
    assert choices[-1]["finish_reason"] == "tool_calls"


async def test_a_call_that_is_cut_off_is_none(client: UpstreamClient, provider: Provider) -> None:
    sent, reading = prompt_tools(request("What is the weather in Hue?", "required", max_tokens=8))
    assert reading is not None
    answer = await client.complete(provider, CHAT, orjson.dumps(sent))
    told = orjson.loads(read_completion(answer.body, reading))["choices"][0]
    assert told["finish_reason"] == "length"
    assert not told["message"].get("tool_calls")


async def test_auto_calls_or_answers(client: UpstreamClient, provider: Provider) -> None:
    sent, reading = prompt_tools(request("Say hello.", "auto", max_tokens=60))
    assert reading is not None
    answer = await client.complete(provider, CHAT, orjson.dumps(sent))
    told = orjson.loads(read_completion(answer.body, reading))["choices"][0]
    assert told["finish_reason"] in ("stop", "length", "tool_calls")
    assert not str(told["message"]["content"] or "").startswith("{")
