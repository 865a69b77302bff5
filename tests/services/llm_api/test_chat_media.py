"""Media in chats: ids become pictures on the way to the model, and stay ids in what is stored."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from typing import Any

import anthropic
import httpx
import openai
import pytest

from jan_server.authentication.identity_header import IdentitySigner
from tests.doubles.media_api import MediaApi
from tests.doubles.openai_upstream import OpenAIUpstream
from tests.services.llm_api.conftest import HEADER_SECRET, Serve
from tests.services.llm_api.platform import TRUST, Platform

MODEL = "unknown/scripted-model"
CHAT = "/v1/chat/completions"
PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(100))
JPEG = b"\xff\xd8\xff\xe0 a mask"
SHOWN = f"data:image/png;base64,{base64.b64encode(PNG).decode()}"
SHOWN_JPEG = f"data:image/jpeg;base64,{base64.b64encode(JPEG).decode()}"
CAT, DOG = "jan_01hqr8v9k2x3f4g5h6j7k8m9n0", "jan_01hqr8v9k2x3f4g5h6j7k8m9n1"


@pytest.fixture(scope="module")
async def the_media() -> AsyncIterator[MediaApi]:
    async with MediaApi(IdentitySigner(HEADER_SECRET)) as running:
        yield running


@pytest.fixture(autouse=True)
def media(the_media: MediaApi) -> MediaApi:
    the_media.files = {CAT: PNG, DOG: JPEG}
    the_media.owners.clear()
    the_media.callers.clear()
    the_media.broken = False
    return the_media


@pytest.fixture(scope="module")
async def serving_platform(serve: Serve, upstream: OpenAIUpstream, the_media: MediaApi) -> Platform:
    platform = await serve(upstream, llm_api={"media_ingest_url": the_media.ingest_url})
    await platform.serving.sync.sync_providers()
    return platform


def image(url: str, **members: Any) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url, **members}}


def asking(*parts: dict[str, Any], **members: Any) -> dict[str, Any]:
    content = [{"type": "text", "text": "What is it?"}, *parts]
    return {"model": MODEL, "messages": [{"role": "user", "content": content}], **members}


def sent_urls(platform: Platform) -> list[str]:
    """The addresses of all images that the provider got last."""
    return [
        part["image_url"]["url"] if isinstance(part["image_url"], dict) else part["image_url"]
        for message in platform.upstream.last.json["messages"]
        if isinstance(message["content"], list)
        for part in message["content"]
        if part["type"] == "image_url"
    ]


@pytest.mark.parametrize(
    "url",
    [
        CAT,
        CAT.upper(),
        f"data:image/png;{CAT}",
        f"data:image/png;base64,{CAT}",
        f"http://localhost:8000/api/media/{CAT}",
    ],
)
async def test_the_model_gets_the_picture_in_place_of_its_id(platform: Platform, url: str) -> None:
    async with platform.client("first of " + url[-60:].replace("/", " ")) as client:
        answer = await client.post(CHAT, json=asking(image(url, detail="low")))
    assert answer.status_code == 200, answer.text
    [message] = platform.upstream.last.json["messages"]
    assert message["content"] == [{"type": "text", "text": "What is it?"}, image(SHOWN, detail="low")]


async def test_a_picture_is_read_once_for_each_caller(platform: Platform, media: MediaApi) -> None:
    parts = [image(CAT), image(DOG), {"type": "image_url", "image_url": CAT}]
    for _ in range(2):
        async with platform.openai("reader") as client:
            await client.chat.completions.create(**asking(*parts))
    assert sent_urls(platform) == [SHOWN, SHOWN_JPEG, SHOWN]
    assert media.callers == ["subject-of-reader"] * 2
    async with platform.openai("another reader") as client:
        stream = await client.chat.completions.create(**asking(image(CAT)), stream=True)
        assert [chunk async for chunk in stream]
    assert media.callers[2:] == ["subject-of-another reader"]


async def test_messages_without_ids_ask_nobody(platform: Platform, media: MediaApi) -> None:
    body = asking(image("https://pictures.example/cat.png"), image(SHOWN))
    body["messages"][0]["content"][0]["text"] = f"I dreamt of {CAT}"
    async with platform.client() as client:
        assert (await client.post(CHAT, json=body)).status_code == 200
    assert platform.upstream.last.json["messages"] == body["messages"]
    assert media.callers == []


async def test_a_conversation_keeps_the_id_and_shows_the_picture_again(platform: Platform) -> None:
    async with platform.client("keeper") as client:
        first = await client.post(CHAT, json=asking(image(CAT), conversation=""))
        conversation = first.json()["conversation"]["id"]
        items = (await client.get(f"/v1/conversations/{conversation}/items")).json()["data"]
        assert items[1]["content"][1] == {"type": "image", "image": {"url": CAT}}
        again = {"model": MODEL, "messages": [{"role": "user", "content": "Sure?"}]}
        await client.post(CHAT, json={**again, "conversation": conversation})
    assert sent_urls(platform) == [SHOWN]


async def test_items_may_name_media(platform: Platform) -> None:
    blocks = [
        {"type": "image", "image": {"url": CAT}},
        {"type": "image", "image": {"file_id": DOG}},
        {"type": "image", "image": {"file_id": "file_of_somebody"}},
    ]
    async with platform.client("lister") as client:
        made = await client.post("/v1/conversations", json={"items": [{"role": "user", "content": blocks}]})
        body = {"model": MODEL, "messages": [{"role": "user", "content": "Well?"}]}
        await client.post(CHAT, json={**body, "conversation": made.json()["id"]})
    assert sent_urls(platform) == [SHOWN, SHOWN_JPEG]


async def test_a_picture_of_the_history_that_is_gone_is_said_to_be(
    platform: Platform, media: MediaApi
) -> None:
    blocks = [{"type": "image", "image": {"url": url}} for url in ("jan_gone", "data:image/png;jan_!")]
    async with platform.client("mourner") as client:
        made = await client.post("/v1/conversations", json={"items": [{"role": "user", "content": blocks}]})
        body = {"model": MODEL, "messages": [{"role": "user", "content": "Well?"}]}
        answer = await client.post(CHAT, json={**body, "conversation": made.json()["id"]})
    assert answer.status_code == 200, answer.text
    assert "jan_" not in platform.upstream.last.body.decode()
    assert platform.upstream.last.body.decode().count("no longer stored") == 2


async def test_anthropics_messages_may_name_media(platform: Platform) -> None:
    async with anthropic.AsyncAnthropic(
        api_key="unused",
        base_url=platform.url,
        default_headers={**platform.headers(), "X-Api-Key": ""},
        max_retries=0,
        http_client=anthropic.DefaultAsyncHttpxClient(verify=TRUST),
    ) as client:
        sources: list[Any] = [
            {"type": "url", "url": CAT},
            {"type": "base64", "media_type": "image/png", "data": CAT},
            {"type": "file", "file_id": DOG},
        ]
        await client.messages.create(
            model=MODEL,
            max_tokens=10,
            messages=[
                {"role": "user", "content": [{"type": "image", "source": source} for source in sources]}
            ],
        )
    assert sent_urls(platform) == [SHOWN, SHOWN, SHOWN_JPEG]


@pytest.mark.parametrize(
    ("url", "status", "code"),
    [
        ("jan_unknown", 404, "media_not_found"),
        (DOG, 404, "media_not_found"),
        ("jan_text", 400, "invalid_value"),
        ("jan_no-id", 400, "invalid_value"),
    ],
)
async def test_what_cannot_be_shown_is_refused_by_the_name_of_its_part(
    platform: Platform, media: MediaApi, url: str, status: int, code: str
) -> None:
    media.owners[DOG] = "subject-of-somebody"
    media.files["jan_text"] = b"no picture"
    calls = len(platform.upstream.calls)
    async with platform.client("stranger") as client:
        answer = await client.post(CHAT, json=asking(image(CAT), image(url)))
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (status, code), answer.text
    assert error["param"] == "messages[0].content[2].image_url.url"
    assert error["param"] in error["message"]
    assert len(platform.upstream.calls) == calls


async def test_without_the_media_api_nothing_unresolved_is_sent(platform: Platform, media: MediaApi) -> None:
    media.broken = True
    async with platform.openai("unlucky") as client:
        with pytest.raises(openai.InternalServerError) as refused:
            await client.chat.completions.create(**asking(image(CAT)))
    assert (refused.value.status_code, refused.value.code) == (502, "media_unavailable")
    assert refused.value.param == "messages[0].content[1].image_url.url"
    assert platform.upstream.calls == []


async def test_a_medium_without_a_service_is_said(serve: Serve, upstream: OpenAIUpstream) -> None:
    alone = await serve(upstream, llm_api={"media_ingest_url": "http://127.0.0.1:9/v1/media"})
    await alone.serving.sync.sync_providers()
    async with alone.client() as client:
        answer: httpx.Response = await client.post(CHAT, json=asking(image(CAT), stream=True))
    assert answer.status_code == 502
    assert "the Media API cannot be reached" in answer.json()["message"]
