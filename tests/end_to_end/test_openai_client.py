"""The official `openai` package needs a base URL and a key, and nothing else."""

from __future__ import annotations

import httpx
import openai
import pytest

from tests.doubles.openai_upstream import Answer, Failure, Json, Raw, ToolCall
from tests.end_to_end.conftest import SCRIPTED_MODEL, Platform

QUESTION = [{"role": "user", "content": "What is the capital of France?"}]


@pytest.fixture(params=["guest token", "API key"])
async def client(request: pytest.FixtureRequest, platform: Platform, guest_token: str, api_key: str):
    credential = guest_token if request.param == "guest token" else api_key
    async with openai.AsyncOpenAI(
        base_url=f"{platform.gateway}/v1", api_key=credential, max_retries=0
    ) as made:
        yield made


async def test_models_are_listed_and_found(client: openai.AsyncOpenAI):
    listed = [model.id async for model in client.models.list()]
    assert any(SCRIPTED_MODEL in name for name in listed)
    for name in listed:
        assert (await client.models.retrieve(name)).id == name


async def test_the_built_in_model_answers(client: openai.AsyncOpenAI, builtin_model_id: str):
    answer = await client.chat.completions.create(
        model=builtin_model_id, messages=QUESTION, max_tokens=24, temperature=0
    )
    assert "Paris" in (answer.choices[0].message.content or "")
    assert answer.usage is not None
    assert answer.usage.completion_tokens > 0


async def test_texts_are_embedded_without_any_provider(client: openai.AsyncOpenAI):
    made = await client.embeddings.create(model="jan/wordllama-256", input=["a dog barks", "a puppy"])
    assert [len(entry.embedding) for entry in made.data] == [256, 256]
    assert made.usage.total_tokens > 0


async def test_the_built_in_model_streams_with_usage_when_asked(
    client: openai.AsyncOpenAI, builtin_model_id: str
):
    stream = await client.chat.completions.create(
        model=builtin_model_id,
        messages=QUESTION,
        max_tokens=24,
        temperature=0,
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = [chunk async for chunk in stream]
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert "Paris" in text
    assert chunks[-1].usage is not None
    assert len(chunks) > 3


async def test_a_tool_call_arrives_whole(client: openai.AsyncOpenAI, platform: Platform, scripted_model: str):
    platform.upstream.next(ToolCall())
    answer = await client.chat.completions.create(
        model=scripted_model,
        messages=QUESTION,
        tools=[{"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object"}}}],
    )
    assert answer.choices[0].finish_reason == "tool_calls"
    assert answer.choices[0].message.tool_calls
    assert platform.upstream.last.json["tools"][0]["function"]["name"] == "get_weather"


async def test_a_recording_goes_through_and_speech_comes_back(
    client: openai.AsyncOpenAI, platform: Platform, scripted_model: str
):
    sound = bytes(range(256)) * 4000
    platform.upstream.next(Json({"text": "hello"}), Raw(sound, content_type="audio/mpeg"))
    heard = await client.audio.transcriptions.create(model=scripted_model, file=("a.wav", sound))
    assert heard.text == "hello"
    assert [part.content for part in platform.upstream.last.form if part.name == "file"] == [sound]
    said = await client.audio.speech.create(model=scripted_model, input="hello", voice="alloy")
    assert said.content == sound


async def test_a_bad_model_is_a_not_found_error(client: openai.AsyncOpenAI):
    with pytest.raises(openai.NotFoundError) as refused:
        await client.chat.completions.create(model="no/such-model", messages=QUESTION)
    assert refused.value.code == "model_not_found"
    assert "no/such-model" in refused.value.message


async def test_a_bad_body_is_a_bad_request_that_names_the_field(
    client: openai.AsyncOpenAI, scripted_model: str
):
    with pytest.raises(openai.BadRequestError) as refused:
        await client.chat.completions.create(
            model=scripted_model, messages=[{"role": "wizard", "content": "x"}]
        )  # type: ignore[list-item]
    assert refused.value.param == "messages[0].role"


async def test_an_upstream_that_fails_is_an_error_with_its_words(
    client: openai.AsyncOpenAI, platform: Platform, scripted_model: str
):
    platform.upstream.reset()
    platform.upstream.always(Failure(429))
    try:
        with pytest.raises(openai.RateLimitError):
            await client.chat.completions.create(model=scripted_model, messages=QUESTION)
    finally:
        platform.upstream.reset()
        platform.upstream.always(Answer("Hi"))


@pytest.mark.parametrize("key", ["sk_live_" + "0" * 48, "sk-nonsense", "not.a.token"])
async def test_a_bad_key_is_an_authentication_error(platform: Platform, key: str):
    async with openai.AsyncOpenAI(base_url=f"{platform.gateway}/v1", api_key=key, max_retries=0) as stranger:
        with pytest.raises(openai.AuthenticationError) as refused:
            await stranger.models.list()
    assert refused.value.message
    assert refused.value.type == "authentication_error"


async def test_a_conversation_is_kept_and_remembered(
    client: openai.AsyncOpenAI, platform: Platform, scripted_model: str
):
    platform.upstream.reset()
    platform.upstream.always(Answer("Your name is Ada."))
    headers = {"Authorization": f"Bearer {client.api_key}"}
    async with httpx.AsyncClient(base_url=platform.gateway, headers=headers) as plain:
        made = (await plain.post("/v1/conversations", json={})).json()
        for text in ("I am Ada.", "Who am I?"):
            await client.chat.completions.create(
                model=scripted_model,
                messages=[{"role": "user", "content": text}],
                extra_body={"conversation": made["id"]},
            )
        items = (await plain.get(f"/v1/conversations/{made['id']}/items", params={"order": "asc"})).json()[
            "data"
        ]
    assert [item["role"] for item in items] == ["user", "assistant", "user", "assistant"]
    sent = platform.upstream.last.json
    # Behind what the server's prompt modules say.
    talk = [message for message in sent["messages"] if message["role"] != "system"]
    assert [message["content"] for message in talk] == [
        "I am Ada.",
        "Your name is Ada.",
        "Who am I?",
    ]
    assert "conversation" not in sent
