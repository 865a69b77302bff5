"""Each call of a model leaves one row, whatever becomes of the call, the process or the database."""

from __future__ import annotations

import asyncio
import re
import uuid
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import orjson
import psycopg
import pytest
from psycopg.rows import dict_row

from jan_server.authentication.identity_header import HEADER
from jan_server.authentication.principal import Principal
from jan_server.database.engine import Database
from jan_server.inference.provider import Provider
from jan_server.services.llm_api.accounting import Accounting, MeteredCall
from jan_server.services.llm_api.models import OfferedModel
from jan_server.services.llm_api.prices import Prices
from jan_server.services.llm_api.token_counts import StreamCounter, TokenCounts, told_counts
from tests.doubles.openai_upstream import Answer, Drop, Failure, Gate, Raw, Stream, chunk, frame
from tests.services.llm_api.conftest import Serve, eventually
from tests.services.llm_api.platform import Platform

MODEL = "unknown/scripted-model"
HELLO: Any = [{"role": "user", "content": "Hello"}]
DONE = b"data: [DONE]\n\n"


async def ask(platform: Platform, name: str, **members: Any) -> httpx.Response:
    async with platform.client(name) as client:
        return await client.post("/v1/chat/completions", json={"model": MODEL, "messages": HELLO, **members})


async def rows_of(database_url: str, request_id: str) -> list[dict[str, Any]]:
    """The rows of a request, as soon as there are any."""
    found: list[dict[str, Any]] = []

    async def written() -> bool:
        async with await psycopg.AsyncConnection.connect(database_url, row_factory=dict_row) as connection:
            cursor = await connection.execute(
                "select * from llm_api.token_usage where request_id = %s", [request_id]
            )
            found[:] = await cursor.fetchall()
        return bool(found)

    await eventually(written)
    return found


async def row_of(database_url: str, answer: httpx.Response) -> dict[str, Any]:
    [row] = await rows_of(database_url, answer.headers["x-request-id"])
    return row


async def daily(database_url: str, user_id: int) -> list[dict[str, Any]]:
    async with await psycopg.AsyncConnection.connect(database_url, row_factory=dict_row) as connection:
        cursor = await connection.execute(
            "select * from llm_api.token_usage_daily where user_id = %s", [user_id]
        )
        return await cursor.fetchall()


async def test_a_whole_answer_leaves_a_row_and_a_sum(platform: Platform, database_url: str) -> None:
    first = await row_of(database_url, await ask(platform, "whole"))
    assert (first["prompt_tokens"], first["completion_tokens"], first["total_tokens"]) == (7, 5, 12)
    assert (first["model"], first["provider"]) == (MODEL, "Remote provider")
    assert (first["status"], first["stream"], first["estimated"]) == (200, False, False)
    assert first["first_token_ms"] is None and first["latency_ms"] >= 0
    assert first["key_id"] is None and first["conversation_id"] is None
    assert first["estimated_cost_usd"] is None
    await row_of(database_url, await ask(platform, "whole"))
    [day] = await daily(database_url, first["user_id"])
    assert (day["request_count"], day["total_tokens"], day["failed_count"]) == (2, 24, 0)


@pytest.mark.parametrize("asked", [True, False])
async def test_a_streams_tokens_are_the_providers(platform: Platform, database_url: str, asked: bool) -> None:
    platform.upstream.next(Stream(frames=9))
    options: Any = {"stream_options": {"include_usage": True}} if asked else {}
    answer = await ask(platform, "streams", stream=True, **options)
    assert (b'"usage"' in answer.content) == asked
    assert answer.content.endswith(DONE)
    row = await row_of(database_url, answer)
    assert (row["prompt_tokens"], row["completion_tokens"], row["estimated"]) == (7, 9, False)
    assert row["stream"] is True
    assert 0 <= row["first_token_ms"] <= row["latency_ms"]


async def test_a_conversations_stream_counts_for_it(platform: Platform, database_url: str) -> None:
    answer = await ask(platform, "talks", stream=True, conversation={})
    assert b'"usage"' not in answer.content
    row = await row_of(database_url, answer)
    assert row["conversation_id"] == answer.headers["x-conversation-id"]
    assert row["prompt_tokens"] == 7


async def test_tokens_are_estimated_where_nobody_tells(platform: Platform, database_url: str) -> None:
    body = orjson.dumps({"choices": [{"message": {"role": "assistant", "content": "four words are here"}}]})
    platform.upstream.next(Raw(body))
    whole = await row_of(database_url, await ask(platform, "guessed"))
    assert whole["estimated"] is True
    assert whole["prompt_tokens"] > 0 and whole["completion_tokens"] > 0
    frames = b"".join(frame(chunk({"content": word})) for word in "abc") + DONE
    platform.upstream.next(Raw(frames, content_type="text/event-stream"))
    streamed = await row_of(database_url, await ask(platform, "guessed", stream=True))
    assert (streamed["estimated"], streamed["completion_tokens"]) == (True, 3)
    [day] = await daily(database_url, whole["user_id"])
    assert day["estimated_tokens"] == day["total_tokens"]


