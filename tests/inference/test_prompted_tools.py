"""Tools for models that know none: what they are asked, and how their answers are read."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jan_server.http.errors import ApiError
from jan_server.inference.prompted_answer import PromptedTools
from jan_server.inference.prompted_tool_stream import PromptedToolStream
from jan_server.inference.prompted_tools import needs_prompt, plain_history, prompt_tools, read_completion

WEATHER = {
    "name": "get_weather",
    "description": "The weather of a city.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
TIME = {"name": "get_time"}
TOOLS = [{"type": "function", "function": function} for function in (WEATHER, TIME)]
READING = PromptedTools(frozenset({"get_weather", "get_time"}), may_answer=True)

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
arguments = st.dictionaries(texts, json_values, max_size=4)


def request(**members: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": "Hi"}], "tools": TOOLS, **members}


def forms(body: dict[str, Any]) -> list[dict[str, Any]]:
    schema = body["response_format"]["json_schema"]["schema"]
    return list(schema.get("anyOf", [schema]))


def names(body: dict[str, Any]) -> list[str]:
    return [
        form["properties"]["tool"]["const"] if "tool" in form["properties"] else "answer"
        for form in forms(body)
    ]


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (None, ["answer", "get_weather", "get_time"]),
        ("auto", ["answer", "get_weather", "get_time"]),
        ("required", ["get_weather", "get_time"]),
        ({"type": "function", "function": {"name": "get_time"}}, ["get_time"]),
        (
            {
                "type": "allowed_tools",
                "allowed_tools": {"mode": "auto", "tools": [{"function": {"name": "get_time"}}]},
            },
            ["answer", "get_time"],
        ),
    ],
)
def test_the_schema_allows_what_tool_choice_does(choice: Any, expected: list[str]) -> None:
    sent, reading = prompt_tools(request(tool_choice=choice))
    assert names(sent) == expected
    assert reading is not None
    assert reading.may_answer == ("answer" in expected)
    assert not {"tools", "tool_choice", "parallel_tool_calls"} & set(sent)
    system = sent["messages"][0]
    assert system["role"] == "system"
    assert all((name in system["content"]) for name in expected)


def test_with_none_the_tools_are_neither_told_nor_read() -> None:
    sent, reading = prompt_tools(request(tool_choice="none", temperature=0))
    assert reading is None
    assert sent == {"model": "m", "messages": [{"role": "user", "content": "Hi"}], "temperature": 0}


@pytest.mark.parametrize(
    "choice",
    [
        "banana",
        {"type": "function", "function": {"name": "nobody"}},
        {},
        {"type": "function", "function": {"name": []}},
        {"type": "allowed_tools", "allowed_tools": {"tools": 7}},
    ],
)
def test_a_choice_that_cannot_be_is_refused(choice: Any) -> None:
    with pytest.raises(ApiError) as caught:
        prompt_tools(request(tool_choice=choice))
    assert (caught.value.status, caught.value.param) == (400, "tool_choice")


def test_the_description_joins_the_system_message_that_is_there() -> None:
    for said in ("Be brief.", [{"type": "text", "text": "Be brief."}]):
        messages = [{"role": "system", "content": said}, {"role": "user", "content": "Hi"}]
        sent, _ = prompt_tools(request(messages=messages))
        assert [message["role"] for message in sent["messages"]] == ["system", "user"]
        assert "Be brief." in str(sent["messages"][0]["content"])
        assert "get_weather" in str(sent["messages"][0]["content"])


def test_a_function_without_parameters_takes_none() -> None:
    sent, _ = prompt_tools(request(tool_choice={"type": "function", "function": {"name": "get_time"}}))
    wanted = forms(sent)[0]["properties"]["arguments"]
    assert wanted == {"type": "object", "properties": {}, "additionalProperties": False}


def test_references_inside_parameters_still_lead_to_their_definitions() -> None:
    parameters = {
        "type": "object",
        "properties": {"unit": {"$ref": "#/$defs/Unit"}},
        "$defs": {"Unit": {"enum": ["C", "F"]}},
    }
    tool = {"type": "function", "function": {"name": "convert", "parameters": parameters}}
    sent, _ = prompt_tools(request(tools=[tool], tool_choice="required"))
    schema = sent["response_format"]["json_schema"]["schema"]
    found: Any = schema
    for part in schema["properties"]["arguments"]["$ref"].split("/")[1:]:
        found = found[part]
    for part in found["properties"]["unit"]["$ref"].split("/")[1:]:
        schema = schema[part]
    assert schema == {"enum": ["C", "F"]}


def test_the_smallest_models_get_limits_where_the_schema_sets_none() -> None:
    properties = {
        "free": {"type": "string"},
        "short": {"type": "string", "maxLength": 5},
        "list": {"type": "array", "items": {"type": "string"}},
        "type": {"const": {"type": "string"}},
    }
    tool = {
        "type": "function",
        "function": {"name": "f", "parameters": {"type": "object", "properties": properties}},
    }
    sent, _ = prompt_tools(request(tools=[tool], tool_choice="required"), bounded=True)
    limited = forms(sent)[0]["properties"]["arguments"]["properties"]
    assert limited["free"]["maxLength"] == limited["list"]["items"]["maxLength"] > 100
    assert limited["short"]["maxLength"] == 5
    assert limited["list"]["maxItems"] >= 10
    assert limited["type"] == {"const": {"type": "string"}}
    assert "maxItems" not in sent["messages"][0]["content"]


@pytest.mark.parametrize("member", ["max_tokens", "max_completion_tokens"])
def test_the_limits_follow_the_length_of_the_answer(member: str) -> None:
    texts = {name: {"type": "string"} for name in ("a", "b")}
    tool = {
        "type": "function",
        "function": {"name": "f", "parameters": {"type": "object", "properties": texts}},
    }

    def longest(**members: Any) -> int:
        sent, _ = prompt_tools(request(tools=[tool], tool_choice="required", **members), bounded=True)
        found = forms(sent)[0]["properties"]["arguments"]["properties"]
        assert found["a"] == found["b"]
        return int(found["a"]["maxLength"])

    assert 2 * longest(**{member: 200}) < 200
    assert longest(**{member: 200}) < longest() == longest(**{member: 5000})
    assert longest(**{member: 1}) > 0


def test_a_wanted_layout_of_the_answer_is_kept() -> None:
    layout = {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "integer"}}}
    sent, reading = prompt_tools(request(response_format=layout))
    assert forms(sent)[0]["properties"]["answer"] == {"type": "integer"}
    assert reading is not None
    assert whole('{"answer": 42}', reading)["message"]["content"] == "42"


def test_a_history_of_calls_becomes_text() -> None:
    calls = [
        {"id": "a", "type": "function", "function": {"name": "get_weather", "arguments": '{"city":"Hue"}'}},
        {"id": "b", "type": "function", "function": {"name": "get_time", "arguments": ""}},
    ]
    history: list[dict[str, Any]] = [
        {"role": "user", "content": "Weather and time?"},
        {"role": "assistant", "content": None, "tool_calls": calls},
        {"role": "tool", "tool_call_id": "a", "content": "sunny"},
        {"role": "tool", "tool_call_id": "b", "content": [{"type": "text", "text": "noon"}]},
        {"role": "assistant", "content": "Sunny, noon."},
    ]
    assert needs_prompt({"messages": history})
    assert not needs_prompt({"messages": history[:1]})
    plain = plain_history(history)
    assert [message["role"] for message in plain] == ["user", "assistant", "user", "assistant"]
    assert [json.loads(line)["tool"] for line in plain[1]["content"].splitlines()] == [
        "get_weather",
        "get_time",
    ]
    assert plain[2]["content"] == "Result of the tool get_weather: sunny\nResult of the tool get_time: noon"


def whole(content: str, reading: PromptedTools = READING, finish: str = "stop") -> dict[str, Any]:
    message = {"role": "assistant", "content": content}
    body = {"id": "x", "choices": [{"index": 0, "message": message, "finish_reason": finish}]}
    choice: dict[str, Any] = orjson.loads(read_completion(orjson.dumps(body), reading))["choices"][0]
    return choice


def cut(data: Any, cuts: list[int]) -> Iterator[Any]:
    edges = sorted({0, len(data), *(position % (len(data) + 1) for position in cuts)})
    for start, end in itertools.pairwise(edges):
        yield data[start:end]


def streamed(
    content: str,
    pieces: list[int],
    bytes_cut: list[int],
    finish: str = "stop",
    reading: PromptedTools = READING,
) -> dict[str, Any]:
    """The choice that OpenAI's clients put together from the stream of this content."""
    deltas: list[tuple[dict[str, Any], str | None]] = [({"role": "assistant", "content": ""}, None)]
    deltas += [({"content": piece}, None) for piece in cut(content, pieces)]
    deltas.append(({}, finish))
    frames = b"".join(
        b"data: "
        + orjson.dumps({"id": "x", "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]})
        + b"\n\n"
        for delta, reason in deltas
    )
    stream = PromptedToolStream(reading)
    sent = b"".join(stream.feed(part) for part in cut(frames + b"data: [DONE]", bytes_cut)) + stream.end()
    assert sent.endswith(b"data: [DONE]\n\n")
    text, calls, reason = "", [], None
    for frame in sent.split(b"\n\n")[:-2]:
        choice = orjson.loads(frame.removeprefix(b"data: "))["choices"][0]
        text += choice["delta"].get("content") or ""
        for part in choice["delta"].get("tool_calls") or ():
            if "id" in part:
                calls.append({"name": part["function"]["name"], "arguments": ""})
            calls[-1]["arguments"] += part["function"]["arguments"]
        reason = choice["finish_reason"] or reason
    return {"text": text, "calls": calls, "finish_reason": reason}


cut_places = st.lists(st.integers(0, 10_000), max_size=12)
ascii_or_not = st.booleans()


@given(texts, ascii_or_not, cut_places, cut_places)
def test_a_plain_answer_arrives_whole_wherever_it_is_cut(
    text: str, ascii_only: bool, pieces: list[int], bytes_cut: list[int]
) -> None:
    content = json.dumps({"answer": text}, ensure_ascii=ascii_only)
    assert whole(content)["message"]["content"] == text
    read = streamed(content, pieces, bytes_cut)
    assert read == {"text": text, "calls": [], "finish_reason": "stop"}


@given(arguments, ascii_or_not, st.sampled_from([None, 1]), cut_places, cut_places)
def test_a_call_arrives_whole_wherever_it_is_cut(
    given_arguments: dict[str, Any],
    ascii_only: bool,
    indent: int | None,
    pieces: list[int],
    bytes_cut: list[int],
) -> None:
    value = {"tool": "get_weather", "arguments": given_arguments}
    content = json.dumps(value, ensure_ascii=ascii_only, indent=indent)
    message = whole(content)
    assert message["finish_reason"] == "tool_calls"
    assert message["message"]["content"] is None
    (call,) = message["message"]["tool_calls"]
    assert json.loads(call["function"]["arguments"]) == given_arguments
    read = streamed(content, pieces, bytes_cut)
    assert read["finish_reason"] == "tool_calls"
    assert read["text"] == ""
    assert [call["name"] for call in read["calls"]] == ["get_weather"]
    assert json.loads(read["calls"][0]["arguments"]) == given_arguments


@given(json_values, cut_places, cut_places)
def test_an_answer_in_json_arrives_whole_wherever_it_is_cut(
    value: Any, pieces: list[int], bytes_cut: list[int]
) -> None:
    reading = PromptedTools(frozenset({"get_time"}), may_answer=True, answers_in_json=True)
    content = json.dumps({"answer": value})
    assert json.loads(whole(content, reading)["message"]["content"]) == value
    assert json.loads(streamed(content, pieces, bytes_cut, reading=reading)["text"]) == value


@given(arguments, st.integers(0, 10_000), cut_places)
def test_a_call_that_is_cut_off_is_no_call_but_length(
    given_arguments: dict[str, Any], end: int, pieces: list[int]
) -> None:
    content = json.dumps({"tool": "get_weather", "arguments": given_arguments})
    content = content[: end % (len(content) - 1)]
    message = whole(content, finish="length")
    assert message["finish_reason"] == "length"
    assert not message["message"].get("tool_calls")
    assert not message["message"]["content"]
    read = streamed(content, pieces, [], finish="length")
    assert (read["finish_reason"], read["text"]) == ("length", "")


@given(texts, st.integers(0, 10_000), cut_places)
def test_a_plain_answer_that_is_cut_off_keeps_its_beginning(text: str, end: int, pieces: list[int]) -> None:
    content = json.dumps({"answer": text})
    content = content[: end % len(content)]
    said = whole(content, finish="length")["message"]["content"]
    assert text.startswith(said)
    assert streamed(content, pieces, [], finish="length")["text"] == said


@given(texts, cut_places, cut_places)
def test_what_keeps_to_no_form_is_a_plain_answer(text: str, pieces: list[int], bytes_cut: list[int]) -> None:
    for content in (text, json.dumps({"thought": text}), json.dumps({"tool": text + "?", "arguments": {}})):
        assert whole(content)["message"]["content"] == content
        assert streamed(content, pieces, bytes_cut)["text"] == content


@given(st.binary(max_size=200), st.text('{}"\\:,answertool[]0 ', max_size=60), cut_places)
def test_nothing_that_a_provider_sends_breaks_the_reading(
    data: bytes, content: str, pieces: list[int]
) -> None:
    stream = PromptedToolStream(READING)
    stream.feed(data)
    stream.end()
    streamed(content, pieces, [])
    whole(content, finish="length")


def test_each_choice_is_read_for_itself() -> None:
    stream = PromptedToolStream(READING)
    sent = b""
    for index, content in [
        (0, '{"answer": "a'),
        (1, '{"tool": "get_time", "arg'),
        (0, 'b"}'),
        (1, 'uments": {}}'),
    ]:
        choice = {"index": index, "delta": {"content": content}, "finish_reason": None}
        sent += stream.feed(b"data: " + orjson.dumps({"choices": [choice]}) + b"\n\n")
    chunks = [orjson.loads(frame[6:])["choices"][0] for frame in sent.split(b"\n\n")[:-1]]
    assert [(chunk["index"], *chunk["delta"]) for chunk in chunks] == [
        (0, "content"),
        (0, "content"),
        (1, "tool_calls"),
    ]
