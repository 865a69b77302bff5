"""LangChain's `ChatOpenAI` and `OpenAIEmbeddings` need a base URL and a key, and nothing else."""

from __future__ import annotations

from typing import Any

import openai
import pytest
from langchain_core.messages import HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from pydantic import BaseModel, Field, SecretStr

from tests.doubles.openai_upstream import Answer, ToolCall
from tests.end_to_end.conftest import Platform

EMBEDDINGS = "jan/wordllama-256"


class City(BaseModel):
    """A city."""

    name: str = Field(max_length=20)
    big: bool


@tool
def get_weather(city: str) -> str:
    """The weather of a city."""
    return f"31 degrees in {city}"


def chat(platform: Platform, key: str, model: str, **options: Any) -> ChatOpenAI:
    return ChatOpenAI(
        base_url=f"{platform.gateway}/v1", api_key=SecretStr(key), model=model, max_retries=0, **options
    )


def embeddings(platform: Platform, key: str, **options: Any) -> OpenAIEmbeddings:
    return OpenAIEmbeddings(
        base_url=f"{platform.gateway}/v1", api_key=SecretStr(key), model=EMBEDDINGS, max_retries=0, **options
    )


async def test_the_built_in_model_answers_and_streams(
    platform: Platform, api_key: str, builtin_model_id: str
):
    model = chat(platform, api_key, builtin_model_id, temperature=0, max_completion_tokens=24)
    messages = [SystemMessage("Be brief."), HumanMessage("What is the capital of France?")]
    whole = await model.ainvoke(messages)
    assert "Paris" in whole.text
    assert whole.usage_metadata is not None
    assert whole.usage_metadata["output_tokens"] > 0
    chunks = [chunk async for chunk in model.astream(messages, stream_usage=True)]
    assert "Paris" in "".join(chunk.text for chunk in chunks)
    assert sum(chunk.usage_metadata["output_tokens"] for chunk in chunks if chunk.usage_metadata) > 0


async def test_a_bound_tool_is_called_and_its_result_answered(
    platform: Platform, api_key: str, scripted_model: str
):
    platform.upstream.next(ToolCall("get_weather", '{"city":"Hanoi"}'), Answer("It is warm."))
    model = chat(platform, api_key, scripted_model).bind_tools([get_weather])
    asked = HumanMessage("Is it warm in Hanoi?")
    called = await model.ainvoke([asked])
    (call,) = called.tool_calls
    result = get_weather.invoke(call)
    assert isinstance(result, ToolMessage)
    assert (await model.ainvoke([asked, called, result])).text == "It is warm."
    sent = [message for message in platform.upstream.last.json["messages"] if message["role"] != "system"]
    assert [message["role"] for message in sent] == ["user", "assistant", "tool"]
    assert sent[2]["content"] == "31 degrees in Hanoi"


async def test_the_built_in_model_calls_a_bound_tool_when_it_has_to(
    platform: Platform, api_key: str, builtin_model_id: str
):
    model = chat(platform, api_key, builtin_model_id, max_completion_tokens=70)
    called = await model.bind_tools([get_weather], tool_choice="get_weather").ainvoke("The weather in Hue?")
    (call,) = called.tool_calls
    assert call["name"] == "get_weather"
    assert isinstance(call["args"]["city"], str)
    assert not called.invalid_tool_calls


@pytest.mark.parametrize("method", ["json_schema", "function_calling"])
async def test_the_built_in_model_fills_a_class(
    platform: Platform, api_key: str, builtin_model_id: str, method: Any
):
    model = chat(platform, api_key, builtin_model_id, temperature=0, max_completion_tokens=100)
    city = await model.with_structured_output(City, method=method).ainvoke("Describe the city of Paris.")
    assert isinstance(city, City)


async def test_texts_are_embedded(platform: Platform, api_key: str):
    maker = embeddings(platform, api_key, check_embedding_ctx_length=False)
    dog, puppy, tax = await maker.aembed_documents(["a dog barks", "a puppy barks", "income tax"])
    assert len(dog) == 256

    def alike(one: list[float], other: list[float]) -> float:
        return sum(a * b for a, b in zip(one, other, strict=True))

    assert alike(dog, puppy) > alike(dog, tax)


async def test_tokens_of_openais_own_vocabulary_are_refused_and_what_to_do_is_said(
    platform: Platform, api_key: str, monkeypatch: pytest.MonkeyPatch
):
    # Its table is fetched from the network: the ids that it has for "hello world" stand in for it.
    class Encoding:
        def encode_ordinary(self, text: str) -> list[int]:
            return [15339, 1917]

    monkeypatch.setattr("tiktoken.encoding_for_model", lambda name: Encoding())
    with pytest.raises(openai.BadRequestError, match="check_embedding_ctx_length"):
        await embeddings(platform, api_key).aembed_query("hello world")
