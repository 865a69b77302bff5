"""One tour of the platform, played by the official `openai` and `anthropic` packages alike.

What the built-in model can do it does itself. A scripted provider stands in for a capable model on another
machine: it says what the step needs (a picture seen, a thought, a failure) and shows what reached it.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import anthropic
import httpx
import jsonschema
import openai
import pytest

from tests.doubles.openai_upstream import Answer, CapableModel, Failure, Gate, Stream, ToolCall
from tests.end_to_end.conftest import Platform
from tests.end_to_end.official_clients import (
    CLIENTS,
    AnthropicClient,
    OpenAIClient,
    Picture,
    Question,
    Reply,
    Result,
    Tool,
    Use,
    assistant,
    official_client,
    user,
)

CAPITAL = user("What is the capital of France?")
PIXEL = Picture(bytes.fromhex("89504e470d0a1a0a") + bytes(range(256)) * 40)
WEATHER = Tool(
    "get_weather",
    {
        "type": "object",
        "properties": {"city": {"type": "string"}, "unit": {"enum": ["C", "F"]}},
        "required": ["city", "unit"],
        "additionalProperties": False,
    },
    "The weather of a city.",
)
TIME = Tool(
    "get_time",
    {
        "type": "object",
        "properties": {"zone": {"type": "string"}},
        "required": ["zone"],
        "additionalProperties": False,
    },
    "The time in a zone.",
)
CITY = {
    "type": "object",
    "properties": {"city": {"type": "string", "maxLength": 20}, "big": {"type": "boolean"}},
    "required": ["city", "big"],
    "additionalProperties": False,
}
Client = OpenAIClient | AnthropicClient


@pytest.fixture(params=list(CLIENTS))
async def client(request: pytest.FixtureRequest, platform: Platform, api_key: str) -> AsyncIterator[Client]:
    async with official_client(request.param, platform.gateway, api_key) as made:
        yield made


async def gathered(stream: AsyncIterator[str | Reply]) -> tuple[list[str], Reply]:
    """The pieces of a stream and the reply that the package made of them."""
    *pieces, reply = [piece async for piece in stream]
    assert isinstance(reply, Reply)
    return [str(piece) for piece in pieces], reply


async def replied(client: Client, question: Question, *, streamed: bool) -> Reply:
    """The reply to a question, as a whole or put together from a stream."""
    if not streamed:
        return await client.ask(question)
    pieces, reply = await gathered(client.stream(question))
    assert "".join(pieces) == reply.text
    return reply


def talk(platform: Platform) -> list[dict[str, Any]]:
    """The messages that reached the provider, less what the server's prompt modules added."""
    return [message for message in platform.upstream.last.json["messages"] if message["role"] != "system"]


# Chat and streams


async def test_the_built_in_model_answers(client: Client, builtin_model_id: str):
    reply = await client.ask(Question(builtin_model_id, [CAPITAL], tokens=24, temperature=0))
    assert "Paris" in reply.text
    assert reply.asked_tokens > 0
    assert 0 < reply.answer_tokens <= 24


async def test_the_built_in_model_streams_and_counts_its_tokens(client: Client, builtin_model_id: str):
    question = Question(builtin_model_id, [CAPITAL], tokens=24, temperature=0)
    pieces, reply = await gathered(client.stream(question))
    assert "Paris" in reply.text
    assert "".join(pieces) == reply.text
    assert len(pieces) > 3
    assert reply.answer_tokens > 3


async def test_a_limit_ends_an_answer(client: Client, builtin_model_id: str):
    reply = await client.ask(Question(builtin_model_id, [user("Tell a long story.")], tokens=5))
    assert reply.stop == "length"
    assert reply.answer_tokens <= 5


async def test_a_stop_sequence_ends_an_answer(client: Client, builtin_model_id: str):
    reply = await client.ask(Question(builtin_model_id, [CAPITAL], tokens=24, temperature=0, stops=["Par"]))
    assert reply.stop == "stop"
    assert "Par" not in reply.text


async def test_system_prompt_and_earlier_turns_reach_the_model(
    client: Client, platform: Platform, scripted_model: str
):
    turns = [user("I am Ada."), assistant("Hello Ada."), user("Who am I?")]
    reply = await client.ask(Question(scripted_model, turns, system="Be brief."))
    assert (reply.text, reply.stop) == ("Hi", "stop")
    assert reply.model in scripted_model
    sent = platform.upstream.last.json["messages"]
    assert "Be brief." in sent[0]["content"]
    assert [message["content"] for message in talk(platform)] == ["I am Ada.", "Hello Ada.", "Who am I?"]


