"""Anthropic's Messages API through Anthropic's own client, against a scripted provider."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import anthropic
import pytest
from pydantic import BaseModel
from starlette.datastructures import QueryParams

from jan_server.inference.provider import Provider
from jan_server.services.llm_api.anthropic.model_list import model_page
from jan_server.services.llm_api.models import OfferedModel
from tests.doubles.keycloak import Keycloak
from tests.doubles.openai_upstream import (
    Answer,
    Failure,
    Gate,
    Hang,
    OpenAIUpstream,
    Raw,
    Stream,
    ToolCall,
    completion,
)
from tests.services.llm_api.conftest import UPSTREAM_KEY, Serve, Start, bearer
from tests.services.llm_api.platform import TRUST, Platform

MODEL = "claude-scripted"
HELLO: Any = [{"role": "user", "content": "Hello"}]
PROVIDER = Provider("prov_scripted", "Scripted", ())
WEATHER: Any = {
    "name": "get_weather",
    "description": "The weather of a city",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}},
}
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="


class City(BaseModel):
    name: str
    big: bool


@pytest.fixture(scope="module")
async def messages_platform(serve: Serve) -> AsyncIterator[Platform]:
    """A platform whose provider offers a model with one of Anthropic's names, among others."""
    async with OpenAIUpstream(models=[MODEL], api_key=UPSTREAM_KEY) as upstream:
        platform = await serve(upstream)
        await platform.serving.sync.sync_providers()
        yield platform


@pytest.fixture
def upstream(messages_platform: Platform) -> OpenAIUpstream:
    messages_platform.upstream.reset()
    return messages_platform.upstream


def program_at(platform: Platform, **headers: str) -> anthropic.AsyncAnthropic:
    return anthropic.AsyncAnthropic(
        api_key="unused",
        base_url=platform.url,
        default_headers=headers,
        max_retries=0,
        http_client=anthropic.DefaultAsyncHttpxClient(verify=TRUST),
    )


@pytest.fixture
async def program(messages_platform: Platform) -> AsyncIterator[anthropic.AsyncAnthropic]:
    async with program_at(messages_platform, **messages_platform.headers()) as opened:
        yield opened


async def ask(program: anthropic.AsyncAnthropic, **members: Any) -> anthropic.types.Message:
    message: anthropic.types.Message = await program.messages.create(
        **{"model": MODEL, "max_tokens": 100, "messages": HELLO, **members}
    )
    return message


async def test_a_message(program: anthropic.AsyncAnthropic, upstream: OpenAIUpstream) -> None:
    upstream.next(Answer("Hi there"))
    message = await ask(
        program,
        system=[{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
        extra_body={"temperature": 0.5, "top_k": 20},
        stop_sequences=["END"],
        metadata={"user_id": "someone"},
    )
    assert (message.type, message.role, message.model) == ("message", "assistant", MODEL)
    assert [(block.type, getattr(block, "text", "")) for block in message.content] == [("text", "Hi there")]
    assert (message.stop_reason, message.stop_sequence) == ("end_turn", None)
    assert (message.usage.input_tokens, message.usage.output_tokens) == (7, 5)
    assert message._request_id
    assert upstream.last.json == {
        "model": MODEL,
        "messages": [{"role": "system", "content": "Be brief."}, *HELLO],
        "max_tokens": 100,
        "temperature": 0.5,
        "top_k": 20,
        "stop": ["END"],
        "user": "someone",
    }


async def test_a_stream(program: anthropic.AsyncAnthropic, upstream: OpenAIUpstream) -> None:
    upstream.next(Stream(words=("Hi", "there"), reasoning=("Let me", " think")))
    async with program.messages.stream(model=MODEL, max_tokens=50, messages=HELLO) as stream:
        kinds = [event.type async for event in stream]
        message = await stream.get_final_message()
    thinking, text = message.content
    assert thinking.type == "thinking"
    assert thinking.thinking == "Let me think"
    assert text.type == "text"
    assert text.text == "Hi there"
    assert message.stop_reason == "end_turn"
    assert (message.usage.input_tokens, message.usage.output_tokens) == (7, 2)
    assert [kinds[0], *kinds[-2:]] == ["message_start", "message_delta", "message_stop"]
    assert kinds.count("content_block_start") == kinds.count("content_block_stop") == 2


async def test_reasoning_is_thinking(program: anthropic.AsyncAnthropic, upstream: OpenAIUpstream) -> None:
    told = completion("42")
    told["choices"][0]["message"]["reasoning_content"] = "6 times 7"
    upstream.next(Raw(json.dumps(told).encode()))
    message = await ask(program)
    assert [block.type for block in message.content] == ["thinking", "text"]


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ({"type": "auto"}, "auto"),
        ({"type": "any"}, "required"),
        ({"type": "none"}, "none"),
        ({"type": "tool", "name": "get_weather"}, {"type": "function", "function": {"name": "get_weather"}}),
    ],
)
async def test_a_tool_is_called(
    program: anthropic.AsyncAnthropic, upstream: OpenAIUpstream, choice: Any, expected: Any
) -> None:
    upstream.next(ToolCall())
    message = await ask(program, tools=[WEATHER], tool_choice={**choice, "disable_parallel_tool_use": True})
    (block,) = message.content
    assert block.type == "tool_use"
    assert (block.id, block.name, block.input) == ("call_scripted", "get_weather", {"city": "Hanoi"})
    assert message.stop_reason == "tool_use"
    sent = upstream.last.json
    assert (sent["tool_choice"], sent["parallel_tool_calls"]) == (expected, False)
    function = sent["tools"][0]["function"]
    assert (function["name"], function["parameters"]) == ("get_weather", WEATHER["input_schema"])


