"""`jan keys`: an operator keeps keys and limits, through the real admin API."""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import httpx
import pytest

from tests.cli.running_platform import Jan, command_of, running_platform
from tests.services.llm_api.conftest import (
    Person,
    accounts,
    bearer,
    identity,
    issuer_url,
    register,
)
from tests.services.llm_api.platform import TRUST

__all__ = ["accounts", "identity", "issuer_url", "register"]


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
    async with running_platform(
        home, database_url, client, issuer_url, administrator, api_key={"max_per_user": 100}
    ):
        yield home


@pytest.fixture
def jan(home: Path) -> Jan:
    return command_of(home, "keys")


@pytest.fixture
async def owner(home: Path, register: Callable[..., Awaitable[Person]]) -> Person:
    """Somebody who has used the LLM API."""
    person = await register("user")
    address = (home / "address").read_text()
    async with httpx.AsyncClient(base_url=address, verify=TRUST) as caller:
        assert (await caller.get("/auth/api-keys", headers=person.headers)).status_code == 200
    return person


def fresh() -> str:
    return f"key-{uuid.uuid4().hex[:8]}"


async def test_a_new_keys_secret_is_all_that_is_printed(jan: Jan, home: Path, owner: Person) -> None:
    name = fresh()
    made = await jan("create", name, "--owner", owner.email, "--requests", "60", "--budget-usd", "2.5")
    assert made.exit_code == 0, made.output
    assert made.stdout.startswith("sk_live_") and made.stdout.count("\n") == 1
    assert "60 requests/min, 2.5 USD/month" in made.stderr
    async with httpx.AsyncClient(base_url=(home / "address").read_text(), verify=TRUST) as caller:
        me = await caller.get("/auth/me", headers=bearer(made.stdout.strip()))
    assert me.json()["email"] == owner.email
    listed = json.loads((await jan("list", "--owner", owner.email, "--json")).stdout)
    assert [key["name"] for key in listed] == [name]
    assert name in (await jan("list")).stdout


async def test_limits_are_changed_and_cleared(jan: Jan) -> None:
    name = fresh()
    await jan("create", name, "--days", "7")
    changed = await jan("limit", name, "--models", "openai/*, jan-*", "--tokens", "5000")
    assert "models openai/* jan-*, 5,000 tokens/min" in changed.stderr
    kept = json.loads((await jan("limit", name, "--clear", "tokens_per_minute", "--json")).stdout)
    assert kept["allowed_models"] == ["openai/*", "jan-*"] and "tokens_per_minute" not in kept
    assert "no limits" in (await jan("limit", name, "--clear", "all")).stderr


async def test_models_are_denied_and_answers_used_again(jan: Jan) -> None:
    name = fresh()
    made = await jan("create", name, "--deny", "openai/*, *-preview", "--cache", "300", "--cache-shared")
    assert "not openai/* *-preview, shared cache of 300 s" in made.stderr
    changed = await jan("limit", name, "--cache", "60", "--clear", "denied_models", "--json")
    shown = json.loads(changed.stdout)
    assert shown["cache"] == {"ttl": 60, "shared": False} and "denied_models" not in shown
    assert "no limits" in (await jan("limit", name, "--clear", "all")).stderr


async def test_an_end_is_put_off_or_taken_away(jan: Jan) -> None:
    name = fresh()
    await jan("create", name, "--days", "1")
    end = (datetime.now(UTC) + timedelta(days=30)).date().isoformat()
    assert f"{name} works until {end}" in (await jan("extend", name, "--days", "30")).stderr
    assert "until never" in (await jan("extend", name, "--forever")).stderr
    [row] = [line for line in (await jan("list")).stdout.splitlines() if line.startswith(name)]
    assert row.split()[3] == "never"


async def test_users_are_limited_too(jan: Jan, owner: Person) -> None:
    limited = await jan("limit", "--user", owner.email, "--budget-tokens", "1000", "--period", "day")
    assert "1,000 tokens/day" in limited.stderr
    assert "no limits" in (await jan("limit", "--user", owner.email, "--clear", "all")).stderr


async def test_revoking_asks_first(jan: Jan) -> None:
    name = fresh()
    await jan("create", name)
    refused = await jan("revoke", name)
    assert refused.exit_code == 1 and "Add --yes" in refused.output
    assert (await jan("revoke", name, "--yes")).exit_code == 0
    keys = json.loads((await jan("list", "--json")).stdout)
    assert [key["status"] for key in keys if key["name"] == name] == ["revoked"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("revoke", "none", "--yes"), "There is no key 'none'"),
        (("limit", "--requests", "5"), "either a KEY or --user"),
        (("limit", "x"), "No limit is given"),
        (("limit", "x", "--cache-shared"), "--cache-shared needs --cache"),
        (("extend", "x"), "either --days or --forever"),
        (("limit", "x", "--clear", "moon"), "--clear does not know"),
        (("create", "x", "--owner", "nobody"), "nobody who ever used the LLM API is called nobody"),
        (("create", "x", "--period", "year"), "budget_period"),
    ],
)
async def test_what_cannot_be_done_is_said(jan: Jan, arguments: tuple[str, ...], words: str) -> None:
    result = await jan(*arguments)
    assert result.exit_code != 0
    assert words in result.output
    assert "Traceback" not in result.output


async def test_a_name_that_two_keys_have_is_not_enough(jan: Jan) -> None:
    name = fresh()
    await jan("create", name)
    await jan("create", name)
    assert "2 keys are called" in (await jan("revoke", name, "--yes")).output