@pytest.mark.parametrize("package", list(CLIENTS))
def test_the_synchronous_client_does_the_same(
    package: str, platform: Platform, api_key: str, builtin_model_id: str
):
    message: Any = {"role": "user", "content": CAPITAL.parts[0]}
    if package == "openai":
        with openai.OpenAI(base_url=f"{platform.gateway}/v1", api_key=api_key) as caller:
            made = caller.chat.completions.create(
                model=builtin_model_id, messages=[message], max_tokens=24, temperature=0
            )
        text = made.choices[0].message.content
    else:
        with (
            anthropic.Anthropic(base_url=platform.gateway, api_key=api_key) as caller,
            caller.messages.stream(model=builtin_model_id, messages=[message], max_tokens=24) as stream,
        ):
            text = stream.get_final_text()
    assert text


# Structured output and reasoning


async def test_the_built_in_model_answers_in_a_wanted_layout(client: Client, builtin_model_id: str):
    reply = await client.ask(
        Question(builtin_model_id, [user("Describe Paris.")], layout=CITY, temperature=0, tokens=60)
    )
    jsonschema.validate(json.loads(reply.text), CITY)


async def test_a_models_reasoning_is_told_apart_from_its_answer(
    client: Client, platform: Platform, scripted_model: str
):
    platform.upstream.always(CapableModel("42", reasoning="Six times seven."))
    question = Question(scripted_model, [user("What is 6 x 7?")])
    whole = await client.ask(question)
    pieces, streamed = await gathered(client.stream(question))
    assert (whole.text, whole.thinking) == ("42", "Six times seven.")
    assert streamed.text == "".join(pieces) == "42"
    assert streamed.thinking.replace(" ", "") == "Sixtimesseven."


# Vision


async def test_a_picture_reaches_the_provider_unchanged(
    client: Client, platform: Platform, scripted_model: str
):
    platform.upstream.always(CapableModel())
    reply = await client.ask(Question(scripted_model, [user(PIXEL, "What is this?")]))
    assert reply.text == "A small red picture."
    assert talk(platform)[-1]["content"] == [
        {"type": "image_url", "image_url": {"url": PIXEL.url}},
        {"type": "text", "text": "What is this?"},
    ]


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
async def test_a_model_that_reads_only_text_says_so(client: Client, builtin_model_id: str, streamed: bool):
    question = Question(builtin_model_id, [user(PIXEL, "What is this?")])
    with pytest.raises(client.package.BadRequestError) as refused:
        await replied(client, question, streamed=streamed)
    kind, message = client.told(refused.value)
    assert kind == "invalid_request_error"
    assert "image" in message


# Tools


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
async def test_a_call_its_result_and_the_answer(
    client: Client, platform: Platform, scripted_model: str, streamed: bool
):
    platform.upstream.next(ToolCall("get_weather", '{"city":"Hanoi","unit":"C"}'), Answer("31 degrees"))
    asked = Question(scripted_model, [user("Is it warm in Hanoi?")], tools=[WEATHER], choice="auto")
    called = await replied(client, asked, streamed=streamed)
    assert called.stop == "tool_calls"
    (use,) = called.uses
    assert (use.name, use.arguments) == ("get_weather", {"city": "Hanoi", "unit": "C"})
    function = platform.upstream.last.json["tools"][0]["function"]
    assert (function["name"], function["parameters"]) == ("get_weather", WEATHER.schema)
    answered = await client.ask(
        replace(asked, turns=[*asked.turns, assistant(use), user(Result(use.id, "31 C"))])
    )
    assert (answered.text, answered.stop) == ("31 degrees", "stop")
    _, told, result = talk(platform)
    assert told["tool_calls"][0]["id"] == result["tool_call_id"] == use.id
    assert json.loads(told["tool_calls"][0]["function"]["arguments"]) == use.arguments
    assert (result["role"], result["content"]) == ("tool", "31 C")


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
async def test_parallel_calls_and_their_results(
    client: Client, platform: Platform, scripted_model: str, streamed: bool
):
    second = ToolCall("get_time", '{"zone":"Asia/Hanoi"}', "call_2")
    platform.upstream.next(ToolCall("get_weather", '{"city":"Hue","unit":"F"}', "call_1", (second,)))
    asked = Question(scripted_model, [user("Weather and time?")], tools=[WEATHER, TIME], choice="required")
    called = await replied(client, asked, streamed=streamed)
    assert called.uses == [
        Use("get_weather", {"city": "Hue", "unit": "F"}, "call_1"),
        Use("get_time", {"zone": "Asia/Hanoi"}, "call_2"),
    ]
    assert platform.upstream.last.json["tool_choice"] == "required"
    results = user(Result("call_1", "80 F"), Result("call_2", "noon"))
    await client.ask(replace(asked, choice=None, turns=[*asked.turns, assistant(*called.uses), results]))
    assert [(message["role"], message.get("tool_call_id")) for message in talk(platform)[-2:]] == [
        ("tool", "call_1"),
        ("tool", "call_2"),
    ]


