"""`jan usage`: what an operator sees of tokens, calls and costs, from the real admin API."""

from __future__ import annotations

import csv
import io
import json
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.cli.running_platform import Jan, command_of, running_platform
from tests.services.llm_api.conftest import Person, accounts, identity, issuer_url, register

__all__ = ["accounts", "identity", "issuer_url", "register"]

KEY = "00000000-0000-4000-8000-00000000abcd"


@pytest.fixture(scope="module")
async def home(
    tmp_path_factory: pytest.TempPathFactory,
    database_url: str,
    client: aiohttp.ClientSession,
    issuer_url: str,
    register: Callable[..., Awaitable[Person]],
) -> AsyncIterator[Path]:
    home = tmp_path_factory.mktemp("home")
    administrator = await register("admin")
    async with running_platform(home, database_url, client, issuer_url, administrator) as served:
        accounting = served.state.resources.serving.accounting
        for model, tokens in (("vendor/small", 15), ("vendor/large", 2_000)):
            accounting.record(call(model, tokens))
        await accounting.write()
        yield home


def call(model: str, tokens: int) -> dict[str, Any]:
    return {
        "call_id": uuid.uuid4(),
        "created_at": datetime.now(UTC),
        "user_id": 4711,
        "key_id": KEY,
        "project_id": None,
        "conversation_id": None,
        "model": model,
        "provider": "Vendor",
        "prompt_tokens": tokens - 5,
        "completion_tokens": 5,
        "total_tokens": tokens,
        "estimated": False,
        "estimated_cost_usd": "0.25",
        "latency_ms": 5,
        "first_token_ms": None,
        "status": 200,
        "stream": False,
        "request_id": "",
    }


@pytest.fixture
def jan(home: Path) -> Jan:
    return command_of(home, "usage")


async def test_the_largest_models_come_first_and_their_sum_last(jan: Jan) -> None:
    result = await jan("--by", "model,user")
    assert result.exit_code == 0, result.output
    heading, large, small, total = result.stdout.splitlines()
    assert heading.split()[:2] == ["MODEL", "USER"]
    assert large.split()[:3] == ["vendor/large", "user", "4711"]
    assert small.startswith("vendor/small")
    assert total.startswith("all") and "2,015" in total and "0.5" in total
    assert "days of UTC" in result.stderr


async def test_json_is_the_platforms_own(jan: Jan) -> None:
    report = json.loads((await jan("--json", "--by", "key", "--model", "vendor/small")).stdout)
    assert report["total_usage"]["total_tokens"] == 15
    assert [row["key_id"] for row in report["data"]] == [KEY]


async def test_csv_has_a_line_of_names(jan: Jan) -> None:
    rows = list(csv.DictReader(io.StringIO((await jan("--csv", "--by", "day,model")).stdout)))
    assert {row["model"] for row in rows} == {"vendor/small", "vendor/large"}
    assert (await jan("--csv", "--user", "1")).stdout == ""


async def test_days_can_be_chosen(jan: Jan) -> None:
    report = json.loads((await jan("--json", "--from", "2026-01-01", "--to", "2026-01-31")).stdout)
    assert report["period"] == {"start_date": "2026-01-01", "end_date": "2026-01-31"}
    assert report["data"] == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--by", "moon"), "It takes day, user"),
        (("--json", "--csv"), "exclude one another"),
        (("--key", "mine"), "There is no key 'mine'"),
        (("--user", "nobody"), "nobody who ever used the LLM API is called nobody"),
    ],
)
async def test_what_cannot_be_done_is_said(jan: Jan, arguments: tuple[str, ...], words: str) -> None:
    result = await jan(*arguments)
    assert result.exit_code != 0
    assert words in result.output
    assert "Traceback" not in result.output
