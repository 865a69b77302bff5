"""Titles made of text, and when a conversation gets one."""

from __future__ import annotations

import uuid

import pytest

from jan_server.services.llm_api.titles import UNTITLED, clean_title, text_title, wants_title
from tests.doubles.openai_upstream import Answer, Failure, OpenAIUpstream
from tests.services.llm_api.conftest import Serve
from tests.sql import run_sql


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("Compare prices on www.shop.example, please!", "Compare prices on please"),
        ("  Hello\n\tworld!? ", "Hello world"),
        ("see [the docs](local/page) now", "see the docs now"),
        ("mail ann.b+c@mail.example today", "mail today"),
        ("What's *this* #1?", "What's this 1"),
        ("你好，世界", "你好世界"),
        ("https://x.example/a?b=c", ""),
        ("🎉!!", ""),
    ],
)
def test_cleaning(text: str, title: str) -> None:
    assert clean_title(text) == title


def test_long_text_is_cut_at_a_space() -> None:
    title = clean_title("word " * 100)
    assert title == ("word " * 50).strip() + "..."
    assert clean_title("x" * 400) == "x" * 253 + "..."


def test_the_first_usable_user_message_gives_the_title() -> None:
    messages = [
        {"role": "system", "content": "Be kind"},
        {"role": "user", "content": "https://only.example"},
        {"role": "user", "content": [{"type": "text", "text": "Plan a trip."}]},
    ]
    assert text_title(messages) == "Plan a trip"
    assert text_title(messages[:2]) == UNTITLED


@pytest.mark.parametrize(
    ("title", "user_messages", "wanted"),
    [
        (None, 1, True),
        ("", 3, True),
        (UNTITLED, 2, True),
        ("Mine", 1, False),
        ("Request", 1, True),
        ("Mine", 4, False),
        ("Mine", 5, True),
        ("Mine", 10, True),
        ("Mine", 0, False),
        (None, 0, False),
    ],
)
def test_when_a_title_is_written(title: str | None, user_messages: int, wanted: bool) -> None:
    assert wants_title(title, {}, user_messages, "Request") is wanted


def test_a_locked_title_is_never_touched() -> None:
    assert not wants_title(None, {"title_locked": "true"}, 1, "Request")
    assert wants_title(None, {"title_locked": "false"}, 1, "Request")


async def test_a_model_writes_the_title_where_that_is_asked_for(
    serve: Serve, upstream: OpenAIUpstream
) -> None:
    platform = await serve(upstream, llm_api={"conversations": {"title_generation_enabled": True}})
    await platform.serving.sync.sync_providers()
    body = {
        "model": "scripted-model",
        "messages": [{"role": "user", "content": "How do I get from Hanoi to Hue?"}],
        "conversation": "",
    }
    async with platform.client() as client:
        upstream.next(Answer("By train."), Answer('"Hanoi to Hue!"\nAnything else?'))
        answer = (await client.post("/v1/chat/completions", json=body)).json()
        assert answer["conversation"]["title"] == "Hanoi to Hue"
        asked = upstream.last.json
        assert (asked["max_tokens"], asked["temperature"]) == (64, 0.2)
        assert "By train." in asked["messages"][-1]["content"]
        upstream.next(Answer("By train."), Failure(500))
        answer = (await client.post("/v1/chat/completions", json=body)).json()
        assert answer["conversation"]["title"] == "How do I get from Hanoi to Hue"


async def test_a_title_is_a_call_of_the_callers(
    serve: Serve, upstream: OpenAIUpstream, database_url: str
) -> None:
    platform = await serve(upstream, llm_api={"conversations": {"title_generation_enabled": True}})
    name = f"titled-{uuid.uuid4().hex[:8]}"
    body = {
        "model": "scripted-model",
        "messages": [{"role": "user", "content": "How do I get from Hanoi to Hue?"}],
        "conversation": "",
    }
    async with platform.client(name) as client, platform.client(admin=True) as admin:
        upstream.next(Answer("By train."), Answer("Hanoi to Hue"))
        answer = await client.post("/v1/chat/completions", json=body)
        user = answer.headers["x-user-id"]
        conversation = answer.json()["conversation"]["id"]
        await platform.serving.accounting.write()
        sql = "update llm_api.token_usage set id = default where user_id = %s and purpose = 'title'"
        assert await run_sql(database_url, f"{sql} and conversation_id = %s", [user, conversation]) == 1
        # What the user may not spend is not spent on titles either.
        limits = {"requests_per_minute": 3}
        limited = await admin.patch(f"/v1/admin/user-limits/{user}", json=limits)
        assert limited.status_code == 200, limited.text
        for title in ("By boat", "How do I get from Hanoi to Hue"):
            upstream.next(Answer("By train."), Answer("By boat"))
            answer = await client.post("/v1/chat/completions", json=body)
            assert answer.json()["conversation"]["title"] == title
            upstream.reset()
