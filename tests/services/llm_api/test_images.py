"""Pictures through OpenAI's own client and plain requests, against a scripted provider and Media API."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from typing import Any

import httpx
import psycopg
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from jan_server.authentication.identity_header import IdentitySigner
from tests.doubles.media_api import MediaApi
from tests.doubles.openai_upstream import Failure, FormPart, Hang, Json, OpenAIUpstream, Raw, frame
from tests.services.llm_api.conftest import HEADER_SECRET, UPSTREAM_KEY, Serve
from tests.services.llm_api.platform import Platform

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(100))
OTHER = b"\xff\xd8\xff\xe0 a mask"
PACKED = base64.b64encode(PNG).decode()
MODEL = "unknown/scripted-model"
GENERATIONS, EDITS = "/v1/images/generations", "/v1/images/edits"
FOX: dict[str, Any] = {"prompt": "A fox in the snow"}
RESULT: dict[str, Any] = {"created": 1_760_000_000, "data": [{"b64_json": PACKED, "revised_prompt": "Fox"}]}


@pytest.fixture(scope="module")
async def the_media() -> AsyncIterator[MediaApi]:
    async with MediaApi(IdentitySigner(HEADER_SECRET)) as running:
        yield running


@pytest.fixture
def media(the_media: MediaApi) -> MediaApi:
    the_media.files.clear()
    the_media.callers.clear()
    the_media.broken = the_media.elsewhere = False
    return the_media


@pytest.fixture(scope="module")
async def painter() -> AsyncIterator[OpenAIUpstream]:
    """The provider of pictures; the other one of this module chats, and paints only when it is asked to."""
    async with OpenAIUpstream(models=[], api_key=UPSTREAM_KEY) as running:
        yield running


def inference_of(upstream: OpenAIUpstream, painter: OpenAIUpstream) -> dict[str, Any]:
    return {
        "provider": "remote",
        "remote": {"url": upstream.url, "api_key": UPSTREAM_KEY},
        "image": {"enabled": True, "url": painter.url, "api_key": UPSTREAM_KEY},
    }


@pytest.fixture(scope="module")
async def serving_platform(
    serve: Serve, upstream: OpenAIUpstream, painter: OpenAIUpstream, the_media: MediaApi
) -> Platform:
    platform = await serve(
        upstream,
        llm_api={"images": {"enabled": True}, "media_ingest_url": the_media.ingest_url},
        inference=inference_of(upstream, painter),
        server={"fetch_allowed_networks": ["127.0.0.1/32"]},
    )
    await platform.serving.sync.sync_providers()
    return platform


@pytest.fixture(autouse=True)
def fresh(painter: OpenAIUpstream, media: MediaApi) -> None:
    painter.reset()
    painter.always(Json(RESULT))


async def post(platform: Platform, path: str, body: Any = None, **request: Any) -> httpx.Response:
    async with platform.client("ann") as client:
        return await client.post(path, **({"json": body} if body is not None else {}), **request)


@pytest.mark.parametrize("prefix", ["", "/llm"])
async def test_a_picture_is_made_and_stored(
    platform: Platform, painter: OpenAIUpstream, media: MediaApi, prefix: str
) -> None:
    answer = await post(platform, prefix + GENERATIONS, FOX)
    assert answer.status_code == 200, answer.text
    assert answer.json() == {
        "created": 1_760_000_000,
        "data": [
            {"id": "jan_0", "url": "http://localhost:8000/api/media/jan_0", "revised_prompt": "Fox"},
        ],
        "usage": {
            "total_tokens": 1004,
            "input_tokens": 4,
            "output_tokens": 1000,
            "input_tokens_details": {"text_tokens": 4, "image_tokens": 0},
        },
    }
    assert (media.files, media.callers) == ({"jan_0": PNG}, ["subject-of-ann"])
    assert painter.last.path == GENERATIONS
    assert painter.last.json == {
        "prompt": "A fox in the snow",
        "model": "z-image",
        "n": 1,
        "size": "1024x1024",
        "quality": "standard",
        "style": "natural",
        "response_format": "url",
    }


async def test_what_the_request_says_reaches_the_provider(
    platform: Platform, painter: OpenAIUpstream
) -> None:
    given = {"n": 9, "size": "64x64", "quality": "hd", "style": "vivid", "user": "u", "model": "flux"}
    further = {"num_inference_steps": 4, "cfg_scale": 1.5, "seed": 7, "odd": {"a": 1}}
    own = {"provider_id": None, "conversation_id": "conv_1", "store": False}
    await post(platform, GENERATIONS, FOX | given | further | own | {"response_format": "b64_json"})
    assert painter.last.json == FOX | given | further | {"n": 4, "response_format": "b64_json"}


async def test_base64_is_given_to_those_who_ask_for_it(platform: Platform, media: MediaApi) -> None:
    answer = await post(platform, GENERATIONS, FOX | {"response_format": "b64_json"})
    assert answer.json()["data"] == RESULT["data"]
    assert not media.files


async def test_without_the_media_api_the_picture_is_its_own_address(
    platform: Platform, media: MediaApi
) -> None:
    media.broken = True
    [picture] = (await post(platform, GENERATIONS, FOX)).json()["data"]
    assert picture == {"url": f"data:image/png;base64,{PACKED}", "revised_prompt": "Fox"}


async def test_the_providers_own_words_stay(platform: Platform, painter: OpenAIUpstream) -> None:
    usage = {"total_tokens": 9, "input_tokens": 4, "output_tokens": 5}
    url = "https://pictures.example/1.png"
    painter.next(Json({"data": [{"url": url, "b64_json": None}], "usage": usage, "background": "opaque"}))
    answer = (await post(platform, GENERATIONS, FOX)).json()
    assert (answer["data"], answer["usage"], answer["background"]) == ([{"url": url}], usage, "opaque")
    assert answer["created"] > 1_760_000_000


async def test_openais_client_makes_and_edits_pictures(platform: Platform, painter: OpenAIUpstream) -> None:
    async with platform.openai() as client:
        made = await client.images.generate(model="z-image", prompt="A fox", response_format="b64_json")
        assert made.data is not None
        assert made.data[0].b64_json == PACKED
        edited = await client.images.edit(
            model="z-image",
            image=("fox.png", PNG, "image/png"),
            mask=("mask.jpg", OTHER, "image/jpeg"),
            prompt="Add a hat",
            n=9,
        )
    assert edited.data is not None
    assert edited.data[0].b64_json == PACKED
    assert painter.last.path == EDITS
    assert set(painter.last.form) == {
        FormPart("prompt", b"Add a hat"),
        FormPart("model", b"z-image"),
        FormPart("n", b"4"),
        FormPart("size", b"original"),
        FormPart("response_format", b"b64_json"),
        FormPart("image", PNG, "fox.png", "image/png"),
        FormPart("mask", OTHER, "mask.jpg", "image/jpeg"),
    }


async def test_a_model_that_a_provider_lists_is_asked_there_as_it_is(
    platform: Platform, painter: OpenAIUpstream, media: MediaApi
) -> None:
    platform.upstream.always(Json(RESULT))
    async with platform.openai() as client:
        made = await client.images.generate(model=MODEL, prompt="A fox", quality="high")
        edited = await client.images.edit(
            model="scripted-model", prompt="A hat", image=[PNG, PNG], input_fidelity="high"
        )
    assert made.data is not None
    assert edited.data is not None
    # OpenAI's models refuse what they do not know, and their clients wait for base64.
    assert (made.data[0].b64_json, edited.data[0].b64_json) == (PACKED, PACKED)
    first, second = platform.upstream.calls
    assert first.json == {"model": "scripted-model", "prompt": "A fox", "quality": "high"}
    names = [part.name for part in second.form]
    assert sorted(names) == ["image[]", "image[]", "input_fidelity", "model", "prompt"]
    assert not painter.calls
    assert not media.files
    answer = await post(platform, GENERATIONS, FOX | {"model": MODEL, "response_format": "url"})
    assert answer.json()["data"][0]["url"].endswith("/api/media/jan_0")


async def test_a_stream_of_pictures_is_relayed(platform: Platform, painter: OpenAIUpstream) -> None:
    events = (
        {"type": "image_generation.partial_image", "b64_json": PACKED, "partial_image_index": 0},
        {"type": "image_generation.completed", "b64_json": PACKED},
    )
    painter.next(Raw(b"".join(map(frame, events)), content_type="text/event-stream"))
    async with platform.openai() as client:
        stream = await client.images.generate(model="z-image", prompt="A fox", stream=True, partial_images=1)
        received = [event.type async for event in stream]
    assert received == [event["type"] for event in events]


@pytest.mark.parametrize(
    ("path", "content", "code"),
    [
        (GENERATIONS, b"{", "image-validation-000"),
        (GENERATIONS, b"[]", "image-validation-000"),
        (GENERATIONS, b"{}", "image-validation-001"),
        (GENERATIONS, b'{"prompt": " "}', "image-validation-001"),
        (GENERATIONS, b'{"prompt": "a", "n": 0}', "image-validation-000"),
        (GENERATIONS, b'{"prompt": "a", "response_format": "png"}', "image-validation-000"),
        (GENERATIONS, b'{"prompt": "a", "cfg_scale": "high"}', "image-validation-000"),
        (EDITS, b"", "image-edit-validation-000"),
        (EDITS, b'{"image": {"id": "jan_1"}}', "image-edit-validation-001"),
        (EDITS, b'{"prompt": "a"}', "image-edit-validation-002"),
        (EDITS, b'{"prompt": "a", "image": {}}', "image-edit-validation-002"),
        (EDITS, b'{"prompt": "a", "image": 7}', "image-edit-validation-000"),
        (EDITS, b'{"prompt": "a", "image": {"file": "x"}}', "image-edit-validation-000"),
        (EDITS, b'{"prompt": "a", "image": {"url": "x", "id": "jan_1"}}', "image-edit-validation-000"),
        (
            EDITS,
            b'{"prompt": "a", "image": {"id": "jan_1"}, "mask": {"url": 1}}',
            "image-edit-validation-000",
        ),
    ],
)
async def test_a_bad_body_has_the_codes_of_the_contract(
    platform: Platform, painter: OpenAIUpstream, path: str, content: bytes, code: str
) -> None:
    answer = await post(platform, path, content=content)
    assert (answer.status_code, answer.json()["code"]) == (400, code)
    assert not painter.calls


@pytest.mark.parametrize(
    ("path", "body"),
    [(GENERATIONS, FOX), (EDITS, FOX | {"image": {"b64_json": PACKED}})],
)
async def test_pictures_are_off_until_they_are_switched_on(
    serve: Serve, upstream: OpenAIUpstream, painter: OpenAIUpstream, path: str, body: dict[str, Any]
) -> None:
    platform = await serve(upstream, inference=inference_of(upstream, painter))
    answer = await post(platform, path, body)
    assert (answer.status_code, answer.json()["code"]) == (501, "image-generation-disabled")
    assert answer.json()["message"] == "image generation is not enabled"
    assert (await post(platform, path, {})).status_code == 400


async def test_variations_are_not_made(platform: Platform) -> None:
    for prefix in ("", "/llm"):
        answer = await post(platform, f"{prefix}/v1/images/variations", {})
        assert (answer.status_code, answer.json()["code"]) == (501, "image-variation-not-impl")


async def test_a_credential_is_needed(platform: Platform) -> None:
    async with httpx.AsyncClient(base_url=platform.url) as client:
        for name in ("generations", "edits", "variations"):
            assert (await client.post(f"/v1/images/{name}", json=FOX)).status_code == 401


@pytest.mark.parametrize(
    ("image", "name"),
    [
        ({"b64_json": PACKED}, "image.png"),
        ({"url": f"data:image/png;base64,{PACKED}"}, "image.png"),
        (f"data:image/png;base64,{PACKED}", "image.png"),
        ({"id": "jan_fox"}, "image.png"),
        ({"url": "jan_fox"}, "image.png"),
        ({"url": "data:image/png;jan_fox"}, "image.png"),
        ({"url": "http://localhost:8000/api/media/jan_fox"}, "image.png"),
    ],
)
@pytest.mark.parametrize("elsewhere", [True, False])
async def test_a_picture_may_come_in_many_ways(
    platform: Platform, painter: OpenAIUpstream, media: MediaApi, image: Any, name: str, elsewhere: bool
) -> None:
    media.files["jan_fox"] = PNG
    media.elsewhere = elsewhere
    body = FOX | {"image": image, "mask": {"b64_json": base64.b64encode(OTHER).decode()}, "strength": 0.5}
    answer = await post(platform, EDITS, body)
    assert answer.status_code == 200, answer.text
    assert FormPart("image", PNG, name, "image/png") in painter.last.form
    assert FormPart("mask", OTHER, "mask.jpeg", "image/jpeg") in painter.last.form
    assert FormPart("strength", b"0.5") in painter.last.form
    assert answer.json()["data"][0]["b64_json"] == PACKED


@pytest.fixture(scope="module")
async def site() -> AsyncIterator[TestServer]:
    async def serve(request: web.Request) -> web.Response:
        if to := request.query.get("to"):
            raise web.HTTPFound(to)
        if request.path == "/missing.png":
            raise web.HTTPNotFound
        return web.Response(body=PNG if request.path == "/fox.png" else b"<html>", content_type="image/png")

    app = web.Application()
    app.router.add_get("/{path:.*}", serve)
    async with TestServer(app) as running:
        yield running


async def test_a_picture_is_fetched_from_the_internet(
    platform: Platform, painter: OpenAIUpstream, site: TestServer
) -> None:
    urls = [str(site.make_url("/fox.png")), str(site.make_url("/?to=/fox.png"))]
    answer = await post(platform, EDITS, FOX | {"image": [{"url": url} for url in urls]})
    assert answer.status_code == 200, answer.text
    assert [part.content for part in painter.last.form if part.name == "image[]"] == [PNG, PNG]


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://127.0.0.2/fox.png", "public internet"),
        ("http://[::1]/fox.png", "public internet"),
        ("http://169.254.169.254/latest/meta-data", "public internet"),
        ("{site}/?to=http://127.0.0.2/fox.png", "public internet"),
        ("file:///etc/passwd", "http"),
        ("fox.png", "http"),
        ("data:image/png,plain", "base64"),
        ("data:image/png;base64,***", "base64"),
        ("{site}/missing.png", "404"),
        ("{site}/page.html", "no picture"),
    ],
)
async def test_an_address_that_leads_elsewhere_is_refused(
    platform: Platform, painter: OpenAIUpstream, site: TestServer, url: str, reason: str
) -> None:
    origin = str(site.make_url("")).rstrip("/")
    answer = await post(platform, EDITS, FOX | {"image": {"url": url.replace("{site}", origin)}})
    assert (answer.status_code, answer.json()["code"]) == (400, "image-edit-validation-error")
    assert reason in answer.json()["message"]
    assert not painter.calls


async def test_media_that_cannot_be_read_are_said(platform: Platform, media: MediaApi) -> None:
    missing = await post(platform, EDITS, FOX | {"image": {"id": "jan_nothing"}})
    assert (missing.status_code, missing.json()["error"]["param"]) == (404, "image")
    odd = await post(platform, EDITS, FOX | {"image": {"id": "../../secrets"}})
    assert odd.status_code == 400
    media.broken = True
    broken = await post(platform, EDITS, FOX | {"image": {"id": "jan_nothing"}})
    assert broken.status_code == 503


async def test_a_form_without_a_picture_or_with_a_bad_one_is_refused(platform: Platform) -> None:
    for files, code in (
        ({"mask": ("m.png", PNG)}, "image-edit-validation-002"),
        ({"image": ("a.txt", b"hello", "text/plain")}, "image-edit-validation-000"),
    ):
        answer = await post(platform, EDITS, files=files, data={"prompt": "a"})
        assert (answer.status_code, answer.json()["code"]) == (400, code)
    answer = await post(platform, EDITS, files={"image": ("a.png", PNG)})
    assert (answer.status_code, answer.json()["code"]) == (400, "image-edit-validation-001")


@pytest.fixture
async def provider_ids(platform: Platform) -> dict[str, str]:
    async with platform.client() as client:
        listed = (await client.get("/v1/models/providers")).json()
    return {provider["name"]: provider["id"] for provider in listed}


async def test_a_provider_may_be_named(
    platform: Platform, painter: OpenAIUpstream, provider_ids: dict[str, str]
) -> None:
    named = FOX | {"provider_id": provider_ids["Image provider"], "model": "flux"}
    assert (await post(platform, GENERATIONS, named)).status_code == 200
    assert painter.last.json["model"] == "flux"
    chatting = FOX | {"provider_id": provider_ids["Remote provider"]}
    wrong = await post(platform, GENERATIONS, chatting)
    assert (wrong.status_code, wrong.json()["code"]) == (400, "image-validation-error")
    for path, kind, picture in (
        (GENERATIONS, "image", {}),
        (EDITS, "image-edit", {"image": {"b64_json": PACKED}}),
    ):
        unknown = await post(platform, path, FOX | picture | {"provider_id": "prov_nobody"})
        assert (unknown.status_code, unknown.json()["code"]) == (404, f"{kind}-provider-not-found")


async def change(platform: Platform, database_url: str, statement: str) -> None:
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
        await connection.execute(statement)
    await platform.serving.registry.refresh()


async def test_the_usual_provider_is_the_only_one_of_its_kind(
    platform: Platform, database_url: str, provider_ids: dict[str, str]
) -> None:
    image_id = provider_ids["Image provider"]
    every = "update llm_api.providers set"
    this = f"where public_id = '{image_id}'"
    try:
        await change(platform, database_url, f"{every} active = false {this}")
        inactive = await post(platform, GENERATIONS, FOX | {"provider_id": image_id})
        assert (inactive.status_code, inactive.json()["code"]) == (400, "image-validation-error")
        nobody = await post(platform, GENERATIONS, FOX)
        assert (nobody.status_code, nobody.json()["code"]) == (404, "image-provider-not-found")
        await change(platform, database_url, f"{every} active = true {this}")
        await change(
            platform, database_url, f"{every} category = 'image', default_provider_image_generate = true"
        )
        several = await post(platform, GENERATIONS, FOX)
        assert (several.status_code, several.json()["code"]) == (400, "image-validation-error")
        # Only one of them is the usual one for edits.
        edited = await post(platform, EDITS, FOX | {"image": {"b64_json": PACKED}})
        assert edited.status_code == 200
    finally:
        await change(
            platform,
            database_url,
            f"{every} active = true, "
            f"category = case when public_id = '{image_id}' then 'image' else 'llm' end, "
            f"default_provider_image_generate = public_id = '{image_id}'",
        )


async def test_a_provider_may_edit_at_a_place_of_its_own(
    platform: Platform, painter: OpenAIUpstream, database_url: str
) -> None:
    told = "update llm_api.providers set metadata = '{}' where display_name = 'Image provider'"
    await change(platform, database_url, told.format('{"image_edit_path": "/api/edit"}'))
    try:
        answer = await post(platform, EDITS, FOX | {"image": {"b64_json": PACKED}})
    finally:
        await change(platform, database_url, told.format("{}"))
    assert answer.status_code == 200
    assert painter.last.path == "/api/edit"


async def test_making_is_tried_again_and_editing_is_not(platform: Platform, painter: OpenAIUpstream) -> None:
    painter.next(Failure(502, "busy"), Failure(502, "busy"))
    assert (await post(platform, GENERATIONS, FOX)).status_code == 200
    assert len(painter.calls) == 3
    painter.reset()
    painter.next(Failure(502, "busy"))
    edited = await post(platform, EDITS, FOX | {"image": {"b64_json": PACKED}})
    assert (edited.status_code, len(painter.calls)) == (502, 1)


@pytest.mark.parametrize(
    ("failure", "status", "message"),
    [
        (Failure(400, "not that picture", code="moderation_blocked"), 400, "not that picture"),
        (Failure(401, "bad key"), 502, "bad key"),
        (Failure(429, "slow down"), 429, "slow down"),
        (Json({"error": {"message": "out of paint"}}), 502, "out of paint"),
        (Json({"data": "nothing"}), 502, ""),
    ],
)
async def test_failures_are_errors_with_the_providers_words(
    platform: Platform, painter: OpenAIUpstream, failure: Any, status: int, message: str
) -> None:
    painter.always(failure)
    answer = await post(platform, GENERATIONS, FOX)
    assert answer.status_code == status
    assert message in answer.json()["message"]


async def test_a_caller_who_leaves_ends_the_call(platform: Platform, painter: OpenAIUpstream) -> None:
    painter.next(Hang())
    async with platform.client() as client:
        with pytest.raises(httpx.ReadTimeout):
            await client.post(GENERATIONS, json=FOX, timeout=0.3)
    await painter.wait_until(lambda: painter.live == 0)
    assert painter.cancelled == 1


async def items_of(platform: Platform, conversation: str) -> list[dict[str, Any]]:
    async with platform.client() as client:
        answer = await client.get(f"/v1/conversations/{conversation}/items", params={"order": "asc"})
    return list(answer.json()["data"])


@pytest.fixture
async def conversation(platform: Platform) -> str:
    return str((await post(platform, "/v1/conversations", {})).json()["id"])


@pytest.mark.parametrize(
    ("path", "kind", "picture"),
    [
        (GENERATIONS, "image_generation_call", {}),
        (EDITS, "image_edit_call", {"image": {"b64_json": PACKED}}),
    ],
)
async def test_prompt_and_picture_are_kept_when_both_are_asked_for(
    platform: Platform, conversation: str, path: str, kind: str, picture: dict[str, Any]
) -> None:
    body = FOX | picture | {"conversation_id": conversation}
    assert (await post(platform, path, body)).status_code == 200
    assert (await post(platform, path, body | {"store": False})).status_code == 200
    assert await items_of(platform, conversation) == []
    assert (await post(platform, path, body | {"store": True})).status_code == 200
    asked, made = await items_of(platform, conversation)
    assert (asked["type"], asked["role"]) == ("message", "user")
    assert asked["content"] == [{"type": "input_text", "input_text": "A fox in the snow"}]
    assert (made["type"], made["role"], made["status"]) == (kind, "assistant", "completed")
    [text, image] = made["content"]
    assert text["text"] == "Fox"
    assert image["image"]["url"].startswith("http://localhost:8000/api/media/jan_")


async def test_only_an_own_conversation_keeps_pictures(
    platform: Platform, painter: OpenAIUpstream, conversation: str
) -> None:
    for name, status in ((conversation, 404), ("conv_nobody", 404), ("odd!", 400)):
        async with platform.client("stranger") as client:
            body = FOX | {"conversation_id": name, "store": True}
            assert (await client.post(GENERATIONS, json=body)).status_code == status
    assert not painter.calls
    assert await items_of(platform, conversation) == []


async def test_openais_client_reads_the_providers_usage(platform: Platform, painter: OpenAIUpstream) -> None:
    painter.next(Json(RESULT | {"usage": {"input_tokens": 11, "output_tokens": 22, "total_tokens": 33}}))
    async with platform.openai() as client:
        made = await client.images.generate(prompt="A fox", model="z-image")
    assert made.usage is not None
    assert made.usage.total_tokens == 33
