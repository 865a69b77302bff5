"""Many chats on one conversation, through two LLM APIs on one database: nothing is lost or doubled."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from tests.doubles.openai_upstream import Answer, OpenAIUpstream
from tests.services.llm_api.conftest import Serve
from tests.services.llm_api.platform import Platform
from tests.sql import run_sql

MODEL = "unknown/scripted-model"
WRITERS = 50


async def ask(client: httpx.AsyncClient, text: str, conversation: Any, *, stream: bool = False) -> str:
    """Say something in a conversation; returns the conversation's id."""
    answer = await client.post(
        "/v1/chat/completions",
        json={
            "model": MODEL,
            "messages": [{"role": "user", "content": text}],
            "conversation": conversation,
            "stream": stream,
        },
    )
    assert answer.status_code == 200, answer.text
    if stream:
        assert answer.content.endswith(b"data: [DONE]\n\n")
    return str(answer.headers["x-conversation-id"])


async def items_of(client: httpx.AsyncClient, conversation: str) -> list[dict[str, Any]]:
    page = await client.get(f"/v1/conversations/{conversation}/items", params={"order": "asc", "limit": 100})
    assert page.status_code == 200, page.text
    assert not page.json()["has_more"]
    return list(page.json()["data"])


def said(item: dict[str, Any]) -> str:
    block = item["content"][0]
    return str(block[block["type"]])


@pytest.fixture(scope="module")
async def platforms(serve: Serve, upstream: OpenAIUpstream) -> list[Platform]:
    """Two LLM APIs with connections of their own, on one database."""
    both = [await serve(upstream), await serve(upstream)]
    for platform in both:
        await platform.serving.sync.sync_providers()
    upstream.always(Answer("Noted."))
    return both


async def test_chats_at_once_in_one_conversation_are_all_stored_whole(platforms: list[Platform]) -> None:
    async with platforms[0].client() as first, platforms[1].client() as second:
        clients = [first, second]
        conversation = await ask(first, "Let us begin", {})

        async def say(writer: int) -> None:
            # Half of them as streams, and never both halves through one of the two.
            stream = writer % 4 < 2
            assert (
                await ask(clients[writer % 2], f"{writer} says", conversation, stream=stream) == conversation
            )

        await asyncio.gather(*map(say, range(WRITERS - 1)))
        items = await items_of(second, conversation)
        [main] = (await first.get(f"/v1/conversations/{conversation}/branches")).json()["data"]
    assert [item["sequence_number"] for item in items] == list(range(1, 2 * WRITERS + 1))
    assert main["item_count"] == 2 * WRITERS
    assert len({item["id"] for item in items}) == 2 * WRITERS
    # Each question is there once, with its answer right behind it.
    assert [item["role"] for item in items] == ["user", "assistant"] * WRITERS
    questions = [said(item) for item in items[::2]]
    assert questions[0] == "Let us begin"
    assert sorted(questions[1:]) == sorted(f"{writer} says" for writer in range(WRITERS - 1))


async def test_chats_and_appended_items_at_once_share_the_numbers(platforms: list[Platform]) -> None:
    async with platforms[0].client() as first, platforms[1].client() as second:
        conversation = await ask(first, "Let us begin", {})

        async def append(writer: int) -> None:
            body = {"items": [{"role": "user", "content": f"{writer} appends"}]}
            answer = await second.post(f"/v1/conversations/{conversation}/items", json=body)
            assert answer.status_code == 200, answer.text

        chats = (ask(first, f"{writer} says", conversation) for writer in range(10))
        await asyncio.gather(*chats, *map(append, range(10)))
        items = await items_of(first, conversation)
    assert [item["sequence_number"] for item in items] == list(range(1, 33))
    assert len({said(item) for item in items if item["role"] == "user"}) == 21


async def test_conversations_begun_at_once_are_each_there_once(platforms: list[Platform]) -> None:
    async with platforms[0].client("eve") as first, platforms[1].client("eve") as second:
        begun = await asyncio.gather(
            *(ask((first, second)[writer % 2], f"{writer} begins", {}) for writer in range(30))
        )
        listed = (await first.get("/v1/conversations", params={"limit": 100})).json()
        assert (listed["total"], {row["id"] for row in listed["data"]}) == (30, set(begun))
        titles = {row["id"]: row["title"] for row in listed["data"]}
        for writer in (0, 1, 29):
            assert titles[begun[writer]] == f"{writer} begins"
            assert [said(item) for item in await items_of(second, begun[writer])] == [
                f"{writer} begins",
                "Noted.",
            ]


async def test_a_restart_of_the_database_between_two_chats_loses_none(
    platforms: list[Platform], database_url: str
) -> None:
    async with platforms[0].client() as client:
        conversation = await ask(client, "Before", {})
        await run_sql(
            database_url,
            "select pg_terminate_backend(pid, 5000) from pg_stat_activity "
            "where datname = current_database() and application_name = 'jan llm-api'",
        )
        await ask(client, "After", conversation)
        assert [said(item) for item in await items_of(client, conversation)] == [
            "Before",
            "Noted.",
            "After",
            "Noted.",
        ]
