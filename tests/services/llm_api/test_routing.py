"""Where a request for a routed name goes: aliases, weighted groups, and fallbacks when a model fails."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import anthropic
import httpx
import openai
import psycopg
import pytest
from psycopg.rows import dict_row

from jan_server.authentication.identity_header import HEADER
from jan_server.authentication.principal import Principal
from tests.doubles.openai_upstream import (
    Answer,
    Drop,
    EmbeddingsOf,
    Failure,
    Hang,
    Json,
    OpenAIUpstream,
    Raw,
    Stream,
    TextCompletion,
    ToolCall,
)
from tests.services.llm_api.conftest import UPSTREAM_KEY, Serve, eventually
from tests.services.llm_api.platform import TRUST, Platform
from tests.services.llm_api.routed_models import ROUTES, RoutedModels, model_at, routed_models

CHAT = "/v1/chat/completions"
DOWN = Failure(500, "the machine is on fire")
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
PICTURE = Json({"created": 1, "data": [{"b64_json": PNG}]})
HELLO: Any = [{"role": "user", "content": "Hello"}]


@pytest.fixture(scope="module")
async def serving_platform(serve: Serve, upstream: OpenAIUpstream) -> Platform:
    """The usual platform, where pictures can be made too."""
    platform = await serve(upstream, llm_api={"images": {"enabled": True}})
    await platform.serving.sync.sync_providers()
    return platform


@pytest.fixture(scope="module")
async def all_models(serving_platform: Platform) -> AsyncIterator[RoutedModels]:
    async with routed_models(serving_platform) as models:
        yield models


@pytest.fixture
def models(all_models: RoutedModels) -> RoutedModels:
    all_models.reset()
    return all_models


async def ask(models: RoutedModels, name: str, path: str = CHAT, **members: Any) -> httpx.Response:
    body = {"model": name, **({"messages": HELLO} if path == CHAT else {}), **members}
    async with models.platform.client() as client:
        return await client.post(path, json=body)


def told(answer: httpx.Response) -> tuple[str, str]:
    return answer.headers["X-Jan-Model"], answer.headers["X-Jan-Provider"]


async def rows_of(database_url: str, answer: httpx.Response, count: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []

    async def written() -> bool:
        async with await psycopg.AsyncConnection.connect(database_url, row_factory=dict_row) as connection:
            cursor = await connection.execute(
                "select * from llm_api.token_usage where request_id = %s order by created_at",
                [answer.headers["x-request-id"]],
            )
            found[:] = await cursor.fetchall()
        return len(found) >= count

    await eventually(written)
    return found


async def test_an_alias_leads_to_its_model(models: RoutedModels) -> None:
    name = await models.route("north")
    answer = await ask(models, name)
    assert answer.status_code == 200
    assert told(answer) == (model_at("north"), models.providers["north"])
    assert models.upstreams["north"].last.json["model"] == model_at("north")
    assert answer.json()["model"] == model_at("north")


async def test_an_unrouted_answer_says_nothing_of_routes(models: RoutedModels) -> None:
    answer = await ask(models, model_at("north"))
    assert "X-Jan-Model" not in answer.headers
    assert "X-Jan-Provider" not in answer.headers


async def test_a_group_shares_requests_by_weight(models: RoutedModels) -> None:
    name = await models.route(
        {"model": model_at("north"), "weight": 3},
        {"model": model_at("south"), "weight": 2},
        {"model": model_at("east"), "weight": 0},
    )
    answered = [told(await ask(models, name))[0] for _ in range(30)]
    assert Counter(answered) == {model_at("north"): 18, model_at("south"): 12}
    assert answered[:5] == [model_at(place) for place in ("north", "south", "north", "south", "north")]


@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        (DOWN, "error"),
        (Failure(401, "bad key"), "error"),
        (Raw(b"<html>a page of some front</html>"), "error"),
        (Drop(), "error"),
        (Failure(504, "too late"), "timeout"),
        (Failure(429, "slow down"), "rate_limit"),
        (Failure(400, "too long", code="context_length_exceeded"), "context_overflow"),
        (
            Raw(
                b'{"error":{"code":400,"message":"the request exceeds the available context size",'
                b'"type":"exceed_context_size_error"}}',
                status=400,
            ),
            "context_overflow",
        ),
        (
            Raw(b'{"message":"This model\'s maximum context length is 10 tokens.","code":400}', status=400),
            "context_overflow",
        ),
    ],
    ids=["500", "401", "page", "drop", "504", "429", "openai-context", "llamacpp-context", "vllm-context"],
)
async def test_a_failure_falls_back_where_the_route_says_so(
    models: RoutedModels, failure: Any, reason: str
) -> None:
    models.upstreams["north"].always(failure)
    name = await models.route("north", "south", fallback_on=[reason])
    for stream in (False, True):
        models.platform.serving.upstream.selector.forget(())
        answer = await ask(models, name, stream=stream)
        assert answer.status_code == 200, answer.text
        assert told(answer) == (model_at("south"), models.providers["south"])
        assert "scripted" in answer.text or "word" in answer.text
    others = {"error", "timeout", "rate_limit", "context_overflow"} - {reason}
    name = await models.route("north", "south", fallback_on=sorted(others))
    models.platform.serving.upstream.selector.forget(())
    assert (await ask(models, name)).status_code >= 400


@pytest.mark.parametrize("status", [400, 404, 422])
async def test_a_clients_mistake_does_not_fall_back(models: RoutedModels, status: int) -> None:
    models.upstreams["north"].always(Failure(status, "temperature is wrong", param="temperature"))
    name = await models.route("north", "south")
    answer = await ask(models, name)
    assert answer.status_code == status
    assert answer.json()["message"] == "temperature is wrong"
    assert models.asked() == {"north": 1}


async def test_the_last_failure_is_answered_and_says_how_many_were_tried(models: RoutedModels) -> None:
    models.upstreams["north"].always(DOWN)
    models.upstreams["south"].always(Failure(429, "slow down", headers={"Retry-After": "7"}))
    name = await models.route("north", "south")
    answer = await ask(models, name)
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "7")
    assert answer.json()["message"] == f"slow down (2 models of {name} were tried)"


async def test_a_stream_that_breaks_off_after_its_first_byte_ends_in_an_error_frame(
    models: RoutedModels,
) -> None:
    models.upstreams["north"].always(Stream(drop_after=2))
    name = await models.route("north", "south")
    answer = await ask(models, name, stream=True)
    assert answer.status_code == 200
    assert "word1" in answer.text
    assert "broke off" in answer.text
    assert models.asked() == {"north": 1}


async def test_models_whose_endpoints_rest_stand_behind_the_others(models: RoutedModels) -> None:
    name = await models.route("north", "south")
    models.upstreams["north"].next(DOWN)
    for _ in range(3):
        assert told(await ask(models, name))[0] == model_at("south")
    assert models.asked() == {"north": 1, "south": 3}
    models.upstreams["south"].next(DOWN)
    assert told(await ask(models, name))[0] == model_at("north")
    models.platform.serving.upstream.selector.forget(())
    assert told(await ask(models, name))[0] == model_at("north")


async def test_a_target_that_is_switched_off_is_skipped(models: RoutedModels) -> None:
    name = await models.route("north", "south")
    listed = await models.admin.get(
        "/v1/admin/models/provider-models", params={"model_key": model_at("north")}
    )
    path = f"/v1/admin/models/provider-models/{listed.json()['data'][0]['id']}"
    await models.admin.patch(path, json={"active": False})
    assert told(await ask(models, name))[0] == model_at("south")
    only = await models.admin.post(
        ROUTES, json={"name": "only-north", "targets": [{"model": model_at("north")}]}
    )
    gone = await ask(models, "only-north")
    assert (gone.status_code, gone.json()["message"]) == (
        503,
        "no model behind only-north can be called now",
    )
    async with models.platform.client() as client:
        assert "only-north" not in (await client.get("/v1/models")).text
    await models.admin.patch(path, json={"active": True})
    assert (await ask(models, "only-north")).status_code == 200
    await models.admin.delete(f"{ROUTES}/{only.json()['id']}")


async def test_a_route_wins_over_a_model_of_its_name(models: RoutedModels) -> None:
    name = model_at("north")
    made = await models.admin.post(
        ROUTES, json={"name": name, "targets": [{"model": name}, {"model": model_at("south"), "priority": 1}]}
    )
    assert made.status_code == 201, made.text
    models.upstreams["north"].next(DOWN)
    assert told(await ask(models, name))[0] == model_at("south")
    models.platform.serving.upstream.selector.forget(())
    assert told(await ask(models, name))[0] == name
    async with models.platform.client() as client:
        listed = (await client.get("/v1/models")).json()["data"]
    assert [entry["owned_by"] for entry in listed if entry["id"] == name] == ["jan"]
    await models.admin.delete(f"{ROUTES}/{made.json()['id']}")
    assert "X-Jan-Model" not in (await ask(models, name)).headers


async def test_routes_are_listed_like_models(models: RoutedModels) -> None:
    name = await models.route("north")
    async with models.platform.client() as client:
        listed = (await client.get("/v1/models")).json()["data"]
        one = (await client.get(f"/v1/models/{name}")).json()
    assert one in listed
    assert (one["id"], one["object"], one["owned_by"]) == (name, "model", "jan")


async def with_context(models: RoutedModels, place: str, tokens: int | None) -> None:
    listed = await models.admin.get("/v1/admin/models/provider-models", params={"model_key": model_at(place)})
    path = f"/v1/admin/models/provider-models/{listed.json()['data'][0]['id']}"
    limits = None if tokens is None else {"context_length": tokens}
    assert (await models.admin.patch(path, json={"token_limits": limits})).status_code == 200


async def test_what_is_too_long_for_one_model_goes_to_a_longer_one(models: RoutedModels) -> None:
    await with_context(models, "north", 4000)
    long = [{"role": "user", "content": "word " * 1600}, {"role": "assistant", "content": "yes"}] * 3
    long += HELLO
    name = await models.route("north", "south")
    assert told(await ask(models, name))[0] == model_at("north")
    answer = await ask(models, name, messages=long)
    assert told(answer)[0] == model_at("south")
    assert "trimmed" not in answer.json()
    models.upstreams["south"].next(DOWN)
    answer = await ask(models, name, messages=long)
    assert told(answer)[0] == model_at("north")
    assert answer.json()["trimmed"] is True
    short = await models.route("north", "south", fallback_on=["error"])
    answer = await ask(models, short, messages=long)
    assert (told(answer)[0], answer.json()["trimmed"]) == (model_at("north"), True)
    await with_context(models, "south", 4000)
    models.platform.serving.upstream.selector.forget(())
    answer = await ask(models, name, messages=long)
    assert (told(answer)[0], answer.json()["trimmed"]) == (model_at("north"), True)
    for place in ("north", "south"):
        await with_context(models, place, None)


async def test_each_attempt_leaves_a_row(models: RoutedModels, database_url: str) -> None:
    models.upstreams["north"].always(DOWN)
    name = await models.route("north", "south")
    for stream in (False, True):
        models.platform.serving.upstream.selector.forget(())
        rows = await rows_of(database_url, await ask(models, name, stream=stream), 2)
        assert [(row["model"], row["provider"], row["status"]) for row in rows] == [
            (model_at("north"), "North", 502),
            (model_at("south"), "South", 200),
        ]
        assert (rows[0]["total_tokens"], rows[1]["total_tokens"] > 0) == (0, True)


async def test_the_body_is_made_for_the_model_that_gets_it(models: RoutedModels) -> None:
    """South knows no tools, so they go into its prompt; north gets them as they are."""
    patched = await models.admin.patch(
        f"/v1/admin/providers/{models.providers['south']}", json={"metadata": {"tool_support": "false"}}
    )
    assert patched.status_code == 200
    name = await models.route("north", "south", "east")
    models.upstreams["north"].next(DOWN)
    models.upstreams["south"].next(DOWN)
    models.upstreams["east"].next(ToolCall())
    tool = {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object"}}}
    answer = await ask(models, name, tools=[tool])
    assert answer.json()["choices"][0]["message"]["tool_calls"]
    north, south, east = (models.upstreams[place].last.json for place in ("north", "south", "east"))
    assert (north["tools"], east["tools"]) == ([tool], [tool])
    assert "tools" not in south
    assert "get_weather" in str(south["messages"])
    assert [sent["model"] for sent in (north, south, east)] == [
        model_at(place) for place in ("north", "south", "east")
    ]
    assert east["messages"] == HELLO
    await models.admin.patch(
        f"/v1/admin/providers/{models.providers['south']}", json={"metadata": {"tool_support": "true"}}
    )


async def test_a_stored_chat_falls_back_too(models: RoutedModels) -> None:
    models.upstreams["north"].always(DOWN)
    name = await models.route("north", "south")
    for stream in (False, True):
        models.platform.serving.upstream.selector.forget(())
        answer = await ask(models, name, conversation="", stream=stream)
        assert answer.status_code == 200
        conversation = answer.headers["x-conversation-id"]
        async with models.platform.client() as client:
            items = (await client.get(f"/v1/conversations/{conversation}/items")).json()["data"]
        assert sorted(item["role"] for item in items) == ["assistant", "user"]


@pytest.mark.parametrize(
    ("path", "body", "good"),
    [
        ("/v1/completions", {"prompt": "once"}, TextCompletion()),
        ("/v1/completions", {"prompt": "once", "stream": True}, TextCompletion()),
        ("/v1/embeddings", {"input": "once"}, EmbeddingsOf()),
        ("/v1/moderations", {"input": "once"}, Json({"results": []})),
        ("/v1/rerank", {"query": "a", "documents": ["b"]}, Json({"results": []})),
        ("/v1/images/generations", {"prompt": "a fox", "response_format": "b64_json"}, PICTURE),
        ("/v1/images/edits", {"prompt": "a fox", "image": {"b64_json": PNG}}, PICTURE),
        ("/v1/audio/speech", {"input": "once", "voice": "v"}, Raw(b"sound", content_type="audio/mpeg")),
    ],
    ids=["completion", "completion-stream", "embedding", "moderation", "rerank", "picture", "edit", "speech"],
)
async def test_every_call_follows_routes(
    models: RoutedModels, path: str, body: dict[str, Any], good: Any
) -> None:
    models.upstreams["north"].always(DOWN)
    models.upstreams["south"].always(good)
    answer = await ask(models, await models.route("north", "south"), path, **body)
    assert answer.status_code == 200, answer.text
    assert told(answer) == (model_at("south"), models.providers["south"])
    assert model_at("south").encode() in models.upstreams["south"].last.body
    assert model_at("north").encode() not in models.upstreams["south"].last.body


async def test_limits_know_routes_by_their_name_and_count_a_request_once(models: RoutedModels) -> None:
    models.upstreams["north"].always(DOWN)
    name = await models.route("north", "south")
    principal = Principal(subject="limited", issuer="http://issuer.example/realms/jan", username="limited")

    async def send(path: str, body: Any, key: str = "") -> httpx.Response:
        signed = replace(principal, key_id=key, method="apikey" if key else "jwt")
        async with models.platform.client() as client:
            headers = {HEADER: models.platform.signer.sign(signed)}
            return await client.post(path, json=body, headers=headers)

    limits = {"allowed_models": [name], "requests_per_minute": 3}
    made = await send("/auth/api-keys", {"name": "ci", **limits})
    key = made.json()["id"]
    for _ in range(2):
        models.platform.serving.upstream.selector.forget(())
        assert (await send(CHAT, {"model": name, "messages": HELLO}, key)).status_code == 200
    embedding = await send("/v1/embeddings", {"model": name, "input": "x"}, key)
    assert embedding.status_code == 502
    assert models.asked() == {"north": 3, "south": 3}
    beyond = await send(CHAT, {"model": name, "messages": HELLO}, key)
    assert (beyond.status_code, beyond.json()["code"]) == (429, "rate_limit_exceeded")
    other = await send(CHAT, {"model": model_at("south"), "messages": HELLO}, key)
    assert (other.status_code, other.json()["code"]) == (403, "model_not_allowed")


async def test_an_answer_is_kept_for_the_model_that_gave_it(models: RoutedModels) -> None:
    name = await models.route("north", "south")
    models.upstreams["north"].next(DOWN)
    wish: dict[str, Any] = {"cache": {"ttl": 60}, "messages": [{"role": "user", "content": f"once, {name}"}]}
    answers = [await ask(models, name, **wish) for _ in range(2)]
    assert [answer.headers["X-Jan-Cache"] for answer in answers] == ["miss", "hit"]
    assert [told(answer)[0] for answer in answers] == [model_at("south")] * 2
    assert models.asked() == {"north": 1, "south": 1}


async def test_a_recording_is_sent_again_under_the_next_models_name(models: RoutedModels) -> None:
    models.upstreams["north"].always(DOWN)
    models.upstreams["south"].always(Json({"text": "hello"}))
    name = await models.route("north", "south")
    async with models.platform.client() as client:
        answer = await client.post(
            "/v1/audio/transcriptions", data={"model": name}, files={"file": ("a.wav", b"RIFF" * 100)}
        )
    assert (answer.status_code, answer.json()) == (200, {"text": "hello"})
    assert told(answer)[0] == model_at("south")
    for place in ("north", "south"):
        assert model_at(place).encode() in models.upstreams[place].last.body
    assert model_at("north").encode() not in models.upstreams["south"].last.body


async def test_openais_and_anthropics_clients_follow_routes(models: RoutedModels) -> None:
    models.upstreams["north"].always(DOWN)
    models.upstreams["south"].always(Answer("from the south"))
    name = await models.route("north", "south")
    async with models.platform.openai() as client:
        raw = await client.chat.completions.with_raw_response.create(model=name, messages=HELLO)
        assert raw.headers["x-jan-model"] == model_at("south")
        with pytest.raises(openai.NotFoundError):
            await client.chat.completions.create(model=name + "x", messages=HELLO)
    async with anthropic.AsyncAnthropic(
        api_key="unused",
        base_url=models.platform.url,
        default_headers=models.platform.headers(),
        max_retries=0,
        http_client=anthropic.DefaultAsyncHttpxClient(verify=TRUST),
    ) as claude:
        message = await claude.messages.create(model=name, max_tokens=50, messages=HELLO)
        assert message.content[0].text == "from the south"  # type: ignore[union-attr]
        counted = await claude.messages.count_tokens(model=name, messages=HELLO)
        assert counted.input_tokens > 0
        async with claude.messages.stream(model=name, max_tokens=50, messages=HELLO) as stream:
            assert await stream.get_final_text() == "from the south"


async def test_settings_describe_routes_and_notices_bring_them(
    models: RoutedModels, serve: Serve, database_url: str
) -> None:
    """Of two instances: routes of one's settings reach the other, and nobody can change them there."""
    upstream = models.platform.upstream
    described = {
        "name": "from/settings",
        "targets": [
            {"model": model_at("east"), "provider": "East"},
            {"model": model_at("south"), "priority": 1},
        ],
        "fallback_on": ["timeout"],
    }
    second = await serve(
        upstream,
        llm_api={"model_routes": [described]},
        inference={
            "provider": "remote",
            "remote": {"url": upstream.url, "api_key": UPSTREAM_KEY},
            "timeouts": {"first_token": "300ms"},
        },
    )

    async def known_here() -> bool:
        return models.platform.serving.registry.table.find("from/settings") is not None

    await eventually(known_here)
    assert told(await ask(models, "from/settings")) == (model_at("east"), models.providers["east"])
    listed = (await models.admin.get(ROUTES, params={"search": "from/"})).json()["data"]
    assert [(route["name"], route["source"]) for route in listed] == [("from/settings", "settings")]
    assert listed[0]["targets"][0]["provider_id"] == models.providers["east"]
    path = f"{ROUTES}/{listed[0]['id']}"
    for refused in (await models.admin.patch(path, json={"active": False}), await models.admin.delete(path)):
        assert (refused.status_code, refused.json()["code"]) == (409, "managed_by_settings")

    # A provider that says nothing within the time that this instance gives it.
    async with second.client() as client:
        body = {"model": "from/settings", "messages": HELLO, "stream": True}
        await eventually(lambda: _has(second, "from/settings"))
        models.upstreams["east"].always(Hang())
        answer = await client.post(CHAT, json=body)
    assert told(answer)[0] == model_at("south")

    name = await models.route("north")
    await eventually(lambda: _has(second, name))

    await serve(upstream)
    await eventually(lambda: _lacks(models.platform, "from/settings"))


async def _has(platform: Platform, name: str) -> bool:
    return platform.serving.registry.table.find(name) is not None


async def _lacks(platform: Platform, name: str) -> bool:
    return platform.serving.registry.table.find(name) is None