async def test_one_call_at_a_time_can_be_asked_for(client: Client, platform: Platform, scripted_model: str):
    platform.upstream.next(ToolCall())
    question = Question(scripted_model, [CAPITAL], tools=[WEATHER], named="get_weather", parallel=False)
    await client.ask(question)
    sent = platform.upstream.last.json
    assert sent["parallel_tool_calls"] is False
    assert sent["tool_choice"] == {"type": "function", "function": {"name": "get_weather"}}


@pytest.mark.parametrize(
    ("named", "streamed"),
    [("", False), ("", True), ("get_time", True)],
    ids=["required", "required streamed", "named streamed"],
)
async def test_the_built_in_model_makes_a_valid_call_when_it_has_to(
    client: Client, builtin_model_id: str, named: str, streamed: bool
):
    question = Question(
        builtin_model_id,
        [user("What is the weather in Hanoi, in Celsius?")],
        tools=[WEATHER, TIME],
        choice="required",
        named=named,
        tokens=70,
    )
    reply = await replied(client, question, streamed=streamed)
    assert (reply.stop, reply.text) == ("tool_calls", "")
    (use,) = reply.uses
    schemas = {tool.name: tool.schema for tool in (WEATHER, TIME) if named in ("", tool.name)}
    jsonschema.validate(use.arguments, schemas[use.name])


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
async def test_with_auto_the_built_in_model_calls_or_answers_in_plain_text(
    client: Client, builtin_model_id: str, streamed: bool
):
    question = Question(builtin_model_id, [user("Say hello.")], tools=[TIME], choice="auto", temperature=0)
    reply = await replied(client, question, streamed=streamed)
    if reply.stop == "tool_calls":
        jsonschema.validate(reply.uses[0].arguments, TIME.schema)
    else:
        assert not reply.uses
        assert not reply.text.startswith("{")


async def test_with_none_no_tool_is_called(client: Client, builtin_model_id: str):
    reply = await client.ask(
        Question(builtin_model_id, [user("Say hello.")], tools=[TIME], choice="none", tokens=20)
    )
    assert reply.text
    assert not reply.uses


# Models


async def test_models_are_listed_and_found(client: Client, builtin_model_id: str, scripted_model: str):
    listed = await client.models()
    assert {builtin_model_id, scripted_model} <= set(listed)
    assert len(set(listed)) == len(listed)
    for name in listed:
        assert await client.model(name) == name


# Credentials and errors


@pytest.mark.parametrize("package", list(CLIENTS))
async def test_a_guests_token_opens_it_too(
    package: str, platform: Platform, guest_token: str, scripted_model: str
):
    async with official_client(package, platform.gateway, guest_token) as guest:
        assert (await guest.ask(Question(scripted_model, [CAPITAL]))).text == "Hi"
        assert scripted_model in await guest.models()


@pytest.mark.parametrize("key", ["sk_live_" + "0" * 48, "sk-nonsense", "not.a.token"])
@pytest.mark.parametrize("package", list(CLIENTS))
async def test_a_bad_credential_is_an_authentication_error(
    package: str, platform: Platform, scripted_model: str, key: str
):
    async with official_client(package, platform.gateway, key) as stranger:
        for refused in (stranger.ask(Question(scripted_model, [CAPITAL])), stranger.models()):
            with pytest.raises(stranger.package.AuthenticationError) as caught:
                await refused
            kind, message = stranger.told(caught.value)
            assert kind == "authentication_error"
            assert message


async def test_an_unknown_model_is_a_not_found_error(client: Client):
    for refused in (client.ask(Question("no/such-model", [CAPITAL])), client.model("no/such-model")):
        with pytest.raises(client.package.NotFoundError) as caught:
            await refused
        assert "no/such-model" in client.told(caught.value)[1]


