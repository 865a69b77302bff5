"""Many chats on one conversation, through two LLM APIs on one database: nothing is lost or doubled."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import psycopg
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


async def test_a_conversation_that_is_being_changed_keeps_only_its_own_chats_waiting(
    platforms: list[Platform], database_url: str
) -> None:
    async with platforms[0].client() as client:
        held, free = [await ask(client, "Before", {}) for _ in range(2)]
        async with await psycopg.AsyncConnection.connect(database_url) as other:
            await other.execute("select 1 from llm_api.conversations where public_id = %s for update", [held])
            waiting = asyncio.create_task(ask(client, "Held up", held))
            await asyncio.gather(*(ask(client, f"{turn} goes on", free) for turn in range(5)))
            assert not waiting.done()
        await waiting
        assert [said(item) for item in await items_of(client, held)][2:] == ["Held up", "Noted."]
        assert len(await items_of(client, free)) == 12


async def test_a_chat_that_cannot_be_stored_takes_no_other_along(
    platforms: list[Platform], database_url: str
) -> None:
    # The row of a caller whom the service still remembers goes away.
    async with platforms[0].client("gone") as gone, platforms[0].client("here") as here:
        await ask(gone, "Before", {})
        row = "select user_id from llm_api.conversations order by id desc limit 1"
        await run_sql(database_url, f"delete from llm_api.users where id = ({row})")

        async def lost() -> int:
            body = {"model": MODEL, "messages": [{"role": "user", "content": "Hi"}], "conversation": {}}
            return (await gone.post("/v1/chat/completions", json=body)).status_code

        async with asyncio.TaskGroup() as group:
            failing = [group.create_task(lost()) for _ in range(10)]
            passing = [group.create_task(ask(here, f"{turn} stays", {})) for turn in range(10)]
        # The first to notice makes the service forget the caller, who is let in anew from then on.
        assert {task.result() for task in failing} - {200} == {401}
        listed = (await here.get("/v1/conversations", params={"limit": 100})).json()
        assert {row["id"] for row in listed["data"]} == {task.result() for task in passing}
