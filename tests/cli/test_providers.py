"""`jan providers` and `jan models`: an operator keeps providers, models and routes, by the real admin API."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.cli.running_platform import Jan, command_of, running_platform
from tests.doubles.openai_upstream import OpenAIUpstream
from tests.services.llm_api.conftest import Person, accounts, identity, issuer_url, register

__all__ = ["accounts", "identity", "issuer_url", "register"]

KEY = "the key of acme"


@pytest.fixture(scope="module")
async def home(
    tmp_path_factory: pytest.TempPathFactory,
    database_url: str,
    client: aiohttp.ClientSession,
    issuer_url: str,
    register: Callable[..., Awaitable[Person]],
) -> AsyncIterator[Path]:
    home = tmp_path_factory.mktemp("home")
    async with running_platform(home, database_url, client, issuer_url, await register("admin")):
        yield home


@pytest.fixture(scope="module")
async def acme() -> AsyncIterator[OpenAIUpstream]:
    """A provider that wants a key."""
    async with OpenAIUpstream(models=["acme/wizard", "acme/oracle", "acme/sphinx"], api_key=KEY) as running:
        yield running


@pytest.fixture
def providers(home: Path) -> Jan:
    return command_of(home, "providers")


@pytest.fixture
def models(home: Path) -> Jan:
    return command_of(home, "models")


@pytest.fixture
async def registered(providers: Jan, acme: OpenAIUpstream) -> AsyncIterator[dict[str, Any]]:
    added = await providers("add", "Acme", "--url", acme.url, "--key-env", "ACME", "--json", ACME=KEY)
    assert added.exit_code == 0, added.output
    yield json.loads(added.stdout)
    await providers("remove", json.loads(added.stdout)["id"], "--yes")


async def test_a_provider_is_added_with_a_key_that_is_never_shown(
    providers: Jan, acme: OpenAIUpstream
) -> None:
    given = {"given": f"{KEY}\n"}
    added = await providers("add", "Piped", "--url", f"{acme.url},weight=3", "--key-stdin", **given)
    assert added.exit_code == 0, added.output
    assert "Piped was added with 3 models: acme/wizard" in added.stderr
    shown = await providers("show", "piped")
    assert "weight 3, priority 0, healthy" in shown.stdout and f"…{KEY[-4:]}" in shown.stdout
    assert KEY not in added.output + shown.output
    refused = await providers("remove", "Piped")
    assert refused.exit_code == 1 and "Add --yes" in refused.output
    assert (await providers("remove", "Piped", "--yes")).exit_code == 0


async def test_providers_are_listed_changed_and_switched(providers: Jan, registered: dict[str, Any]) -> None:
    row = next(line for line in (await providers("list")).stdout.splitlines() if "Acme" in line)
    assert "active" in row and "3/3" in row and "healthy" in row and registered["id"] in row
    edited = await providers("edit", "acme", "--name", "Acme Two", "--metadata", "team=blue", "--json")
    assert json.loads(edited.stdout)["metadata"] == {"auto_enable_new_models": "true", "team": "blue"}
    await providers(
        "edit", "Acme Two", "--max-concurrent", "4", "--max-queued", "8", "--queue-timeout", "2.5"
    )
    assert "4 requests; 8 wait at most 2.5 s" in (await providers("show", "Acme Two")).stdout
    await providers("edit", "Acme Two", "--max-concurrent", "0")
    assert "any number of requests" in (await providers("show", "Acme Two")).stdout
    assert (await providers("disable", "Acme Two")).exit_code == 0
    assert "models enable --provider" in (await providers("enable", "Acme Two")).stderr
    assert "3 of 3 models are on" in (await providers("enable", "Acme Two", "--models")).stderr
    moved = await providers("edit", "Acme Two", "--url", "http://127.0.0.1:9/v1")
    assert "The stored key was removed" in moved.stderr


async def test_sync_and_test_say_who_answers(
    providers: Jan, registered: dict[str, Any], acme: OpenAIUpstream
) -> None:
    assert (await providers("sync", "acme")).stdout == "Acme: 3 models, 0 new\n"
    tested = await providers("test", "acme", "--json")
    assert tested.exit_code == 0 and json.loads(tested.stdout)[0]["endpoints"][0]["models"] == 3
    await providers("edit", "acme", "--no-key")
    failed = await providers("test", "acme")
    assert failed.exit_code == 1 and " no " in failed.stdout
    assert (await providers("sync", "acme")).exit_code == 1


async def test_models_are_listed_shown_and_edited(models: Jan, registered: dict[str, Any]) -> None:
    edited = await models(
        *("edit", "wizard", "--name", "The Wizard", "--input-price", "0.15", "--output-price", "0.6"),
        *("--context", "8192", "--default", "temperature=0.2", "--tools"),
    )
    assert edited.exit_code == 0, edited.output
    row = next(line for line in (await models("list")).stdout.splitlines() if "acme/wizard" in line)
    assert row.split() == ["acme/wizard", "Acme", "8192", "0.15", "0.6", "active"]
    shown = (await models("show", "acme/wizard")).stdout
    assert "The Wizard" in shown and "temperature=0.2" in shown and "tools" in shown
    await models("edit", "wizard", "--clear", "all", "--default", "temperature=")
    offer = json.loads((await models("show", "acme/wizard", "--json")).stdout)
    assert offer["offers"][0]["pricing"] == {"lines": []} and "token_limits" not in offer["offers"][0]
    assert "temperature" not in offer["catalog"]["supported_parameters"]["default"]


async def test_files_nobody_offers_are_in_the_list(models: Jan, registered: dict[str, Any]) -> None:
    rows = {row["id"]: row for row in json.loads((await models("list", "--json")).stdout)}
    assert rows["acme/wizard"]["active"] and rows["acme/wizard"]["local"] is None
    assert rows["jan/smollm2-135m-instruct"]["local"]["used"]
    named = json.loads((await models("list", "--provider", "acme", "--json")).stdout)
    assert {row["provider"] for row in named} == {"Acme"}


async def test_models_are_switched_by_pattern(models: Jan, registered: dict[str, Any]) -> None:
    off = json.loads((await models("disable", "*/o*", "acme/sphinx", "--json")).stdout)
    assert off == {"matched": 2, "changed": 2, "skipped": 0}
    active = json.loads((await models("list", "--provider", "acme", "--active", "--json")).stdout)
    assert [row["id"] for row in active] == ["acme/wizard"]
    assert (await models("catalog", "edit", "acme/oracle", "--inactive")).exit_code == 0
    on = await models("enable", "--provider", "acme")
    assert "Switched on: 1 model;" in on.stderr and "1 model stay off" in on.stderr
    await models("catalog", "edit", "acme/oracle", "--active")


async def test_the_catalogue_is_listed_and_edited(models: Jan, registered: dict[str, Any]) -> None:
    arguments = ("catalog", "edit", "acme/sphinx", "--supports", "reasoning=yes", "--tags", "riddles, old")
    changed = json.loads((await models(*arguments, "--json")).stdout)
    assert changed["supports_reasoning"] and changed["tags"] == ["riddles", "old"]
    assert "riddles, old" in (await models("catalog", "show", "acme/sphinx")).stdout
    assert "acme/sphinx" in (await models("catalog", "list", "--status", "updated")).stdout


async def test_routes_and_aliases_are_kept(models: Jan, registered: dict[str, Any]) -> None:
    weighted = ("routes", "add", "fast", "--to", "acme/wizard", "--to", "acme/oracle:2")
    made = await models(*weighted, "--fallback", "acme/sphinx@Acme")
    assert "fast is acme/wizard + acme/oracle (2), then acme/sphinx@Acme." in made.stderr
    edited = await models(
        "routes", "edit", "fast", "--to", "acme/oracle", "--fallback-on", "rate-limit", "--json"
    )
    route = json.loads(edited.stdout)
    assert [(each["model"], each["priority"]) for each in route["targets"]] == [
        ("acme/oracle", 0),
        ("acme/sphinx", 1),
    ]
    assert route["fallback_on"] == ["rate_limit"]
    assert "then acme/sphinx@Acme" in (await models("routes", "list")).stdout
    assert "acme/oracle" in (await models("routes", "show", "fast")).stdout
    assert "gpt is acme/wizard" in (await models("alias", "gpt", "acme/wizard")).stderr
    assert "gpt is acme/oracle" in (await models("alias", "gpt", "acme/oracle")).stderr
    for name in ("gpt", "fast"):
        assert (await models("routes", "remove", name, "--yes")).exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("providers", "add", "X"), "--url is missing"),
        (("providers", "add", "X", "--url", "http://127.0.0.1:9/v1"), "cannot be reached"),
        (("providers", "add", "X", "--url", "http://a/v1,w=3"), "neither weight=N nor priority=N"),
        (("providers", "add", "X", "--url", "http://a/v1", "--key-env", "NONE"), "variable NONE is not set"),
        (("providers", "edit", "X", "--no-key", "--key-stdin"), "only one of the options"),
        (("providers", "edit", "X", "--metadata", "x"), "is not NAME=VALUE"),
        (("providers", "edit", "X"), "Nothing to change"),
        (("providers", "show", "nobody"), "There is no provider 'nobody'"),
        (("models", "enable"), "Nothing says which models"),
        (("models", "enable", "none"), "No model is called 'none'"),
        (("models", "show", "none"), "There is no model 'none'"),
        (("models", "edit", "x", "--input-price", "much"), "no amount of dollars"),
        (("models", "edit", "x", "--clear", "moon"), "--clear does not know 'moon'"),
        (("models", "list", "--local", "--active"), "--local goes with none"),
        (("models", "catalog", "show", "none"), "model catalog not found"),
        (("models", "catalog", "edit", "x", "--supports", "magic=yes"), "--supports does not know"),
        (("models", "routes", "add", "x"), "--to is missing"),
        (("models", "routes", "add", "x", "--to", "none/none"), "there is no model none/none"),
        (("models", "routes", "add", "x", "--to", "y", "--fallback-on", "moon"), "does not know 'moon'"),
        (("models", "routes", "show", "none"), "There is no route 'none'"),
    ],
)
async def test_what_cannot_be_done_is_said(home: Path, arguments: tuple[str, ...], words: str) -> None:
    result = await command_of(home)(*arguments)
    assert result.exit_code in (1, 2)
    assert words in result.output
    assert "Traceback" not in result.output


async def test_without_a_platform_only_the_files_are_listed(tmp_path: Path) -> None:
    listed = await command_of(tmp_path, "models")("list")
    assert listed.exit_code == 0
    assert "smollm2" in listed.stdout and "jan quickstart" in listed.stderr
    assert (await command_of(tmp_path, "providers")("list")).exit_code == 1