async def test_a_bad_body_is_a_bad_request_that_names_the_field(client: Client, scripted_model: str):
    wizard: Any = replace(CAPITAL, role="wizard")
    with pytest.raises(client.package.BadRequestError) as caught:
        await client.ask(Question(scripted_model, [wizard]))
    kind, message = client.told(caught.value)
    assert kind == "invalid_request_error"
    assert "messages[0].role" in message


async def test_a_keys_own_limit_is_a_rate_limit_error_that_says_when_to_come_back(
    client: Client, platform: Platform, guest_token: str, scripted_model: str
):
    headers = {"Authorization": f"Bearer {guest_token}"}
    async with httpx.AsyncClient(base_url=platform.gateway, headers=headers) as keys:
        made = await keys.post("/auth/api-keys", json={"name": "one a minute", "requests_per_minute": 1})
    async with official_client(client.package.__name__, platform.gateway, made.json()["key"]) as limited:
        await limited.ask(Question(scripted_model, [CAPITAL]))
        with pytest.raises(limited.package.RateLimitError) as caught:
            await limited.ask(Question(scripted_model, [CAPITAL]))
    assert int(caught.value.response.headers["Retry-After"]) > 0
    assert "minute" in limited.told(caught.value)[1]


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
async def test_a_provider_that_fails_is_an_error_and_never_an_answer(
    client: Client, platform: Platform, scripted_model: str, streamed: bool
):
    platform.upstream.always(Failure(500, "out of memory"))
    question = Question(scripted_model, [CAPITAL])
    with pytest.raises(client.package.InternalServerError) as caught:
        await replied(client, question, streamed=streamed)
    assert "out of memory" in client.told(caught.value)[1]


async def test_a_provider_that_is_away_is_a_server_error(
    client: Client, platform: Platform, scripted_model: str
):
    await platform.upstream.stop()
    try:
        with pytest.raises(client.package.InternalServerError):
            await client.ask(Question(scripted_model, [CAPITAL]))
    finally:
        await platform.upstream.start()


async def test_a_stream_that_breaks_off_is_an_error(client: Client, platform: Platform, scripted_model: str):
    platform.upstream.next(Stream(frames=5, drop_after=2))
    stream = client.stream(Question(scripted_model, [CAPITAL]))
    assert (await anext(stream), await anext(stream)) == ("word0", " word1")
    with pytest.raises(client.package.APIError):
        await anext(stream)


# Retries


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
async def test_the_server_tries_again_before_the_first_byte(
    client: Client, platform: Platform, scripted_model: str, streamed: bool
):
    platform.upstream.next(Failure(503), Answer("there again"))
    question = Question(scripted_model, [CAPITAL])
    reply = await replied(client, question, streamed=streamed)
    assert reply.text == "there again"
    assert len(platform.upstream.calls) == 2


@pytest.mark.parametrize("failure", [429, 503])
async def test_the_client_tries_again_when_it_was_told_to(
    client: Client, platform: Platform, scripted_model: str, failure: int
):
    answers = [Failure(failure, headers={"Retry-After": "1"})]
    if failure == 503:
        answers *= 3  # the server's own tries
    platform.upstream.next(*answers, Answer("there again"))
    began = time.monotonic()
    reply = await client.again(max_retries=1).ask(Question(scripted_model, [CAPITAL]))
    assert reply.text == "there again"
    # The package waits a fraction of that by itself: it waited because it was told to.
    assert time.monotonic() - began >= 1


# Cancelling


async def test_who_leaves_in_the_middle_of_a_stream_ends_the_call(
    client: Client, platform: Platform, scripted_model: str
):
    gate = Gate()
    platform.upstream.next(Stream(frames=9, gate=gate))
    stream = client.stream(Question(scripted_model, [CAPITAL]))
    reading = asyncio.ensure_future(anext(stream))
    await platform.upstream.wait_until(lambda: platform.upstream.live == 1)
    gate.release()
    assert await reading == "word0"
    await stream.aclose()  # type: ignore[attr-defined]  # a generator has it
    await platform.upstream.wait_until(lambda: platform.upstream.cancelled == 1)


# What one of them has alone


async def test_anthropic_counts_tokens_before_it_asks(platform: Platform, api_key: str, scripted_model: str):
    async with official_client("anthropic", platform.gateway, api_key) as client:
        assert isinstance(client, AnthropicClient)
        counts = [
            await client.client.messages.count_tokens(
                model=scripted_model, messages=[{"role": "user", "content": "Hello " * number}]
            )
            for number in (1, 400)
        ]
    assert 0 < counts[0].input_tokens < counts[1].input_tokens
    assert not platform.upstream.calls