async def test_a_tool_is_called_in_a_stream(
    program: anthropic.AsyncAnthropic, upstream: OpenAIUpstream
) -> None:
    upstream.next(ToolCall())
    async with program.messages.stream(model=MODEL, max_tokens=50, messages=HELLO, tools=[WEATHER]) as stream:
        message = await stream.get_final_message()
    (block,) = message.content
    assert block.type == "tool_use"
    assert (block.name, block.input, message.stop_reason) == ("get_weather", {"city": "Hanoi"}, "tool_use")


async def test_results_of_tools_and_images_reach_the_model(
    program: anthropic.AsyncAnthropic, upstream: OpenAIUpstream
) -> None:
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}}
    use = {"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {"city": "Hue"}}
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": [{"type": "text", "text": "sunny"}]}
    failed = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "no such city", "is_error": True}
    thought = {"type": "thinking", "thinking": "hm", "signature": "s"}
    messages = [
        {"role": "user", "content": [image, {"type": "text", "text": "What is this?"}]},
        {"role": "assistant", "content": [thought, {"type": "text", "text": "Let me see."}, use]},
        {"role": "user", "content": [result, failed, {"type": "text", "text": "Well?"}]},
    ]
    await ask(program, messages=messages, tools=[WEATHER])
    sent = upstream.last.json["messages"]
    assert sent[0]["content"] == [
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}},
        {"type": "text", "text": "What is this?"},
    ]
    call = {
        "id": "toolu_1",
        "type": "function",
        "function": {"name": "get_weather", "arguments": '{"city":"Hue"}'},
    }
    assert sent[1] == {"role": "assistant", "content": "Let me see.", "tool_calls": [call]}
    assert [(message["role"], message["content"]) for message in sent[2:]] == [
        ("tool", "sunny"),
        ("tool", "Error: no such city"),
        ("user", "Well?"),
    ]


@pytest.mark.parametrize("finish", ["length", "stop"])
async def test_the_reason_to_stop(
    program: anthropic.AsyncAnthropic, upstream: OpenAIUpstream, finish: str
) -> None:
    told = completion("Hi", finish_reason=finish)
    told["choices"][0]["stop_reason"] = "END" if finish == "stop" else None
    upstream.next(Raw(json.dumps(told).encode()))
    message = await ask(program)
    expected = ("max_tokens", None) if finish == "length" else ("stop_sequence", "END")
    assert (message.stop_reason, message.stop_sequence) == expected


