"""Chat completions through OpenAI's own client, against a scripted provider."""

from __future__ import annotations

from typing import Any

import openai
import orjson
import pytest

from tests.doubles.openai_upstream import Answer, Drop, Failure, Json, Raw, Stream, ToolCall, completion
from tests.services.llm_api.platform import Platform

MODEL = "unknown/scripted-model"
HELLO: Any = [{"role": "user", "content": "Hello"}]
TOOLS: Any = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
        },
    }
]


async def test_models_are_listed_and_retrieved(platform: Platform) -> None:
    async with platform.openai() as client:
        listed = [model.id async for model in client.models.list()]
        assert listed == [MODEL]
        model = await client.models.retrieve(MODEL)
        assert (model.id, model.object, model.owned_by) == (MODEL, "model", "Remote provider")


async def test_a_whole_answer(platform: Platform) -> None:
    platform.upstream.next(Answer("Hi there"))
    async with platform.openai() as client:
        completion = await client.chat.completions.create(
            model=MODEL, messages=HELLO, temperature=0, stop="END", seed=7, extra_body={"min_p": 0.1}
        )
    assert completion.choices[0].message.content == "Hi there"
    assert completion.usage is not None
    assert completion.usage.total_tokens > 0
    assert platform.upstream.last.json == {
        "model": "scripted-model",
        "messages": HELLO,
        "temperature": 0,
        "stop": "END",
        "seed": 7,
        "min_p": 0.1,
    }


@pytest.mark.parametrize("model", [MODEL, "scripted-model"])
async def test_the_providers_own_model_id_works_too(platform: Platform, model: str) -> None:
    async with platform.openai() as client:
        await client.chat.completions.create(model=model, messages=HELLO)
    assert platform.upstream.last.json["model"] == "scripted-model"


@pytest.mark.parametrize("with_usage", [True, False])
async def test_a_stream_has_usage_in_its_last_chunk_when_asked(platform: Platform, with_usage: bool) -> None:
    options: Any = {"stream_options": {"include_usage": True}} if with_usage else {}
    async with platform.openai() as client:
        chunks = [
            chunk
            async for chunk in await client.chat.completions.create(
                model=MODEL, messages=HELLO, stream=True, **options
            )
        ]
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == "Hello from the scripted upstream."
    assert (chunks[-1].usage is not None) == with_usage
    assert all(chunk.usage is None for chunk in chunks[:-1])


@pytest.mark.parametrize("stream", [True, False])
async def test_tools_pass_through(platform: Platform, stream: bool) -> None:
    platform.upstream.next(ToolCall())
    async with platform.openai() as client:
        if stream:
            name = arguments = ""
            reason = None
            async for chunk in await client.chat.completions.create(
                model=MODEL, messages=HELLO, tools=TOOLS, tool_choice="required", stream=True
            ):
                for call in chunk.choices[0].delta.tool_calls or ():
                    assert call.function is not None
                    name += call.function.name or ""
                    arguments += call.function.arguments or ""
                reason = chunk.choices[0].finish_reason or reason
        else:
            completion = await client.chat.completions.create(
                model=MODEL, messages=HELLO, tools=TOOLS, tool_choice="required"
            )
            [whole] = completion.choices[0].message.tool_calls or []
            assert whole.type == "function"
            name, arguments = whole.function.name, whole.function.arguments
            reason = completion.choices[0].finish_reason
    assert (name, arguments, reason) == ("get_weather", '{"city":"Hanoi"}', "tool_calls")
    sent = platform.upstream.last.json
    assert sent["tools"] == TOOLS
    assert sent["tool_choice"] == "required"


async def test_images_pass_through(platform: Platform) -> None:
    content = [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk=", "detail": "low"}},
    ]
    messages: Any = [{"role": "user", "content": content}]
    async with platform.openai() as client:
        await client.chat.completions.create(model=MODEL, messages=messages)
    assert platform.upstream.last.json["messages"] == messages


async def test_a_bad_body_is_refused_before_the_provider_is_asked(platform: Platform) -> None:
    async with platform.openai() as client:
        bad: Any = [*HELLO, {"role": "assistant", "content": "x"}, {"role": "wizard", "content": "x"}]
        with pytest.raises(openai.BadRequestError) as caught:
            await client.chat.completions.create(model=MODEL, messages=bad)
    assert caught.value.param == "messages[2].role"
    assert caught.value.type == "invalid_request_error"
    assert not platform.upstream.calls


