"""What a chat request may look like, and which field an error names."""

from __future__ import annotations

from typing import Any

import pytest

from jan_server.services.llm_api.chat_request import ConversationChoice, parse_chat_request
from jan_server.services.llm_api.refusals import Invalid

HELLO = [{"role": "user", "content": "Hello"}]


def body(**members: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [dict(message) for message in HELLO], **members}


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"model": None}, "model"),
        ({"model": "  "}, "model"),
        ({"model": 7}, "model"),
        ({"messages": []}, "messages"),
        ({"messages": "Hello"}, "messages"),
        ({"messages": [*HELLO, "Hello"]}, "messages[1]"),
        ({"messages": [*HELLO, {"content": "x"}]}, "messages[1].role"),
        ({"messages": [*HELLO, *HELLO, {"role": "wizard", "content": "x"}]}, "messages[2].role"),
        ({"messages": [{"role": {}, "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": 3}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": ["x"]}]}, "messages[0].content[0]"),
        ({"messages": [{"role": "user", "content": [{"text": "x"}]}]}, "messages[0].content[0].type"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].tool_call_id"),
        ({"messages": [{"role": "assistant", "tool_calls": [{}]}]}, "messages[0].tool_calls[0].id"),
        ({"temperature": "hot"}, "temperature"),
        ({"temperature": True}, "temperature"),
        ({"max_tokens": 1.5}, "max_tokens"),
        ({"stream": "yes"}, "stream"),
        ({"stop": [1]}, "stop"),
        ({"tools": {}}, "tools"),
        ({"tools": [{"type": "function"}]}, "tools[0].function"),
        ({"tools": [{"type": "function", "function": {}}]}, "tools[0].function.name"),
        ({"response_format": "json"}, "response_format"),
        ({"conversation": 5}, "conversation"),
        ({"conversation": "conv_NO"}, "conversation"),
        ({"conversation": {"id": "thread_1"}}, "conversation"),
        ({"conversation": {"history": "some"}}, "conversation.history"),
        ({"conversation": {"branch": 1}}, "conversation.branch"),
    ],
)
def test_a_bad_member_is_named(members: dict[str, Any], param: str) -> None:
    with pytest.raises(Invalid) as caught:
        parse_chat_request(body(**members))
    assert caught.value.param == param
    assert caught.value.message


def test_members_nobody_here_knows_travel_on() -> None:
    request = parse_chat_request(
        body(
            top_k=5,
            min_p=0.1,
            stop="END",
            reasoning_effort="low",
            metadata={"a": "b"},
            conversation="",
            store=True,
            store_reasoning=True,
            deep_research=True,
            enable_thinking=False,
            image=False,
        )
    )
    assert request.body == {
        "model": "m",
        "messages": HELLO,
        "top_k": 5,
        "min_p": 0.1,
        "stop": "END",
        "reasoning_effort": "low",
        "metadata": {"a": "b"},
    }
    assert request.store
    assert request.store_reasoning
    assert request.instruct


def test_null_counts_as_absent_and_tool_choice_needs_tools() -> None:
    request = parse_chat_request(body(temperature=None, tools=None, tool_choice="auto", stop=None))
    assert "tool_choice" not in request.body


@pytest.mark.parametrize(
    ("given", "referrer", "expected"),
    [
        (None, None, None),
        ("", None, ConversationChoice()),
        ({}, None, ConversationChoice()),
        ("conv_0a1b", None, ConversationChoice(id="conv_0a1b")),
        (
            {"id": "conv_0a1b", "object": "conversation", "created_at": 1730000000, "branch": "draft"},
            None,
            ConversationChoice(id="conv_0a1b", branch="draft"),
        ),
        ({"id": "conv_0a1b", "history": "never"}, None, ConversationChoice(id="conv_0a1b", history="never")),
        (None, "web", ConversationChoice(referrer="web")),
    ],
)
def test_the_forms_of_a_conversation(given: Any, referrer: str | None, expected: Any) -> None:
    assert parse_chat_request(body(conversation=given), referrer=referrer).conversation == expected


def test_mcp_results_become_openai_parts() -> None:
    parts = '[{"type":"text","text":"18 degrees"},{"type":"image","data":"aGk=","mimeType":"image/png"}]'
    messages = [*HELLO, {"role": "tool", "tool_call_id": "c1", "content": parts}]
    request = parse_chat_request(body(messages=messages))
    assert request.messages[1]["content"] == [
        {"type": "text", "text": "18 degrees"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}},
    ]


@pytest.mark.parametrize("text", ["[{not json", '[{"id": 1}]', '[{"type":"row","x":1}]', "[{"])
def test_text_that_only_looks_like_parts_stays_text(text: str) -> None:
    request = parse_chat_request(body(messages=[{"role": "user", "content": text}]))
    assert request.messages[0]["content"] == text
