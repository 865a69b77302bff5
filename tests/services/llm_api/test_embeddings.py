"""Embeddings through OpenAI's own client: from a scripted provider, and from the model in the process."""

from __future__ import annotations

import asyncio
import base64
import struct
import sys
from typing import Any

import httpx
import openai
import psycopg
import pytest

from tests.doubles.openai_upstream import EmbeddingsOf, Failure, Hang, Json, OpenAIUpstream, Raw, numbers_of
from tests.services.llm_api.conftest import UPSTREAM_KEY, Serve, eventually
from tests.services.llm_api.platform import Platform

REMOTE = "unknown/scripted-model"
BUILTIN = "jan/wordllama-256"


@pytest.fixture(scope="module")
async def serving_platform(serve: Serve, upstream: OpenAIUpstream) -> Platform:
    """An installation as it comes, the built-in model included."""
    remote = {"url": upstream.url, "api_key": UPSTREAM_KEY}
    inference = {"provider": "remote", "remote": remote, "embeddings": {"builtin": True}}
    platform = await serve(upstream, inference=inference)
    await platform.serving.sync.sync_providers()
    return platform


async def post(platform: Platform, **body: Any) -> httpx.Response:
    async with platform.client() as client:
        return await client.post("/v1/embeddings", json=body)


def cosine(one: list[float], other: list[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


async def test_the_built_in_model_is_listed_behind_those_that_chat(platform: Platform) -> None:
    async with platform.openai() as client:
        listed = [model async for model in client.models.list()]
        assert [model.id for model in listed] == [REMOTE, BUILTIN]
        assert listed[1].owned_by == "Built-in embeddings"
        assert (await client.models.retrieve(BUILTIN)).id == BUILTIN
    async with platform.client("root", admin=True) as admin:
        catalog = (await admin.get(f"/v1/models/catalogs/{BUILTIN}")).json()
        providers = (await admin.get("/v1/models/providers")).json()
        by_place = {"sort_by": "category_order,model_order"}
        offers = (await admin.get("/v1/admin/models/provider-models", params=by_place)).json()["data"]
    assert [offer["model_public_id"] for offer in offers] == [REMOTE, BUILTIN]
    assert catalog["supports_embeddings"]
    assert next(entry for entry in providers if entry["category"] == "embedding")["endpoints"] == []


async def test_nothing_is_loaded_before_it_is_needed(platform: Platform) -> None:
    code = (
        "import sys, jan_server.services.llm_api.app; "
        "print(sorted({'numpy', 'tokenizers', 'safetensors', 'wordllama'} & set(sys.modules)))"
    )
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE)
    output, _ = await process.communicate()
    assert output.strip() == b"[]"


@pytest.mark.parametrize("path", ["/v1", "/llm/v1"])
async def test_the_built_in_model_knows_what_belongs_together(platform: Platform, path: str) -> None:
    texts = [
        "The dog runs through the park",
        "A puppy plays on the grass",
        "Interest rates rose by a quarter",
    ]
    async with platform.openai() as client:
        client.base_url = platform.url + path
        made = await client.embeddings.create(model=BUILTIN, input=texts)
    vectors = [entry.embedding for entry in made.data]
    assert [entry.index for entry in made.data] == [0, 1, 2]
    assert all(len(vector) == 256 and abs(cosine(vector, vector) - 1) < 1e-5 for vector in vectors)
    assert cosine(vectors[0], vectors[1]) > cosine(vectors[0], vectors[2]) + 0.1
    assert (made.model, made.usage.prompt_tokens) == (BUILTIN, made.usage.total_tokens)
    assert 15 <= made.usage.prompt_tokens <= 30
    assert not platform.upstream.calls


async def test_both_encodings_say_the_same(platform: Platform) -> None:
    as_numbers = (await post(platform, model=BUILTIN, input="hello", encoding_format="float")).json()
    packed = (await post(platform, model=BUILTIN, input="hello", encoding_format="base64")).json()
    vector = struct.unpack("<256f", base64.b64decode(packed["data"][0]["embedding"]))
    assert list(vector) == pytest.approx(as_numbers["data"][0]["embedding"], abs=1e-7)


@pytest.mark.parametrize("dimensions", [1, 64, 256])
async def test_dimensions_cut_the_vector_and_keep_its_length_of_one(
    platform: Platform, dimensions: int
) -> None:
    async with platform.openai() as client:
        made = await client.embeddings.create(model=BUILTIN, input="hello world", dimensions=dimensions)
    vector = made.data[0].embedding
    assert len(vector) == dimensions
    assert cosine(vector, vector) == pytest.approx(1, abs=1e-5)


async def test_many_inputs_come_back_in_their_order(platform: Platform) -> None:
    texts = [f"number {number}" for number in range(200)]
    async with platform.openai() as client:
        made = await client.embeddings.create(model=BUILTIN, input=texts)
        one = await client.embeddings.create(model=BUILTIN, input=texts[150])
    assert len(made.data) == 200
    assert made.data[150].embedding == pytest.approx(one.data[0].embedding, abs=1e-6)


async def test_large_requests_leave_the_loop_to_others(platform: Platform) -> None:
    busy = asyncio.create_task(post(platform, model=BUILTIN, input=["word " * 4000] * 60))
    answered = 0
    async with platform.client() as client:
        while not busy.done():
            assert (await client.get("/healthz")).status_code == 200
            answered += 1
    assert (await busy).status_code == 200
    assert answered > 5


@pytest.mark.parametrize(
    ("body", "param", "code"),
    [
        ({"input": ["fine", "word " * 9000]}, "input[1]", "context_length_exceeded"),
        ({"input": "x" * 200_000}, "input[0]", "context_length_exceeded"),
        ({"input": [[15339, 1917]]}, "input[0]", "unsupported_input"),
        ({"input": [15339, 1917]}, "input[0]", "unsupported_input"),
        ({"input": "a", "dimensions": 257}, "dimensions", "invalid_value"),
        ({"input": ["a"] * 2049}, "input", "invalid_value"),
    ],
)
async def test_what_the_built_in_model_cannot_embed_is_said(
    platform: Platform, body: dict[str, Any], param: str, code: str
) -> None:
    answer = await post(platform, model=BUILTIN, **body)
    error = answer.json()["error"]
    assert (answer.status_code, error["param"], error["code"]) == (400, param, code)


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"input": "a", "model": None}, "model"),
        ({}, "input"),
        ({"input": ""}, "input"),
        ({"input": []}, "input"),
        ({"input": ["a", ""]}, "input[1]"),
        ({"input": {"text": "a"}}, "input"),
        ({"input": ["a", 1]}, "input[1]"),
        ({"input": [1, True]}, "input[1]"),
        ({"input": [1.5]}, "input[0]"),
        ({"input": [[]]}, "input[0]"),
        ({"input": "a", "encoding_format": "int8"}, "encoding_format"),
        ({"input": "a", "dimensions": 0}, "dimensions"),
        ({"input": "a", "dimensions": True}, "dimensions"),
        ({"input": "a", "user": 1}, "user"),
    ],
)
async def test_a_bad_body_names_its_field(platform: Platform, body: dict[str, Any], param: str) -> None:
    answer = await post(platform, **({"model": BUILTIN} | body))
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


