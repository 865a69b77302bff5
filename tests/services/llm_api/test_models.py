"""Which models can be called: sync with providers, choice among them, and how they are shown."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import psycopg
import pytest

from jan_server.inference.provider import Provider
from jan_server.services.llm_api.model_lists import parse_model_list
from jan_server.services.llm_api.models import ModelTable, OfferedModel
from tests.doubles.openai_upstream import OpenAIUpstream
from tests.services.llm_api.conftest import UPSTREAM_KEY, Serve, eventually
from tests.services.llm_api.platform import Platform


@pytest.fixture
async def caller(platform: Platform) -> AsyncIterator[httpx.AsyncClient]:
    async with platform.client() as client:
        yield client


@pytest.fixture(scope="module")
async def upstream() -> AsyncIterator[OpenAIUpstream]:
    models = ["scripted-model", "Qwen/Qwen2.5_7B"]
    async with OpenAIUpstream(models=models, api_key=UPSTREAM_KEY) as running:
        yield running


async def test_the_list_has_contract_members(caller: httpx.AsyncClient) -> None:
    for path in ("/v1/models", "/llm/v1/models"):
        listed = (await caller.get(path)).json()
        assert listed["object"] == "list"
        assert [model["id"] for model in listed["data"]] == ["unknown/scripted-model", "qwen/qwen2.5-7b"]
    model = listed["data"][1]
    assert model["object"] == "model"
    assert model["owned_by"] == "Remote provider"
    assert model["model_display_name"] == "Qwen2.5_7B"
    assert isinstance(model["created"], int)
    assert "provider_id" not in model


async def test_the_list_shows_providers_on_request(caller: httpx.AsyncClient) -> None:
    listed = (await caller.get("/v1/models", headers={"X-PROVIDER-DATA": "true"})).json()
    assert listed["data"][0]["provider_name"] == "Remote provider"
    assert listed["data"][0]["provider_vendor"] == "custom"
    assert listed["data"][0]["provider_id"].startswith("prov_")


@pytest.mark.parametrize("path", ["qwen/qwen2.5-7b", "qwen%2Fqwen2.5-7b", "Qwen%2FQwen2.5_7B"])
async def test_one_model_by_its_id_with_raw_or_encoded_slashes(caller: httpx.AsyncClient, path: str) -> None:
    assert (await caller.get(f"/v1/models/{path}")).json()["id"] == "qwen/qwen2.5-7b"


async def test_the_catalogue_describes_a_model(caller: httpx.AsyncClient) -> None:
    for path in ("qwen/qwen2.5-7b", "qwen%2Fqwen2.5-7b"):
        found = (await caller.get(f"/v1/models/catalogs/{path}")).json()
        assert found["id"] == found["public_id"] == "qwen/qwen2.5-7b"
        assert found["family"] == "qwen"
        assert found["status"] == "init"
        assert "temperature" in found["supported_parameters"]["names"]
    missing = await caller.get("/v1/models/catalogs/nobody/knows")
    assert (missing.status_code, missing.json()["message"]) == (404, "model catalog not found")


async def test_hidden_catalogue_entries_are_not_found(
    caller: httpx.AsyncClient, platform: Platform, database_url: str
) -> None:
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
        await connection.execute(
            "insert into llm_api.feature_flags (id, key, name) values (gen_random_uuid(), 'beta', 'Beta')"
        )
        for change in ("experimental = true", "experimental = false, requires_feature_flag = 'beta'"):
            await connection.execute(f"update llm_api.model_catalogs set {change}")  # type: ignore[arg-type]
            assert (await caller.get("/v1/models/catalogs/qwen/qwen2.5-7b")).status_code == 404
            async with platform.client("root", admin=True) as admin:
                assert (await admin.get("/v1/models/catalogs/qwen/qwen2.5-7b")).status_code == 200
        await connection.execute("update llm_api.model_catalogs set requires_feature_flag = null")


async def test_addresses_of_providers_are_for_administrators(
    caller: httpx.AsyncClient, platform: Platform
) -> None:
    [provider] = (await caller.get("/v1/models/providers")).json()
    assert provider["base_url"] == ""
    assert "endpoints" not in provider
    async with platform.client("root", admin=True) as admin:
        [provider] = (await admin.get("/v1/models/providers")).json()
    assert provider["base_url"] == platform.upstream.url
    assert provider["endpoints"] == [
        {"url": platform.upstream.url, "weight": 1, "priority": 0, "healthy": True}
    ]
    assert UPSTREAM_KEY not in str(provider)


async def test_a_change_by_anybody_reaches_every_process(
    caller: httpx.AsyncClient, database_url: str
) -> None:
    async def listed() -> list[str]:
        return [model["id"] for model in (await caller.get("/v1/models")).json()["data"]]

    async def set_active(active: bool) -> None:
        async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
            await connection.execute(
                "update llm_api.provider_models set active = %s where model_public_id = 'qwen/qwen2.5-7b'",
                (active,),
            )

    async def hidden() -> bool:
        return await listed() == ["unknown/scripted-model"]

    async def shown() -> bool:
        return len(await listed()) == 2

    await set_active(False)
    await eventually(hidden)
    await set_active(True)
    await eventually(shown)


async def test_a_new_model_of_a_provider_appears_and_vanished_ones_stay(platform: Platform) -> None:
    platform.upstream.models[:] = ["scripted-model", "newcomer"]
    try:
        assert not await platform.serving.sync.sync_providers()
    finally:
        platform.upstream.models[:] = ["scripted-model", "Qwen/Qwen2.5_7B"]
    assert set(platform.serving.registry.table.by_id) == {
        "unknown/scripted-model",
        "qwen/qwen2.5-7b",
        "unknown/newcomer",
    }


async def test_an_engine_that_starts_late_is_found_when_its_model_is_wanted(serve: Serve) -> None:
    async with OpenAIUpstream(models=["late-model"]) as engine:
        await engine.stop()
        platform = await serve(engine, inference=_engine(engine.url))
        async with platform.client() as client:
            body = {"model": "late-model", "messages": [{"role": "user", "content": "Hello"}]}
            assert (await client.post("/v1/chat/completions", json=body)).status_code == 404
            await engine.start()

            async def answers() -> bool:
                return (await client.post("/v1/chat/completions", json=body)).status_code == 200

            await eventually(answers)


async def test_what_the_engine_no_longer_serves_cannot_be_called_until_it_is_back(serve: Serve) -> None:
    async with OpenAIUpstream(models=["first-model"]) as engine:
        platform = await serve(engine, inference=_engine(engine.url))
        sync, registry = platform.serving.sync, platform.serving.registry
        for models in (["first-model"], ["second-model"], ["first-model"]):
            engine.models[:] = models
            await sync.sync_providers()
            offered = {
                model.provider_model_id
                for model in registry.table.by_key.values()
                if model.provider.name == "vLLM"
            }
            assert offered == set(models)


async def test_nothing_to_list_is_not_found(serve: Serve, database_url: str) -> None:
    async with OpenAIUpstream(models=[]) as empty:
        platform = await serve(empty, inference={"provider": "remote"})
        async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
            await connection.execute("update llm_api.provider_models set active = false")
        await platform.serving.registry.refresh()
        async with platform.client() as client:
            answer = await client.get("/v1/models")
        assert (answer.status_code, answer.json()["message"]) == (404, "no models or providers found")


def _engine(url: str) -> dict[str, Any]:
    return {"provider": "vllm-cpu", "vllm": {"url": url}}


def offered(key: int, *, price: int | None = None, kind: str = "custom", **members: Any) -> OfferedModel:
    provider = Provider(id=f"prov_{key}", name=f"Provider {key}", endpoints=(), kind=kind)
    return OfferedModel(
        id=members.pop("id", "vendor/model"),
        provider_model_id=members.pop("provider_model_id", "model"),
        key=key,
        provider=provider,
        price=price,
        **members,
    )


@pytest.mark.parametrize(
    ("models", "chosen"),
    [
        ([offered(1, price=9), offered(2, price=3), offered(3)], 2),
        ([offered(1), offered(2, price=9)], 2),
        ([offered(1), offered(2, kind="jan")], 2),
        ([offered(1), offered(2)], 1),
        ([offered(1, price=0), offered(2, kind="jan")], 1),
    ],
)
def test_the_cheaper_then_jans_own_then_the_first_answers(models: list[OfferedModel], chosen: int) -> None:
    found = ModelTable(models).find("vendor/model")
    assert found is not None
    assert found.key == chosen


def test_lists_are_ordered_with_unplaced_models_last() -> None:
    table = ModelTable(
        [
            offered(1, id="a"),
            offered(2, id="b", category_order=2, model_order=1),
            offered(3, id="c", category_order=1),
            offered(4, id="d", category_order=1, model_order=5),
        ]
    )
    assert list(table.by_id) == ["d", "c", "b", "a"]


def test_a_public_id_wins_over_a_providers_own_id() -> None:
    table = ModelTable([offered(1, provider_model_id="x/y"), offered(2, id="x/y", provider_model_id="z")])
    found = table.find("x/y")
    assert found is not None
    assert found.key == 2


def test_rich_lists_are_understood() -> None:
    rich = {
        "id": "vendor/big",
        "name": "Big",
        "context_length": 131072,
        "architecture": {"input_modalities": ["text", "image"], "tokenizer": "X"},
        "pricing": {"prompt": "0.0000005", "completion": "0.0000015", "image": "-1", "request": "1e30"},
        "supported_parameters": ["tools", "temperature", "include_reasoning"],
        "default_parameters": {"temperature": 0.6, "top_p": None},
        "top_provider": {"max_completion_tokens": 4096, "is_moderated": True},
    }
    plain: list[dict[str, Any]] = [
        {"id": "local", "max_model_len": 2048},
        {"id": "gguf", "meta": {"n_ctx_train": 8192}},
        {"id": "groq", "context_window": 8000},
        {"no": "id"},
        {"id": "local", "max_model_len": 1},
    ]
    big, local, gguf, groq = parse_model_list({"data": [rich, *plain]}, tool_support=False)
    assert (big.name, big.context_length, big.maximum_answer) == ("Big", 131072, 4096)
    assert (big.reads_images, big.reasons, big.calls_tools, big.is_moderated) == (True, True, True, True)
    assert big.defaults == {"temperature": 0.6}
    assert [(line["unit"], line["amount_micro_usd"]) for line in big.prices] == [
        ("per_1k_prompt_tokens", 500),
        ("per_1k_completion_tokens", 1500),
    ]
    assert [model.context_length for model in (local, gguf, groq)] == [2048, 8192, 8000]
    assert not local.calls_tools
    with pytest.raises(ValueError, match="not a list"):
        parse_model_list({"error": "no"}, tool_support=False)