async def test_an_unknown_model_is_not_found(platform: Platform) -> None:
    async with platform.openai() as client:
        with pytest.raises(openai.NotFoundError) as caught:
            await client.chat.completions.create(model="nobody/knows", messages=HELLO)
        assert caught.value.code == "model_not_found"
        assert caught.value.param == "model"
        with pytest.raises(openai.NotFoundError):
            await client.models.retrieve("nobody/knows")


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("failure", "status", "code"),
    [
        (Failure(401, "Incorrect API key provided: abc"), 502, "upstream_unauthorized"),
        (Failure(403, "Country not supported"), 502, "upstream_unauthorized"),
        (Failure(429, "Slow down", code="rate_limit_exceeded"), 429, "rate_limit_exceeded"),
        (Failure(500, "Something broke"), 502, "upstream_error"),
        (
            Failure(400, "maximum context length is 10 tokens", code="context_length_exceeded"),
            400,
            "context_length_exceeded",
        ),
    ],
)
async def test_a_providers_error_keeps_its_words(
    platform: Platform, failure: Failure, status: int, code: str, stream: bool
) -> None:
    platform.upstream.always(failure)
    async with platform.openai() as client:
        with pytest.raises(openai.APIStatusError) as caught:
            await client.chat.completions.create(model=MODEL, messages=HELLO, stream=stream)
    assert caught.value.status_code == status
    assert caught.value.code == code
    assert failure.message in caught.value.message


@pytest.mark.parametrize("stream", [True, False])
async def test_a_provider_that_cuts_the_connection_is_a_502_and_never_an_answer(
    platform: Platform, stream: bool
) -> None:
    platform.upstream.always(Drop())
    async with platform.openai() as client:
        with pytest.raises(openai.InternalServerError) as caught:
            await client.chat.completions.create(model=MODEL, messages=HELLO, stream=stream)
    assert caught.value.status_code == 502


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(Raw(b'{"choices":['), id="cut off"),
        pytest.param(Json({"id": "x", "choices": []}), id="no choice"),
        pytest.param(Json({"choices": [{"index": 0, "message": None}]}), id="no message"),
        pytest.param(Json({"choices": "none"}), id="no list"),
    ],
)
async def test_a_200_without_a_completion_is_a_502(platform: Platform, answer: Json | Raw) -> None:
    platform.upstream.always(answer)
    async with platform.openai() as client:
        with pytest.raises(openai.InternalServerError) as caught:
            await client.chat.completions.create(model=MODEL, messages=HELLO)
    assert (caught.value.status_code, caught.value.code) == (502, "upstream_error")


async def test_an_answer_in_parts_is_counted_and_passes(platform: Platform) -> None:
    body = completion("")
    body["choices"][0]["message"]["content"] = [{"type": "text", "text": "In parts"}]
    del body["usage"]
    platform.upstream.next(Json(body))
    async with platform.openai() as client:
        answer = await client.chat.completions.with_raw_response.create(model=MODEL, messages=HELLO)
    assert orjson.loads(answer.content) == body


async def test_a_stream_that_breaks_raises_in_the_client(platform: Platform) -> None:
    platform.upstream.next(Stream(frames=5, drop_after=2))
    text = ""
    async with platform.openai() as client:
        with pytest.raises(openai.APIError, match="broke off"):
            async for chunk in await client.chat.completions.create(model=MODEL, messages=HELLO, stream=True):
                text += chunk.choices[0].delta.content or ""
    assert text


async def test_a_request_without_a_credential_is_refused(platform: Platform) -> None:
    async with platform.client() as client:
        del client.headers["X-Jan-Identity"]
        for path in ("/v1/chat/completions", "/llm/v1/chat/completions"):
            answer = await client.post(path, json={"model": MODEL, "messages": HELLO})
            assert answer.status_code == 401
            assert answer.json()["error"]["type"] == "authentication_error"
    assert not platform.upstream.calls


@pytest.mark.parametrize("body", [b"", b"{", b'{"model": ', b"[]", b'"hi"'])
async def test_malformed_json_is_a_400(platform: Platform, body: bytes) -> None:
    async with platform.client() as client:
        answer = await client.post("/v1/chat/completions", content=body)
    assert answer.status_code == 400
    assert answer.json()["code"] == "invalid_json"


async def test_only_the_first_json_value_of_a_body_counts(platform: Platform) -> None:
    async with platform.client() as client:
        answer = await client.post(
            "/llm/v1/chat/completions",
            content=b'{"model":"scripted-model","messages":[{"role":"user","content":"x"}]}}',
        )
    assert answer.status_code == 200
