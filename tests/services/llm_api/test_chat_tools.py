"""Tools with a provider whose models know none: callers see OpenAI's tool calls all the same."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import openai
import pytest

from jan_server.services.llm_api.bootstrap import described_providers
from jan_server.services.llm_api.providers import TOOL_SUPPORT
from jan_server.settings.tree import Settings
from tests.doubles.openai_upstream import Answer, OpenAIUpstream, Stream
from tests.inference.gguf_files import METADATA, gguf_bytes
from tests.services.llm_api.conftest import UPSTREAM_KEY, Serve
from tests.services.llm_api.platform import Platform

MODEL = "scripted-model"
HELLO: Any = [{"role": "user", "content": "Weather in Hue?"}]
TOOLS: Any = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
        },
    }
]
CALL = '{"tool": "get_weather", "arguments": {"city": "Hue"}}'
REQUIRED: Any = {"tools": TOOLS, "tool_choice": "required"}


@pytest.fixture(scope="module")
async def small_models(serve: Serve, upstream: OpenAIUpstream) -> Platform:
    """A platform whose provider says that its models know no tools."""
    provider = {
        "name": "Small models",
        "url": upstream.url,
        "api_key": UPSTREAM_KEY,
        "metadata": {"tool_support": False},
    }
    platform = await serve(upstream, inference={"provider": "remote", "providers": [provider]})
    await platform.serving.sync.sync_providers()
    return platform


@pytest.fixture
async def program(small_models: Platform) -> AsyncIterator[openai.AsyncOpenAI]:
    small_models.upstream.reset()
    async with small_models.openai() as opened:
        yield opened


@pytest.mark.parametrize(
    ("template", "told"), [("{{ messages }}", "false"), ("{% if tools %}{% endif %}", "true")]
)
def test_the_engines_model_tells_whether_it_knows_tools(tmp_path: Path, template: str, told: str) -> None:
    model = tmp_path / "tiny.gguf"
    model.write_bytes(gguf_bytes({**METADATA, "tokenizer.chat_template": template}))
    inference = {"provider": "builtin", "llamacpp": {"model": str(model)}}
    engine, *_ = described_providers(Settings.model_validate({"inference": inference}), tmp_path)
    assert engine.details[TOOL_SUPPORT] == told


async def test_a_call_is_told_as_openai_tells_it(
    program: openai.AsyncOpenAI, upstream: OpenAIUpstream
) -> None:
    upstream.next(Answer(CALL))
    completion = await program.chat.completions.create(model=MODEL, messages=HELLO, **REQUIRED)
    choice = completion.choices[0]
    assert (choice.finish_reason, choice.message.content) == ("tool_calls", None)
    call: Any = (choice.message.tool_calls or [])[0]
    assert call.id.startswith("call_")
    assert (call.function.name, json.loads(call.function.arguments)) == ("get_weather", {"city": "Hue"})
    sent = upstream.last.json
    assert not {"tools", "tool_choice"} & set(sent)
    assert sent["response_format"]["type"] == "json_schema"
    assert "get_weather" in sent["messages"][0]["content"]


async def test_a_streamed_call(program: openai.AsyncOpenAI, upstream: OpenAIUpstream) -> None:
    upstream.next(Stream(words=tuple(CALL.split(" "))))
    stream = await program.chat.completions.create(
        model=MODEL, messages=HELLO, stream=True, stream_options={"include_usage": True}, **REQUIRED
    )
    name = arguments = reason = ""
    usage = None
    async for chunk in stream:
        usage = chunk.usage or usage
        for choice in chunk.choices:
            assert not choice.delta.content
            reason = choice.finish_reason or reason
            for part in choice.delta.tool_calls or ():
                assert part.function is not None
                name += part.function.name or ""
                arguments += part.function.arguments or ""
    assert (name, json.loads(arguments), reason) == ("get_weather", {"city": "Hue"}, "tool_calls")
    assert usage is not None


async def test_with_auto_the_model_may_answer(program: openai.AsyncOpenAI, upstream: OpenAIUpstream) -> None:
    upstream.always(Answer('{"answer": "Hello there"}'))
    whole = await program.chat.completions.create(model=MODEL, messages=HELLO, tools=TOOLS)
    assert (whole.choices[0].message.content, whole.choices[0].finish_reason) == ("Hello there", "stop")
    stream = await program.chat.completions.create(model=MODEL, messages=HELLO, tools=TOOLS, stream=True)
    assert "".join([chunk.choices[0].delta.content or "" async for chunk in stream]) == "Hello there"


async def test_a_call_that_is_cut_off_is_told_as_length(
    program: openai.AsyncOpenAI, upstream: OpenAIUpstream
) -> None:
    upstream.next(Answer(CALL[:-8], finish_reason="length"))
    completion = await program.chat.completions.create(model=MODEL, messages=HELLO, **REQUIRED)
    assert completion.choices[0].finish_reason == "length"
    assert not completion.choices[0].message.tool_calls


async def test_results_of_tools_reach_the_model_as_text(
    program: openai.AsyncOpenAI, upstream: OpenAIUpstream
) -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}}
    history: Any = [
        *HELLO,
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "sunny"},
    ]
    await program.chat.completions.create(model=MODEL, messages=history)
    sent = upstream.last.json["messages"]
    assert [message["role"] for message in sent] == ["user", "assistant", "user"]
    assert sent[2]["content"] == "Result of the tool get_weather: sunny"


async def test_a_tool_that_is_not_offered_cannot_be_chosen(program: openai.AsyncOpenAI) -> None:
    choice: Any = {"type": "function", "function": {"name": "nobody"}}
    with pytest.raises(openai.BadRequestError) as caught:
        await program.chat.completions.create(model=MODEL, messages=HELLO, tools=TOOLS, tool_choice=choice)
    assert caught.value.param == "tool_choice"


async def test_a_conversation_keeps_the_call(small_models: Platform, upstream: OpenAIUpstream) -> None:
    async with small_models.client() as caller:
        for stream in (False, True):
            upstream.next(Answer(CALL))
            body = {"model": MODEL, "messages": HELLO, "stream": stream, "conversation": {}, **REQUIRED}
            answer = await caller.post("/v1/chat/completions", json=body)
            conversation = answer.headers["x-conversation-id"]
            items = (
                await caller.get(f"/v1/conversations/{conversation}/items", params={"order": "asc"})
            ).json()
            assert "get_weather" in json.dumps(items["data"][1:])
            assert "arguments" in json.dumps(items["data"][1:])


async def test_without_tools_nothing_is_changed(
    program: openai.AsyncOpenAI, upstream: OpenAIUpstream
) -> None:
    await program.chat.completions.create(model=MODEL, messages=HELLO)
    assert upstream.last.json == {"model": MODEL, "messages": HELLO}


async def test_a_refused_choice_of_a_tool_is_no_stream_under_way(small_models: Platform) -> None:
    other = {"type": "function", "function": {"name": "get_time"}}
    body = {"model": MODEL, "messages": HELLO, "stream": True, "tools": TOOLS, "tool_choice": other}
    async with small_models.client() as client:
        refused = await client.post("/v1/chat/completions", json=body)
        metrics = (await client.get("/metrics")).text
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "tool_choice")
    under_way = [line for line in metrics.splitlines() if line.startswith("jan_llm_api_active_streams{")]
    assert all(line.endswith(" 0.0") for line in under_way)
