"""What the `openai` package has and `anthropic` has not; what both have is in `test_client_tour.py`."""

from __future__ import annotations

import httpx
import openai
import pytest
from pydantic import BaseModel, Field

from tests.doubles.openai_upstream import Answer, Json, Raw
from tests.end_to_end.conftest import Platform

EMBEDDINGS = "jan/wordllama-256"
QUESTION = [{"role": "user", "content": "What is the capital of France?"}]


class City(BaseModel):
    name: str = Field(max_length=20)
    big: bool


@pytest.fixture(params=["guest token", "API key"])
async def client(request: pytest.FixtureRequest, platform: Platform, guest_token: str, api_key: str):
    credential = guest_token if request.param == "guest token" else api_key
    async with openai.AsyncOpenAI(
        base_url=f"{platform.gateway}/v1", api_key=credential, max_retries=0
    ) as made:
        yield made


async def test_texts_are_embedded_without_any_provider(client: openai.AsyncOpenAI):
    made = await client.embeddings.create(model=EMBEDDINGS, input=["a dog barks", "a puppy"])
    assert [len(entry.embedding) for entry in made.data] == [256, 256]
    assert made.usage.total_tokens > 0


async def test_texts_are_embedded_as_numbers_or_packed(client: openai.AsyncOpenAI):
    text = "a dog barks"
    numbers, packed = [
        await client.embeddings.create(model=EMBEDDINGS, input=text, encoding_format=form, dimensions=64)
        for form in ("float", "base64")
    ]
    assert len(numbers.data[0].embedding) == 64
    assert isinstance(packed.data[0].embedding, str)


async def test_an_answer_becomes_an_object_of_a_class(client: openai.AsyncOpenAI, builtin_model_id: str):
    made = await client.chat.completions.parse(
        model=builtin_model_id,
        messages=[{"role": "user", "content": "Describe Paris."}],
        response_format=City,
        temperature=0,
    )
    assert isinstance(made.choices[0].message.parsed, City)


async def test_a_chunk_with_the_usage_comes_last_when_asked_for(
    client: openai.AsyncOpenAI, scripted_model: str
):
    for asked in (True, False):
        stream = await client.chat.completions.create(
            model=scripted_model,
            messages=QUESTION,
            stream=True,
            **({"stream_options": {"include_usage": True}} if asked else {}),
        )
        chunks = [chunk async for chunk in stream]
        assert [chunk.usage is not None for chunk in chunks] == [False] * (len(chunks) - asked) + [
            True
        ] * asked


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