@pytest.mark.parametrize("stream", [True, False])
async def test_failed_calls_have_their_status(platform: Platform, database_url: str, stream: bool) -> None:
    for behaviour, status in ((Failure(429, "slow down"), 429), (Drop(), 502)):
        platform.upstream.always(behaviour)
        answer = await ask(platform, "fails", stream=stream)
        assert answer.status_code == status
        row = await row_of(database_url, answer)
        assert (row["status"], row["total_tokens"]) == (status, 0)


async def test_a_stream_that_breaks_counts_what_was_said(platform: Platform, database_url: str) -> None:
    platform.upstream.next(Stream(frames=5, drop_after=2))
    row = await row_of(database_url, await ask(platform, "breaks", stream=True))
    assert (row["status"], row["estimated"], row["completion_tokens"]) == (502, True, 2)


async def test_a_caller_who_leaves_is_counted(platform: Platform, database_url: str) -> None:
    gate = Gate()
    gate.release(2)
    platform.upstream.next(Stream(frames=9, gate=gate))
    body = {"model": MODEL, "messages": HELLO, "stream": True}
    async with (
        platform.client("leaves") as client,
        client.stream("POST", "/v1/chat/completions", json=body) as answer,
    ):
        await anext(answer.aiter_bytes())
    row = await row_of(database_url, answer)
    assert row["status"] == 499
    assert row["completion_tokens"] >= 1


async def test_the_key_of_the_caller_is_in_the_row(platform: Platform, database_url: str) -> None:
    key_id = str(uuid.uuid4())
    principal = Principal(subject="keyed", issuer="http://issuer.example/realms/jan", key_id=key_id)
    async with platform.client() as client:
        answer = await client.post(
            "/v1/chat/completions",
            json={"model": MODEL, "messages": HELLO},
            headers={HEADER: platform.signer.sign(principal)},
        )
    assert str((await row_of(database_url, answer))["key_id"]) == key_id


async def test_a_stop_writes_everything(serve: Serve, database: Database, tmp_path: Path) -> None:
    accounting = Accounting(database, Prices())
    async with accounting.open(tmp_path):
        finish_call(accounting, user_id=-1)
    assert not files_in(tmp_path)
    assert (await daily(database.url, -1))[0]["request_count"] == 1


async def test_calls_wait_while_postgresql_is_away(database: Database, tmp_path: Path) -> None:
    away = Database("postgresql://nobody@127.0.0.1:9/none")
    accounting = Accounting(away, Prices())
    async with accounting.open(tmp_path):
        for _ in range(3):
            finish_call(accounting, user_id=-2)
        with pytest.raises(Exception, match="refused"):
            await accounting.write()
        finish_call(accounting, user_id=-2)
    await away.dispose()
    assert files_in(tmp_path)
    async with Accounting(database, Prices()).open(tmp_path):
        pass
    assert not files_in(tmp_path)
    [day] = await daily(database.url, -2)
    assert (day["request_count"], day["total_tokens"]) == (4, 12)


async def test_what_a_crash_left_counts_once(database: Database, tmp_path: Path) -> None:
    accounting = Accounting(database, Prices())
    async with accounting.open(tmp_path):
        finish_call(accounting, user_id=-3)
        [journal] = files_in(tmp_path)
        left = (tmp_path / journal).read_bytes()
    # The process died after the rows were written and before the file was removed, in the middle of a line.
    (tmp_path / "left.jsonl").write_bytes(left + b'{"call_id": "half')
    async with Accounting(database, Prices()).open(tmp_path):
        pass
    assert not files_in(tmp_path)
    [day] = await daily(database.url, -3)
    assert day["request_count"] == 1


async def test_the_journal_of_a_living_process_is_its_own(database: Database, tmp_path: Path) -> None:
    first, second = Accounting(database, Prices()), Accounting(database, Prices())
    async with first.open(tmp_path):
        finish_call(first, user_id=-4)
        async with second.open(tmp_path):
            pass
    [day] = await daily(database.url, -4)
    assert day["request_count"] == 1
    assert not files_in(tmp_path)


async def test_calls_that_the_database_does_not_take_hold_nothing_up(
    database: Database, tmp_path: Path
) -> None:
    accounting = Accounting(database, Prices())
    async with accounting.open(tmp_path):
        finish_call(accounting, user_id=-5)
        [journal] = files_in(tmp_path)
        # As another process left it: a good call between two others.
        bad = b'{"call_id": "no uuid"}\n', b'{"call_id": "%s"}\n' % str(uuid.uuid4()).encode()
        other = (tmp_path / journal).read_bytes().replace(b'"user_id":-5', b'"user_id":-7')
        other = re.sub(rb'"call_id":"[^"]*"', b'"call_id":"%s"' % str(uuid.uuid4()).encode(), other)
        (tmp_path / "left.jsonl").write_bytes(bad[0] + other + bad[1])
    async with Accounting(database, Prices()).open(tmp_path):
        pass
    assert files_in(tmp_path) == ["left.refused"]
    assert (tmp_path / "left.refused").read_bytes() == b"".join(bad)
    assert [len(await daily(database.url, user)) for user in (-5, -7)] == [1, 1]


