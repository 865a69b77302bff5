"""What stays when an exchange is longer than the model's context."""

from __future__ import annotations

from typing import Any

import orjson

from jan_server.services.llm_api.context_window import (
    budget,
    fit,
    message_tokens,
    text_tokens,
    tools_tokens,
    upper_bound,
)

LONG = "word " * 400  # 500 tokens


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def assistant(text: str, *calls: str) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": text}
    if calls:
        message["tool_calls"] = [
            {"id": call, "type": "function", "function": {"name": "f", "arguments": "{}"}} for call in calls
        ]
    return message


def tool(call: str, text: str) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": call, "content": text}


def total(messages: list[dict[str, Any]]) -> int:
    return sum(map(message_tokens, messages))


def test_estimates() -> None:
    assert text_tokens("a" * 40) == 10
    assert text_tokens("你" * 30) == 20
    assert message_tokens(assistant("", "c1")) == 10 + 20 + 0
    image = {"type": "image_url", "image_url": {"url": "https://x.example/1.png", "detail": "low"}}
    assert message_tokens({"role": "user", "content": [image]}) == 95
    assert tools_tokens([]) == 0
    assert budget(8192, None) == 8192 - 2785 - 100
    assert budget(8192, 8000) == 1000
    assert budget(None, 20_000) == 200_000 - 100


def test_the_quick_bound_is_never_below_the_estimate() -> None:
    tools = [{"type": "function", "function": {"name": "f"}}] * 10
    messages = [user(LONG), assistant("你好" * 50, "c1", "c2"), tool("c1", "x"), user("")]
    messages.append({"role": "user", "content": [{"type": "image_url", "image_url": {"url": "u"}}] * 5})
    body = orjson.dumps({"messages": messages, "tools": tools})
    assert upper_bound(body, len(messages)) >= total(messages) + tools_tokens(tools)


def test_what_fits_is_left_alone() -> None:
    messages = [user("a"), assistant("b"), user("c")]
    fitted = fit(messages, 1000)
    assert fitted.messages is messages
    assert not fitted.trimmed


def test_the_oldest_turns_go_and_system_messages_stay() -> None:
    system = {"role": "system", "content": "Be kind"}
    late = {"role": "developer", "content": "Be brief"}
    messages = [system, user(LONG), assistant(LONG), late, user(LONG), assistant("b"), user("now")]
    fitted = fit(messages, 600)
    assert fitted.trimmed
    assert fitted.messages == [system, late, user(LONG), assistant("b"), user("now")]


def test_tool_results_never_lose_their_call() -> None:
    messages = [
        user("first"),
        assistant("", "c1"),
        tool("c1", LONG),
        assistant(LONG),
        user("second"),
        assistant("", "c2", "c3"),
        tool("c2", "x"),
        tool("c3", "y"),
    ]
    for available in range(10, total(messages), 25):
        kept = fit(messages, available).messages
        asked = {call["id"] for message in kept for call in message.get("tool_calls", ())}
        answered = {message["tool_call_id"] for message in kept if message["role"] == "tool"}
        assert asked == answered
        assert user("second") in kept


def test_a_long_run_of_tools_after_one_question_loses_its_oldest_steps() -> None:
    question = user("find it")
    steps = [[assistant("", f"c{n}"), tool(f"c{n}", LONG)] for n in range(5)]
    messages = [question, *(message for step in steps for message in step)]
    fitted = fit(messages, 1200)
    assert fitted.messages == [question, *steps[3], *steps[4]]


def test_huge_tool_output_and_old_images_are_cut_before_turns_go() -> None:
    picture = {"type": "image_url", "image_url": {"url": "https://x.example/1.png"}}
    messages = [
        {"role": "user", "content": [picture] * 20},
        assistant("", "c1"),
        tool("c1", "x" * 400_000),
        user("so?"),
    ]
    fitted = fit(messages, 40_000)
    assert fitted.trimmed
    assert [message["role"] for message in fitted.messages] == ["user", "assistant", "tool", "user"]
    pictures = [part for part in fitted.messages[0]["content"] if part["type"] == "image_url"]
    assert len(pictures) == 15
    assert len(fitted.messages[2]["content"]) < 81_000
    assert len(messages[2]["content"]) == 400_000