async def test_a_model_of_embeddings_does_not_chat(platform: Platform) -> None:
    async with platform.openai() as client:
        with pytest.raises(openai.BadRequestError) as caught:
            await client.chat.completions.create(model=BUILTIN, messages=[{"role": "user", "content": "Hi"}])
        assert caught.value.code == "unsupported_model"
        with pytest.raises(openai.BadRequestError):
            await client.completions.create(model=BUILTIN, prompt="Hi", stream=True)


async def test_a_providers_embeddings_pass_through(platform: Platform) -> None:
    platform.upstream.next(EmbeddingsOf())
    async with platform.openai() as client:
        made = await client.embeddings.create(
            model=REMOTE, input=["a", "bb"], dimensions=3, extra_body={"task": "query"}
        )
    assert [entry.embedding for entry in made.data] == [numbers_of("a"), numbers_of("bb")]
    assert platform.upstream.last.path == "/v1/embeddings"
    assert platform.upstream.last.json == {
        "model": "scripted-model",
        "input": ["a", "bb"],
        "dimensions": 3,
        "task": "query",
        "encoding_format": "base64",
    }


@pytest.mark.parametrize("behaviour", [EmbeddingsOf(knows_base64=False), EmbeddingsOf(always_base64=True)])
@pytest.mark.parametrize("encoding", ["float", "base64"])
async def test_vectors_come_in_the_form_that_was_asked_for(
    platform: Platform, behaviour: EmbeddingsOf, encoding: str
) -> None:
    platform.upstream.next(behaviour)
    answer = await post(platform, model=REMOTE, input="hello", encoding_format=encoding)
    vector = answer.json()["data"][0]["embedding"]
    if encoding == "base64":
        vector = list(struct.unpack("<3f", base64.b64decode(vector)))
    assert vector == numbers_of("hello")
    assert answer.json()["usage"] == {"prompt_tokens": 5, "total_tokens": 5}


