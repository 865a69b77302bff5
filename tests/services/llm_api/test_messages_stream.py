"""Chat streams as Anthropic's events, wherever the provider's bytes are cut."""

from __future__ import annotations

import itertools
from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from jan_server.services.llm_api.anthropic.stream import MessageStream

texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
calls = st.builds(
    lambda index, name, arguments: {
        "tool_calls": [
            {"index": index, "id": f"c{index}", "function": {"name": name, "arguments": arguments}}
        ]
    },
    st.integers(0, 2),
    texts,
    texts,
)
deltas = st.lists(
    st.builds(lambda text: {"content": text}, texts)
    | st.builds(lambda text: {"reasoning_content": text}, texts)
    | calls,
    max_size=8,
)
cuts = st.lists(st.integers(0, 10_000), max_size=10)


def chunk(delta: Any, finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return b"data: " + orjson.dumps({"choices": [choice]}) + b"\n\n"


def events(data: bytes, places: list[int]) -> list[dict[str, Any]]:
    stream = MessageStream("m", input_tokens=3, request_id="r")
    sent = stream.start()
    for start, end in itertools.pairwise(
        sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    ):
        sent += stream.feed(data[start:end])
    sent += stream.end()
    frames = [frame.split(b"\n") for frame in sent.split(b"\n\n")[:-1]]
    read = [orjson.loads(line.removeprefix(b"data: ")) for _, line in frames]
    assert [name.removeprefix(b"event: ").decode() for name, _ in frames] == [event["type"] for event in read]
    return read


@given(deltas, cuts)
def test_every_block_begins_and_ends_and_holds_what_was_said(
    given_deltas: list[Any], places: list[int]
) -> None:
    data = b"".join(map(chunk, given_deltas)) + chunk({}, "stop") + b"data: [DONE]\n\n"
    read = events(data, places)
    assert [read[0]["type"], read[-2]["type"], read[-1]["type"]] == [
        "message_start",
        "message_delta",
        "message_stop",
    ]
    opened: int | None = None
    said = {"text": "", "thinking": "", "partial_json": ""}
    for event in read[1:-2]:
        if event["type"] == "content_block_start":
            assert opened is None
            opened = event["index"]
            continue
        assert event["index"] == opened
        if event["type"] == "content_block_stop":
            opened = None
        else:
            for name, value in event["delta"].items():
                if name != "type":
                    said[name] += value
    assert opened is None
    assert said["text"] == "".join(delta.get("content", "") for delta in given_deltas)
    assert said["thinking"] == "".join(delta.get("reasoning_content", "") for delta in given_deltas)
    arguments = [
        call["function"]["arguments"] for delta in given_deltas for call in delta.get("tool_calls", ())
    ]
    assert said["partial_json"] == "".join(arguments)


@given(deltas, cuts)
def test_nothing_follows_an_error(given_deltas: list[Any], places: list[int]) -> None:
    error = {"message": "too slow", "type": "timeout_error", "code": "upstream_timeout", "param": None}
    data = b"".join(map(chunk, given_deltas)) + b"data: " + orjson.dumps({"error": error}) + b"\n\n"
    last = events(data, places)[-1]
    told = {"type": "timeout_error", "message": "too slow"}
    assert last == {"type": "error", "error": told, "request_id": "r"}
