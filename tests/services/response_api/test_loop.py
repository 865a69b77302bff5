"""The loop: tools that run here, in parallel, that fail, hang and do not exist."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.doubles.openai_upstream import Answer, Failure, ToolCall
from tests.doubles.tool_server import ToolServer, text_result
from tests.services.response_api.conftest import Responses

MODEL = "scripted-model"


def lookup(number: int = 1, arguments: str = '{"q":"x"}', name: str = "lookup") -> ToolCall:
    return ToolCall(name, arguments, f"call_{number}")


def told(responses: Responses, index: int = -1) -> list[str]:
    """What the tools said, as the model was told in a call."""
    messages = responses.upstream.calls[index].json["messages"]
    return [message["content"] for message in messages if message["role"] == "tool"]


async def test_a_tool_runs_here_and_its_result_is_told_to_the_model(responses: Responses) -> None:
    responses.tools.answers["lookup"] = text_result("42")
    responses.upstream.next(lookup(), Answer("It is 42."))
    made = await responses.openai().responses.create(model=MODEL, input="What is it?")
    assert made.output_text == "It is 42."
    call, message = made.output
    assert call.type == "mcp_call"
    assert (call.name, call.server_label, call.output, call.error) == ("lookup", "jan", "42", None)
    assert message.type == "message"
    assert told(responses) == ["42"]
    [asked] = responses.tools.calls
    assert (asked.arguments["q"], asked.arguments["tool_call_id"]) == ("x", "call_1")
    assert asked.headers["X-Jan-Identity"]
    assert made.usage is not None
    assert made.usage.input_tokens == 14


async def test_eight_steps_and_one_too_many(responses: Responses) -> None:
    responses.tools.answers["lookup"] = text_result("more")
    responses.upstream.next(*(lookup(step) for step in range(7)), Answer("Done."))
    made = await responses.openai().responses.create(model=MODEL, input="Go")
    assert (len(made.output), made.output_text) == (8, "Done.")
    responses.upstream.always(lookup())
    async with responses.client() as client:
        answer = await client.post("/v1/responses", json={"model": MODEL, "input": "Go"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "tool_depth_exceeded")
    assert "tool orchestration depth exceeded" in answer.json()["error"]["message"]


async def test_calls_of_one_turn_run_side_by_side_and_keep_their_order(responses: Responses) -> None:
    both = asyncio.Event()

    async def wait_for_the_other(arguments: dict[str, Any]) -> dict[str, Any]:
        if len(responses.tools.calls) == 2:
            both.set()
        await both.wait()
        return text_result(arguments["q"])

    responses.tools.answers["lookup"] = wait_for_the_other
    two = ToolCall("lookup", '{"q":"a"}', "call_a", (ToolCall("lookup", '{"q":"b"}', "call_b"),))
    responses.upstream.next(two, Answer("Both."))
    made = await responses.openai().responses.create(model=MODEL, input="Go")
    assert [item.output for item in made.output[:2]] == ["a", "b"]  # type: ignore[union-attr]
    assert (told(responses), responses.tools.most_at_once) == (["a", "b"], 2)


async def test_without_parallel_calls_one_waits_for_the_other(responses: Responses) -> None:
    responses.tools.answers["lookup"] = text_result("x")
    two = ToolCall("lookup", "{}", "call_a", (ToolCall("lookup", "{}", "call_b"),))
    responses.upstream.next(two, Answer("Both."))
    await responses.openai().responses.create(model=MODEL, input="Go", parallel_tool_calls=False)
    assert responses.tools.most_at_once == 1
    assert responses.upstream.calls[0].json["parallel_tool_calls"] is False


async def test_failures_are_told_to_the_model_and_shown(responses: Responses) -> None:
    async def hang(_: dict[str, Any]) -> dict[str, Any]:
        await asyncio.Event().wait()
        raise AssertionError("nothing sets it")

    async def throw(_: dict[str, Any]) -> dict[str, Any]:
        raise RuntimeError("broken")

    responses.tools.answers |= {
        "says_no": text_result("no such page", is_error=True),
        "hangs": hang,
        "throws": throw,
    }
    asked = (
        ToolCall("hangs", "{}", "call_2"),
        ToolCall("throws", "{}", "call_3"),
        ToolCall("invented", "{}", "call_4"),
        ToolCall("says_no", "{not json", "call_5"),
        ToolCall("says_no", "[1]", "call_6"),
        ToolCall("says_no", "", "call_7"),
    )
    responses.upstream.next(ToolCall("says_no", "{}", "call_1", asked), Answer("None of them worked."))
    made = await responses.openai().responses.create(model=MODEL, input="Go")
    assert made.status == "completed"
    errors = [item.error for item in made.output if item.type == "mcp_call"]
    assert [item.status for item in made.output if item.type == "mcp_call"] == ["failed"] * 7
    said, hung, thrown, invented, malformed, no_object, no_arguments = (str(error) for error in errors)
    assert said == no_arguments == "no such page"
    assert "no answer within 1 seconds" in hung
    assert "status 500" in thrown
    assert "unknown tool" in invented
    assert "no JSON" in malformed
    assert "must be a JSON object" in no_object
    assert told(responses) == [said, hung, thrown, invented, malformed, no_object, no_arguments]


async def test_a_stream_tells_of_the_call(responses: Responses) -> None:
    responses.tools.answers["lookup"] = text_result("42")
    responses.upstream.next(lookup(), Answer("It"))
    stream = await responses.openai().responses.create(model=MODEL, input="Go", stream=True)
    kinds = [event.type async for event in stream]
    assert kinds[2:9] == [
        "response.output_item.added",
        "response.mcp_call_arguments.delta",
        "response.mcp_call_arguments.delta",
        "response.mcp_call_arguments.done",
        "response.mcp_call.in_progress",
        "response.mcp_call.completed",
        "response.output_item.done",
    ]


async def test_a_tool_that_is_required_is_required_once(responses: Responses) -> None:
    responses.tools.answers["lookup"] = text_result("42")
    responses.upstream.next(lookup(), Answer("It is 42."))
    await responses.openai().responses.create(model=MODEL, input="Go", tool_choice="required")
    assert [call.json["tool_choice"] for call in responses.upstream.calls] == ["required", "auto"]


async def test_no_more_calls_are_made_than_allowed(responses: Responses) -> None:
    responses.tools.answers["lookup"] = text_result("42")
    two = ToolCall("lookup", "{}", "call_a", (ToolCall("lookup", "{}", "call_b"),))
    responses.upstream.next(two, Answer("Enough."))
    made = await responses.openai().responses.create(model=MODEL, input="Go", max_tool_calls=1)
    assert len(responses.tools.calls) == 1
    assert "no more than 1 calls" in told(responses)[1]
    assert responses.upstream.calls[1].json["tool_choice"] == "none"
    assert made.output_text == "Enough."


async def test_a_provider_without_tools_is_asked_without_them(responses: Responses) -> None:
    responses.tools.answers["lookup"] = text_result("42")
    responses.upstream.next(Failure(400, "tools unsupported by this model"), Answer("Without."))
    made = await responses.openai().responses.create(model=MODEL, input="Go")
    assert made.output_text == "Without."
    assert "tools" not in responses.upstream.calls[1].json


async def test_no_tools_are_offered_where_none_are_wanted(responses: Responses) -> None:
    responses.tools.answers["lookup"] = text_result("42")
    responses.upstream.always(Answer("Fine."))
    client = responses.openai()
    await client.responses.create(model=MODEL, input="Go", tools=[])
    await client.responses.create(model=MODEL, input="Go", tool_choice="none")
    assert not any("tools" in call.json for call in responses.upstream.calls)


async def test_another_server_of_tools_is_greeted_listed_and_called(responses: Responses) -> None:
    async with ToolServer(sse=True, session="abc") as other:
        other.answers |= {"find": text_result("found"), "hidden": text_result("never")}
        tool: Any = {
            "type": "mcp",
            "server_label": "books",
            "server_url": f"{other.url}/v1/mcp",
            "allowed_tools": ["find"],
            "require_approval": "never",
            "authorization": "a token",
        }
        responses.upstream.next(ToolCall("find", '{"q":"x"}'), Answer("Found it."))
        made = await responses.openai().responses.create(model=MODEL, input="Go", tools=[tool])
        listed, call, _ = made.output
        assert listed.type == "mcp_list_tools"
        assert [each.name for each in listed.tools] == ["find"]
        assert call.type == "mcp_call"
        assert (call.server_label, call.output) == ("books", "found")
        [asked] = other.calls
        assert asked.headers["Authorization"] == "Bearer a token"
        assert asked.arguments == {"q": "x"}
        assert "X-Jan-Identity" not in asked.headers
        assert "a token" not in made.model_dump_json()


async def test_a_server_in_this_machines_networks_is_not_called(responses: Responses) -> None:
    responses.upstream.always(Answer("I could not."))
    tool: Any = {"type": "mcp", "server_label": "x", "server_url": "http://10.0.0.1/mcp"}
    made = await responses.openai().responses.create(model=MODEL, input="Go", tools=[tool])
    listed = made.output[0]
    assert listed.type == "mcp_list_tools"
    assert "not an address of the public internet" in str(listed.error)