async def test_absurd_counts_and_prices_stay_within_their_columns(database: Database, tmp_path: Path) -> None:
    counts = told_counts(b'"usage":{"prompt_tokens":999999999,"completion_tokens":9999999999999}')
    assert counts == TokenCounts(999_999_999, 0)
    assert told_counts(b'"usage":{"prompt_tokens":9999999999}') is None
    dear = offered("dear", pricing=(("per_1k_prompt_tokens", 10**18),))
    accounting = Accounting(database, Prices())
    async with accounting.open(tmp_path):
        MeteredCall(accounting, dear, user_id=-8).finish(200, counts)
    assert not files_in(tmp_path)
    [day] = await daily(database.url, -8)
    assert day["estimated_cost_usd"] == 1_000_000


async def test_many_writers_at_once_lose_nothing(database: Database, tmp_path: Path) -> None:
    writers = [Accounting(database, Prices()) for _ in range(4)]

    async def work(accounting: Accounting, folder: Path) -> None:
        async with accounting.open(folder):
            for number in range(50):
                finish_call(accounting, user_id=-6, model=offered(f"model-{number % 5}"))
                await accounting.write()

    await asyncio.gather(*(work(writer, tmp_path / str(index)) for index, writer in enumerate(writers)))
    assert sum(day["request_count"] for day in await daily(database.url, -6)) == 200


def test_prices_come_from_the_settings_the_model_or_the_list() -> None:
    overrides = {"mine/model": {"prompt": Decimal(1), "completion": Decimal(3)}}
    prices, counts = Prices(overrides), TokenCounts(1_000_000, 2_000_000)
    assert prices.cost(offered("mine/model"), counts) == 7
    stored = offered("m", pricing=(("per_1k_prompt_tokens", 500), ("per_1k_completion_tokens", 1000)))
    assert prices.cost(stored, counts) == Decimal("2.5")
    listed = prices.cost(offered("openai/gpt-4o", "gpt-4o", kind="openai"), counts)
    assert listed is not None and listed > 1
    assert prices.cost(offered("gpt-4o", "gpt-4o", kind="custom"), counts) is None
    assert prices.cost(offered("nobody/knows", kind="openai"), counts) is None


def test_counts_are_read_where_they_are() -> None:
    body = b'{"choices":[{"message":{"content":"\\"usage\\":{\\"prompt_tokens\\": 9}"}}],"usage":'
    assert told_counts(body + b"null}") is None
    assert told_counts(
        body + b'{"prompt_tokens": 3,"prompt_tokens_details":{"cached_tokens":2},"completion_tokens":4}}'
    ) == TokenCounts(3, 4, 2)


@pytest.mark.parametrize("size", [1, 2, 7, 30, 1000])
def test_the_usage_chunk_is_kept_back_however_the_bytes_are_cut(size: int) -> None:
    said = b"".join(frame(chunk({"content": word})) for word in ("Hi", " there"))
    said += frame(chunk({}, finish_reason="stop"))
    usage = frame({"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}})
    sent = said + usage + DONE
    counter = StreamCounter(strip=True)
    passed = b"".join(counter.feed(sent[start : start + size]) for start in range(0, len(sent), size))
    assert passed + counter.rest() == said + DONE
    assert counter.counts == TokenCounts(3, 2)
    assert counter.complete


def files_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def offered(
    model_id: str, provider_id: str = "", *, kind: str = "custom", pricing: tuple[tuple[str, int], ...] = ()
) -> OfferedModel:
    provider = Provider("prov_x", "Some provider", (), kind)
    return OfferedModel(model_id, provider_id or model_id, hash(model_id), provider, pricing=pricing)


def finish_call(accounting: Accounting, *, user_id: int, model: OfferedModel | None = None) -> None:
    MeteredCall(accounting, model or offered("some/model"), user_id=user_id).finish(200, TokenCounts(2, 1))


@pytest.fixture(scope="module")
async def database(database_url: str) -> Any:
    opened = Database(database_url)
    yield opened
    await opened.dispose()


async def test_answers_name_no_day_but_todays(platform: Platform, database_url: str) -> None:
    platform.upstream.next(Answer("today"))
    row = await row_of(database_url, await ask(platform, "today"))
    [day] = await daily(database_url, row["user_id"])
    assert day["usage_date"] in {row["created_at"].astimezone(UTC).date(), datetime.now(UTC).date()}
