"""Responses made in the foreground, by OpenAI's own client."""

from __future__ import annotations

from typing import Any

import openai
import pytest
from pydantic import BaseModel

from tests.doubles.openai_upstream import Answer, Failure, Stream, ToolCall
from tests.services.response_api.conftest import Responses

MODEL = "scripted-model"


async def test_an_answer(responses: Responses) -> None:
    responses.upstream.always(Answer("Hello there."))
    made = await responses.openai().responses.create(model=MODEL, input="Hi", instructions="Be brief.")
    assert (made.status, made.output_text, made.error) == ("completed", "Hello there.", None)
    assert made.id.startswith("resp_")
    assert made.usage is not None
    assert (made.usage.input_tokens, made.usage.output_tokens, made.usage.total_tokens) == (7, 2, 9)
    [call] = responses.upstream.calls
    assert call.json["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hi"},
    ]


async def test_a_stream_tells_each_step_in_order(responses: Responses) -> None:
    responses.upstream.always(Answer("Hello there.", reasoning="They greet."))
    stream = await responses.openai().responses.create(model=MODEL, input="Hi", stream=True)
    seen: list[Any] = [event async for event in stream]
    assert [event.type for event in seen] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.reasoning_text.delta",
        "response.reasoning_text.delta",
        "response.reasoning_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert [event.sequence_number for event in seen] == list(range(len(seen)))
    assert [item.type for item in seen[-1].response.output] == ["reasoning", "message"]


async def test_a_function_is_handed_to_the_client_and_its_result_taken(responses: Responses) -> None:
    client = responses.openai()
    tools: Any = [{"type": "function", "name": "get_weather", "parameters": {"type": "object"}}]
    responses.upstream.next(ToolCall())
    first = await client.responses.create(model=MODEL, input="Weather?", tools=tools)
    [call] = first.output
    assert call.type == "function_call"
    assert (call.name, call.arguments, call.status) == ("get_weather", '{"city":"Hanoi"}', "completed")
    responses.upstream.next(Answer("Warm."))
    second = await client.responses.create(
        model=MODEL,
        tools=tools,
        input=[
            {"role": "user", "content": "Weather?"},
            call.model_dump(),  # type: ignore[list-item]
            {"type": "function_call_output", "call_id": call.call_id, "output": "32 degrees"},
        ],
    )
    assert second.output_text == "Warm."
    assert responses.upstream.calls[-1].json["messages"][1:] == [
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {
                    "id": call.call_id,
                    "type": "function",
                    "function": {"name": "get_weather", "arguments": '{"city":"Hanoi"}'},
                }
            ],
        },
        {"role": "tool", "tool_call_id": call.call_id, "content": "32 degrees"},
    ]


class City(BaseModel):
    name: str


async def test_an_answer_is_parsed(responses: Responses) -> None:
    responses.upstream.always(Answer('{"name":"Hanoi"}'))
    made = await responses.openai().responses.parse(model=MODEL, input="A city", text_format=City)
    assert made.output_parsed == City(name="Hanoi")
    form = responses.upstream.calls[-1].json["response_format"]
    assert (form["type"], form["json_schema"]["name"], form["json_schema"]["strict"]) == (
        "json_schema",
        "City",
        True,
    )


async def test_a_failure_of_the_model_keeps_its_status_and_words(responses: Responses) -> None:
    responses.upstream.always(Failure(400, "the prompt is too long", code="context_length_exceeded"))
    with pytest.raises(openai.BadRequestError) as caught:
        await responses.openai().responses.create(model=MODEL, input="Hi")
    assert "the prompt is too long" in caught.value.message
    assert caught.value.response.headers["X-Response-Id"].startswith("resp_")


async def test_a_failure_ends_a_stream_with_its_reason(responses: Responses) -> None:
    responses.upstream.always(Stream(frames=3, drop_after=2))
    stream = await responses.openai().responses.create(model=MODEL, input="Hi", stream=True)
    last = [event async for event in stream][-1]
    assert last.type == "response.failed"
    assert last.response.error is not None


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"input": "x"}, "model"),
        ({"model": MODEL}, "input"),
        ({"model": MODEL, "input": [3]}, "input[0]"),
        ({"model": MODEL, "input": [{"role": "robot", "content": "x"}]}, "input[0].role"),
        ({"model": MODEL, "input": [{"role": "user"}]}, "input[0].content"),
        ({"model": MODEL, "input": [{"type": "function_call_output", "output": "x"}]}, "input[0].call_id"),
        ({"model": MODEL, "input": "x", "tools": [{"type": "function"}]}, "tools[0].name"),
        ({"model": MODEL, "input": "x", "tool_choice": "maybe"}, "tool_choice"),
        ({"model": MODEL, "input": "x", "include": ["all"]}, "include[0]"),
        ({"model": MODEL, "input": "x", "max_tool_calls": 0}, "max_tool_calls"),
        ({"model": MODEL, "input": "x", "background": True, "store": False}, "store"),
        ({"model": MODEL, "input": "x", "text": {"format": {"type": "xml"}}}, "text.format.type"),
        ({"model": MODEL, "input": "x", "conversation": {"id": 3}}, "conversation.id"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_what_is_wrong_is_named(responses: Responses, body: dict[str, Any], param: str) -> None:
    async with responses.client() as client:
        answer = await client.post("/v1/responses", json=body)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


async def test_nobody_is_let_in_without_a_credential(responses: Responses) -> None:
    async with responses.client() as client:
        del client.headers["X-Jan-Identity"]
        answer = await client.post("/v1/responses", json={"model": MODEL, "input": "Hi"})
    assert answer.status_code == 401