async def test_an_answer_in_the_right_form_keeps_its_bytes(platform: Platform) -> None:
    body = b'{ "data":[{"embedding":[1e-3,2.50],"index":0}],  "extra": 1.0}'
    platform.upstream.next(Raw(body))
    assert (await post(platform, model=REMOTE, input="a")).content == body
    odd = b'{"data":[{"embedding":"not base64!"}]}'
    platform.upstream.next(Raw(odd))
    assert (await post(platform, model=REMOTE, input="a")).content == odd


async def test_failures_are_errors(platform: Platform) -> None:
    platform.upstream.next(Failure(400, "no such dimensions", param="dimensions"), Json({"hello": 1}))
    async with platform.openai() as client:
        with pytest.raises(openai.BadRequestError) as caught:
            await client.embeddings.create(model=REMOTE, input="a")
        assert caught.value.param == "dimensions"
        with pytest.raises(openai.InternalServerError):
            await client.embeddings.create(model=REMOTE, input="a")
        with pytest.raises(openai.NotFoundError):
            await client.embeddings.create(model="nobody/knows", input="a")


async def test_a_caller_who_leaves_ends_the_call(platform: Platform) -> None:
    platform.upstream.next(Hang())
    async with platform.client() as client:
        with pytest.raises(httpx.ReadTimeout):
            await client.post("/v1/embeddings", json={"model": REMOTE, "input": "a"}, timeout=0.3)
    await platform.upstream.wait_until(lambda: platform.upstream.live == 0)
    assert platform.upstream.cancelled == 1


async def test_tokens_are_taken_down(platform: Platform, database_url: str) -> None:
    platform.upstream.next(EmbeddingsOf(), Json({"data": [{"embedding": [1.0]}]}))
    async with platform.openai("embedding") as client:
        await client.embeddings.create(model=REMOTE, input="a")
        await client.embeddings.create(model=REMOTE, input=["a" * 40, "b" * 40])
        await client.embeddings.create(model=BUILTIN, input="hello world")

    def rows() -> list[Any]:
        with psycopg.connect(database_url) as connection:
            return connection.execute(
                "select model, prompt_tokens, completion_tokens, estimated, status "
                "from llm_api.token_usage t "
                "join llm_api.users u on u.id = t.user_id where u.username = 'embedding' order by t.id"
            ).fetchall()

    async def written() -> bool:
        return len(await asyncio.to_thread(rows)) == 3

    await eventually(written)
    assert rows() == [(REMOTE, 5, 0, False, 200), (REMOTE, 20, 0, True, 200), (BUILTIN, 2, 0, False, 200)]


async def test_answers_of_the_built_in_model_are_kept_in_each_form(platform: Platform) -> None:
    body: dict[str, Any] = {"model": BUILTIN, "input": "a fox", "cache": {"ttl": 60}}
    first, again = await post(platform, **body), await post(platform, **body)
    assert (first.headers["x-jan-cache"], again.headers["x-jan-cache"]) == ("miss", "hit")
    assert first.content == again.content
    packed = await post(platform, **body, encoding_format="base64")
    assert packed.headers["x-jan-cache"] == "miss"
    assert isinstance(packed.json()["data"][0]["embedding"], str)


async def test_the_built_in_model_can_be_switched_off(serve: Serve, upstream: OpenAIUpstream) -> None:
    platform = await serve(upstream)
    await platform.serving.sync.sync_providers()
    assert (await post(platform, model=BUILTIN, input="a")).status_code == 404
