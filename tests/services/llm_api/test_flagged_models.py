"""Models behind a feature flag are there for those who hold it, and for everybody else they do not exist."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from jan_server.authentication.identity_header import HEADER
from jan_server.authentication.principal import Principal
from tests.services.llm_api.administrators import fresh_name
from tests.services.llm_api.conftest import Serve
from tests.services.llm_api.platform import Platform
from tests.services.llm_api.routed_models import RoutedModels, model_at, routed_models
from tests.sql import run_sql

HIDDEN, OPEN = model_at("north"), model_at("south")
HELLO: Any = [{"role": "user", "content": "Hello"}]
VERSION = {"anthropic-version": "2023-06-01"}


@pytest.fixture(scope="module")
async def models(serve: Serve, serving_platform: Platform) -> AsyncIterator[RoutedModels]:
    """Two models, of which one is behind a flag and experimental at that."""
    platform = await serve(serving_platform.upstream, llm_api={"images": {"enabled": True}})
    async with routed_models(platform, ("north", "south")) as running:
        await running.admin.post("/v1/admin/feature-flags", json={"key": "Beta_Models", "name": "Beta"})
        await describe(running, experimental=True, requires_feature_flag="beta_models")
        yield running


@pytest.fixture(autouse=True)
def fresh(models: RoutedModels) -> None:
    models.reset()


async def describe(models: RoutedModels, **members: Any) -> None:
    changed = await models.admin.patch(f"/v1/admin/models/catalogs/{HIDDEN}", json=members)
    assert changed.status_code == 200, changed.text
    await models.platform.serving.registry.refresh()


async def send(
    models: RoutedModels, method: str, path: str, *flags: str, admin: bool = False, **request: Any
) -> httpx.Response:
    """The answer to somebody with these flags."""
    principal = Principal(
        subject=fresh_name("subject"),
        issuer="http://issuer.example/realms/jan",
        username=fresh_name("person"),
        roles=("admin",) if admin else (),
        feature_flags=flags,
    )
    headers = {HEADER: models.platform.signer.sign(principal), **request.pop("headers", {})}
    async with models.platform.client() as client:
        return await client.request(method, path, headers=headers, **request)


@pytest.mark.parametrize(
    ("flags", "admin", "seen"),
    [
        ((), False, False),
        (("experimental_models",), False, False),
        (("BETA_MODELS",), False, False),
        (("beta_models", "EXPERIMENTAL_MODELS", "voice"), False, True),
        ((), True, True),
    ],
    ids=["no flag", "one of two", "the other", "both", "an administrator"],
)
async def test_lists_show_a_model_to_those_who_hold_its_flags(
    models: RoutedModels, flags: tuple[str, ...], admin: bool, seen: bool
) -> None:
    for headers in ({}, {"X-PROVIDER-DATA": "true"}, VERSION):
        listed = await send(models, "GET", "/v1/models", *flags, admin=admin, headers=headers)
        ids = {model["id"] for model in listed.json()["data"]}
        assert OPEN in ids
        assert (HIDDEN in ids) is seen
    for path in (f"/v1/models/{HIDDEN}", f"/v1/models/catalogs/{HIDDEN}"):
        one = await send(models, "GET", path, *flags, admin=admin)
        assert one.status_code == (200 if seen else 404), one.text


async def test_one_flag_is_enough_where_only_one_is_asked_for(models: RoutedModels) -> None:
    await describe(models, experimental=False)
    try:
        assert (await send(models, "GET", f"/v1/models/{HIDDEN}")).status_code == 404
        assert (await send(models, "GET", f"/v1/models/{HIDDEN}", "beta_MODELS")).status_code == 200
    finally:
        await describe(models, experimental=True)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/chat/completions", {"messages": HELLO}),
        ("/v1/chat/completions", {"messages": HELLO, "stream": True}),
        ("/v1/completions", {"prompt": "Hello"}),
        ("/v1/embeddings", {"input": "Hello"}),
        ("/v1/moderations", {"input": "Hello"}),
        ("/v1/rerank", {"query": "Hello", "documents": ["Hello"]}),
        ("/v1/messages/count_tokens", {"messages": HELLO}),
        ("/v1/audio/speech", {"input": "Hello", "voice": "alloy"}),
        ("/v1/images/generations", {"prompt": "Hello"}),
        ("/v1/images/edits", {"prompt": "Hello", "image": "data:image/png;base64,iVBORw0KGgo="}),
    ],
)
async def test_a_call_without_the_flag_is_one_of_an_unknown_model(
    models: RoutedModels, path: str, body: dict[str, Any]
) -> None:
    refused = await send(models, "POST", path, "experimental_models", json={"model": HIDDEN, **body})
    assert refused.status_code == 404, refused.text
    if path != "/v1/messages/count_tokens":
        assert refused.json()["error"]["code"] == "model_not_found"
        assert "does not exist" in refused.json()["error"]["message"]
    assert not models.asked()


async def test_recordings_and_messages_do_not_reach_it_either(models: RoutedModels) -> None:
    for path in ("/v1/audio/transcriptions", "/v1/audio/translations"):
        refused = await send(
            models,
            "POST",
            path,
            data={"model": HIDDEN},
            files={"file": ("a.wav", b"RIFF", "audio/wav")},
        )
        assert (refused.status_code, refused.json()["error"]["code"]) == (404, "model_not_found")
    body = {"model": HIDDEN, "messages": HELLO, "max_tokens": 5}
    refused = await send(models, "POST", "/v1/messages", json=body)
    assert (refused.status_code, refused.json()["error"]["type"]) == (404, "not_found_error")
    assert not models.asked()


async def test_the_pictures_of_a_named_provider_need_the_flag_too(
    models: RoutedModels, database_url: str
) -> None:
    body = {"prompt": "Fox", "model": HIDDEN, "provider_id": models.providers["north"]}
    change = "update llm_api.providers set category = %s where public_id = %s"
    await run_sql(database_url, change, ("image", models.providers["north"]))
    await models.platform.serving.registry.refresh()
    try:
        refused = await send(models, "POST", "/v1/images/generations", json=body)
    finally:
        await run_sql(database_url, change, ("llm", models.providers["north"]))
        await models.platform.serving.registry.refresh()
    assert (refused.status_code, refused.json()["error"]["code"]) == (404, "model_not_found")
    assert not models.asked()


async def test_those_who_hold_the_flags_call_it(models: RoutedModels) -> None:
    body = {"model": HIDDEN, "messages": HELLO}
    for flags, admin in ((("beta_models", "experimental_models"), False), ((), True)):
        answer = await send(models, "POST", "/v1/chat/completions", *flags, admin=admin, json=body)
        assert answer.status_code == 200, answer.text
    assert models.asked() == {"north": 2}


async def test_whoever_puts_a_model_behind_a_route_shows_it(models: RoutedModels) -> None:
    name = await models.route("north")
    await models.platform.serving.registry.refresh()
    listed = await send(models, "GET", "/v1/models")
    assert name in {model["id"] for model in listed.json()["data"]}
    for path, members in (
        ("/v1/chat/completions", {"messages": HELLO}),
        ("/v1/completions", {"prompt": "Hello"}),
    ):
        answer = await send(models, "POST", path, json={"model": name, **members})
        assert answer.status_code == 200, answer.text
    assert models.asked() == {"north": 2}
