"""Where providers come from, and that their keys are safe at rest."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from jan_server.database.engine import Database
from jan_server.services.llm_api.bootstrap import (
    ProviderFileError,
    bootstrap_providers,
    described_providers,
    file_providers,
)
from jan_server.services.llm_api.provider_secrets import ProviderSecrets, UnreadableKey
from jan_server.services.llm_api.providers import endpoint_list
from jan_server.services.llm_api.refusals import Invalid
from jan_server.settings.tree import Settings

SECRETS = ProviderSecrets("a secret of this test only")
KEY = "the key of some provider"


def settings(**inference: Any) -> Settings:
    return Settings.model_validate(
        {"inference": {"provider": "remote", "embeddings": {"builtin": False}, **inference}}
    )


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    opened = Database(database_url)
    yield opened
    await opened.dispose()


async def rows(database_url: str) -> list[dict[str, Any]]:
    async with await psycopg.AsyncConnection.connect(
        database_url, row_factory=psycopg.rows.dict_row
    ) as connection:
        found = await connection.execute("select * from llm_api.providers order by id")
        return list(await found.fetchall())


def test_keys_are_sealed_and_each_time_differently() -> None:
    sealed = SECRETS.encrypt(KEY)
    assert KEY not in sealed
    assert sealed != SECRETS.encrypt(KEY)
    assert SECRETS.decrypt(sealed) == KEY
    assert SECRETS.encrypt("") == SECRETS.decrypt("") == ""


def test_another_secret_or_a_changed_byte_opens_nothing() -> None:
    sealed = SECRETS.encrypt(KEY)
    for secrets, value in (
        (ProviderSecrets("another secret"), sealed),
        (SECRETS, sealed[:-4] + "AAA="),
        (SECRETS, "not base64!"),
        (SECRETS, "AAAA"),
    ):
        with pytest.raises(UnreadableKey, match="MODEL_PROVIDER_SECRET"):
            secrets.decrypt(value)


def test_there_is_no_default_secret() -> None:
    with pytest.raises(ValueError, match="MODEL_PROVIDER_SECRET"):
        ProviderSecrets("  ")


@pytest.mark.parametrize(
    ("given", "urls"),
    [
        ("http://a/v1", ["http://a/v1"]),
        ("http://a/v1/, http://b/v1", ["http://a/v1", "http://b/v1"]),
        ('[{"url":"http://a/v1","weight":3}]', ["http://a/v1"]),
        ([{"url": "http://a/v1"}, "http://b/v1"], ["http://a/v1", "http://b/v1"]),
    ],
)
def test_the_forms_of_endpoints(given: Any, urls: list[str]) -> None:
    assert [endpoint["url"] for endpoint in endpoint_list(given)] == urls


@pytest.mark.parametrize(
    ("given", "param"),
    [
        ("", "endpoints"),
        ([], "endpoints"),
        ("[", "endpoints"),
        ("ftp://a", "endpoints[0].url"),
        ("http://[::1", "endpoints[0].url"),
        ("http://a:99999/v1", "endpoints[0].url"),
        ([{"url": "http://a", "weight": -1}], "endpoints[0].weight"),
        ([{"weight": 1}], "endpoints[0]"),
        (7, "endpoints"),
    ],
)
def test_bad_endpoints_are_named(given: Any, param: str) -> None:
    with pytest.raises(Invalid) as caught:
        endpoint_list(given)
    assert caught.value.param == param


def test_settings_describe_any_number_of_providers(tmp_path: Path) -> None:
    specs = described_providers(
        settings(
            provider="builtin",
            llamacpp={"port": 8111},
            remote={"url": "https://remote.example/v1", "api_key": KEY, "models": "a,b"},
            vllm={"enabled": True, "url": "http://gpu.example/v1"},
            image={"enabled": True, "url": "http://images.example/v1"},
            providers=[
                {"name": "Gemini", "type": "gemini", "url": "https://g.example/v1"},
                {"name": "Off", "enable": False, "url": "https://off.example/v1"},
                {
                    "name": "Two",
                    "endpoints": [
                        {"url": "http://one.example/v1", "weight": 2},
                        {"url": "http://two.example/v1"},
                    ],
                },
            ],
        ),
        tmp_path,
    )
    assert [(spec.name, spec.kind, spec.source) for spec in specs] == [
        ("Built-in engine", "jan", "engine"),
        ("vLLM", "custom", "engine"),
        ("Remote provider", "custom", "settings"),
        ("Image provider", "z-image", "settings"),
        ("Gemini", "google", "settings"),
        ("Two", "custom", "settings"),
    ]
    assert specs[0].endpoints[0]["url"] == "http://127.0.0.1:8111/v1"
    assert specs[2].offered_models == ("a", "b")
    assert [endpoint["weight"] for endpoint in specs[5].endpoints] == [2, 1]


def test_a_provider_without_an_address_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Invalid):
        described_providers(settings(providers=[{"name": "Nowhere"}]), tmp_path)


FILE = """
providers:
  default:
    - name: Local vLLM
      enable: ${VLLM_ENABLED:-true}
      type: vllm
      url: ${VLLM_PROVIDER_URL:-http://vllm.example/v1}
      api_key: ${VLLM_INTERNAL_KEY}
      description: the big one
      metadata: {tool_support: true}
    - name: Remote
      enable: ${REMOTE_LLM_ENABLED}
      vendor: openai
      base_url: https://remote.example/v1
    - name: Pictures
      category: image
      endpoints: [{url: "http://images.example/v1", weight: 2}]
  empty: []
"""


def test_the_provider_file_of_the_contract(tmp_path: Path) -> None:
    path = tmp_path / "providers.yml"
    path.write_text(FILE)
    local, pictures = file_providers(path, "default", {"VLLM_INTERNAL_KEY": KEY})
    assert (local.name, local.kind, local.api_key) == ("Local vLLM", "custom", KEY)
    assert local.endpoints[0]["url"] == "http://vllm.example/v1"
    assert local.details["tool_support"] == "true"
    assert local.details["description"] == "the big one"
    assert (pictures.category, pictures.default_image_generate) == ("image", True)
    assert file_providers(path, "empty", {}) == []
    with_remote = file_providers(path, "default", {"REMOTE_LLM_ENABLED": "1", "VLLM_ENABLED": "false"})
    assert [spec.name for spec in with_remote] == ["Remote", "Pictures"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("providers: {other: []}", "providers.default"),
        ("providers: [", "while parsing"),
        ("providers: {default: [{url: 'http://a/v1'}]}", "needs a name"),
        ("providers: {default: [{name: A}]}", r"default\[0\] \(A\): endpoints"),
    ],
)
def test_a_bad_provider_file_is_named_with_the_place(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "providers.yml"
    path.write_text(text)
    with pytest.raises(ProviderFileError, match=told):
        file_providers(path, "default", {})
    with pytest.raises(ProviderFileError, match="No such file"):
        file_providers(tmp_path / "absent.yml", "default", {})


async def test_the_database_follows_settings_and_file(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    path = tmp_path / "providers.yml"
    path.write_text("providers: {default: [{name: Filed, url: '${FILED_URL}', api_key: one}]}")
    (tmp_path / ".env").write_text("FILED_URL=http://filed.example/v1\n")
    services = {"llm_api": {"provider_config_file": "providers.yml"}}

    async def start(**remote: Any) -> list[dict[str, Any]]:
        inference = {"provider": "remote", "remote": remote, "embeddings": {"builtin": False}}
        tree = Settings.model_validate({"inference": inference, "services": services})
        await bootstrap_providers(database, described_providers(tree, tmp_path), SECRETS)
        return await rows(database_url)

    remote, filed = await start(url="https://remote.example/v1", api_key=KEY)
    assert (remote["display_name"], remote["source"], remote["active"]) == (
        "Remote provider",
        "settings",
        True,
    )
    assert KEY not in str(remote)
    assert remote["api_key_hint"] == KEY[-4:]
    assert SECRETS.decrypt(remote["encrypted_api_key"]) == KEY
    assert filed["base_url"] == "http://filed.example/v1"

    again = await start(url="https://remote.example/v1", api_key=KEY)
    assert [row["encrypted_api_key"] for row in again] == [
        remote["encrypted_api_key"],
        filed["encrypted_api_key"],
    ]
    changed = await start(url="https://elsewhere.example/v1", api_key="")
    assert changed[0]["public_id"] == remote["public_id"]
    assert changed[0]["base_url"] == "https://elsewhere.example/v1"
    assert (changed[0]["encrypted_api_key"], changed[0]["api_key_hint"]) == ("", "")
    gone = await start()
    assert (gone[0]["active"], gone[0]["deleted_at"] is None) == (False, False)
    back = await start(url="https://remote.example/v1")
    assert (back[0]["public_id"], back[0]["active"], back[0]["deleted_at"]) == (
        remote["public_id"],
        True,
        None,
    )


async def test_what_an_administrator_changed_in_a_file_provider_stays(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
        await connection.execute(
            "update llm_api.providers set source = 'api', base_url = 'http://mine.example/v1' "
            "where display_name = 'Filed'"
        )
    path = tmp_path / "providers.yml"
    path.write_text("providers: {default: [{name: Filed, url: 'http://filed.example/v1'}]}")
    specs = file_providers(path, "default", {})
    await bootstrap_providers(database, specs, SECRETS)
    [filed] = [row for row in await rows(database_url) if row["display_name"] == "Filed"]
    assert filed["base_url"] == "http://mine.example/v1"