@pytest.mark.parametrize(
    ("members", "named"),
    [
        ({"max_tokens": 0}, "max_tokens"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "robot", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": []}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": [{"type": "image"}]}]}, "messages[0].content[0].source"),
        ({"messages": [{"role": "user", "content": [{"type": "music"}]}]}, "messages[0].content[0].type"),
        ({"extra_body": {"temperature": "hot"}}, "temperature"),
        ({"system": 7}, "system"),
        ({"tools": [{"name": "x"}]}, "tools[0].input_schema"),
        ({"tools": [{"type": "bash_20250124", "name": "bash"}]}, "tools[0].type"),
        ({"tools": [WEATHER], "tool_choice": {"type": "perhaps"}}, "tool_choice.type"),
    ],
)
async def test_a_bad_request_names_the_field(
    program: anthropic.AsyncAnthropic, upstream: OpenAIUpstream, members: Any, named: str
) -> None:
    with pytest.raises(anthropic.BadRequestError) as caught:
        await ask(program, **members)
    body: Any = caught.value.body
    assert (body["type"], body["error"]["type"]) == ("error", "invalid_request_error")
    assert named in body["error"]["message"]
    assert body["request_id"] == caught.value.request_id
    assert not upstream.calls


@pytest.mark.parametrize(
    ("behaviour", "failure", "kind"),
    [
        (Failure(429, headers={"Retry-After": "7"}), anthropic.RateLimitError, "rate_limit_error"),
        (
            Failure(400, "too long", code="context_length_exceeded"),
            anthropic.BadRequestError,
            "invalid_request_error",
        ),
        (Failure(500), anthropic.InternalServerError, "api_error"),
        (Raw(b'{"choices":['), anthropic.InternalServerError, "api_error"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_a_providers_failure_has_anthropics_shape(
    program: anthropic.AsyncAnthropic,
    upstream: OpenAIUpstream,
    behaviour: Failure | Raw,
    failure: type[anthropic.APIStatusError],
    kind: str,
    stream: bool,
) -> None:
    upstream.always(behaviour)
    with pytest.raises(failure) as caught:
        await ask(program, stream=stream)
    body: Any = caught.value.body
    assert body["error"]["type"] == kind


async def test_a_stream_that_breaks_off_ends_with_an_error(
    program: anthropic.AsyncAnthropic, upstream: OpenAIUpstream
) -> None:
    upstream.next(Stream(frames=3, drop_after=2))
    with pytest.raises(anthropic.APIStatusError) as caught:
        async with program.messages.stream(model=MODEL, max_tokens=50, messages=HELLO) as stream:
            await stream.get_final_message()
    body: Any = caught.value.body
    assert (body["type"], body["error"]["type"]) == ("error", "api_error")


async def test_an_answer_in_a_wanted_layout(
    program: anthropic.AsyncAnthropic, upstream: OpenAIUpstream
) -> None:
    upstream.next(Answer('{"name": "Hue", "big": false}'))
    parsed = await program.messages.parse(model=MODEL, max_tokens=50, messages=HELLO, output_format=City)
    assert parsed.parsed_output == City(name="Hue", big=False)
    layout = upstream.last.json["response_format"]
    assert layout["type"] == "json_schema"
    assert set(layout["json_schema"]["schema"]["properties"]) == {"name", "big"}


async def test_unknown_models_are_not_found(program: anthropic.AsyncAnthropic) -> None:
    for answer in (
        ask(program, model="claude-nobody"),
        program.messages.count_tokens(model="claude-nobody", messages=HELLO),
    ):
        with pytest.raises(anthropic.NotFoundError) as caught:
            await answer
        body: Any = caught.value.body
        assert body["error"]["type"] == "not_found_error"


async def test_models_have_anthropics_shape(program: anthropic.AsyncAnthropic) -> None:
    listed = [model async for model in program.models.list(limit=1)]
    assert [model.id for model in listed] == [f"anthropic/{MODEL}"]
    assert await program.models.retrieve(MODEL) == listed[0]
    told = listed[0]
    assert (told.type, told.lifecycle, told.display_name != "") == ("model", "active", True)
    assert told.created_at.year >= 2026
    with pytest.raises(anthropic.NotFoundError) as caught:
        await program.models.retrieve("claude-nobody")
    body: Any = caught.value.body
    assert (body["type"], body["error"]["type"]) == ("error", "not_found_error")


def test_models_come_in_pages() -> None:
    models = [OfferedModel(f"m{number}", f"m{number}", number, PROVIDER) for number in range(5)]
    models.insert(2, OfferedModel("vectors", "vectors", 9, PROVIDER, provider_category="embedding"))

    def page(query: str) -> tuple[list[str], bool]:
        told = model_page(models, QueryParams(query))
        ids = [model["id"] for model in told["data"]]
        assert (told["first_id"], told["last_id"]) == ((ids[0], ids[-1]) if ids else (None, None))
        return ids, told["has_more"]

    assert page("") == (["m0", "m1", "m2", "m3", "m4"], False)
    assert page("limit=2") == (["m0", "m1"], True)
    assert page("limit=2&after_id=m1") == (["m2", "m3"], True)
    assert page("after_id=m3") == (["m4"], False)
    assert page("limit=2&before_id=m3") == (["m1", "m2"], True)
    assert page("lifecycle[]=retired") == ([], False)
    assert page("lifecycle=active&limit=1") == (["m0"], True)


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=x", "limit=1001", "after_id=nobody", "after_id=a&before_id=b"]
)
async def test_a_wrong_page_names_the_parameter(program: anthropic.AsyncAnthropic, query: str) -> None:
    with pytest.raises(anthropic.BadRequestError, match=query.partition("=")[0]):
        await program.get(f"/v1/models?{query}", cast_to=object)


async def test_without_a_credential_nobody_is_served(messages_platform: Platform) -> None:
    async with program_at(messages_platform) as stranger:
        for answer in (
            ask(stranger),
            stranger.messages.count_tokens(model=MODEL, messages=HELLO),
            stranger.get("/v1/models", cast_to=object),
        ):
            with pytest.raises(anthropic.AuthenticationError) as caught:
                await answer
            body: Any = caught.value.body
            assert (body["type"], body["error"]["type"]) == ("error", "authentication_error")


async def test_tokens_are_counted(program: anthropic.AsyncAnthropic, upstream: OpenAIUpstream) -> None:
    short = await program.messages.count_tokens(model=MODEL, messages=HELLO)
    long = await program.messages.count_tokens(
        model=MODEL,
        messages=[{"role": "user", "content": "Hello " * 400}],
        system="Be brief.",
        tools=[WEATHER],
    )
    assert 0 < short.input_tokens < 50
    assert long.input_tokens > short.input_tokens + 500
    assert not upstream.calls


async def test_a_caller_who_leaves_ends_the_call(
    program: anthropic.AsyncAnthropic, upstream: OpenAIUpstream
) -> None:
    gate = Gate()
    upstream.next(Hang(), Stream(frames=9, gate=gate))
    for stream in (False, True):
        asking = asyncio.create_task(ask(program, stream=stream))
        await upstream.wait_until(lambda: upstream.live == 1)
        gate.release()
        if stream:
            async with await asking as events:  # type: ignore[attr-defined]  # a stream was asked for
                await anext(aiter(events))
        else:
            asking.cancel()
        await upstream.wait_until(lambda: upstream.live == 0)


@pytest.mark.parametrize("path", ["/v1/messages", "/llm/v1/messages"])
async def test_the_mirror_serves_it_too(messages_platform: Platform, path: str) -> None:
    async with messages_platform.client() as caller:
        body = {"model": MODEL, "max_tokens": 9, "messages": HELLO}
        headers = {"anthropic-version": "2023-06-01"}
        answer = await caller.post(path, json=body, headers=headers)
        assert answer.json()["type"] == "message"
        counted = await caller.post(f"{path}/count_tokens", json=body, headers=headers)
        assert counted.json()["input_tokens"] > 0
        broken = await caller.post(path, content=b"{", headers=headers)
        assert (broken.status_code, broken.json()["type"]) == (400, "error")


async def test_a_key_in_anthropics_header_is_a_credential(start: Start, keycloak: Keycloak) -> None:
    llm_api = await start(keycloak.url)
    user = keycloak.add_user("somebody")
    made = await llm_api.post("/auth/api-keys", json={"name": "ci"}, headers=bearer(keycloak.token(user)))
    body = {"model": "claude-nobody", "messages": HELLO}
    answer = await llm_api.post(
        "/v1/messages/count_tokens", json=body, headers={"x-api-key": made.json()["key"]}
    )
    assert (answer.status_code, answer.json()["error"]["type"]) == (404, "not_found_error")


async def test_an_unknown_key_in_anthropics_header_is_refused(messages_platform: Platform) -> None:
    async with messages_platform.client() as caller:
        caller.headers.clear()
        body = {"model": MODEL, "max_tokens": 9, "messages": HELLO}
        for headers in ({"x-api-key": "sk_live_unknown"}, bearer("sk_live_unknown")):
            answer = await caller.post("/v1/messages", json=body, headers=headers)
            assert (answer.status_code, answer.json()["error"]["message"]) == (401, "Invalid API key")
