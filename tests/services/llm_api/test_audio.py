"""Sound through OpenAI's own client, against a scripted provider."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import openai
import psycopg
import pytest
from aiohttp import web

from jan_server.http.multipart import PART_END, PartHead, form_end, part_start, write_form
from jan_server.services.llm_api import audio_upload
from tests.doubles.openai_upstream import (
    Call,
    Custom,
    Drop,
    Failure,
    FormPart,
    Hang,
    Json,
    OpenAIUpstream,
    Raw,
    frame,
)
from tests.services.llm_api.conftest import UPSTREAM_KEY, Serve, eventually
from tests.services.llm_api.platform import Platform

MODEL = "unknown/scripted-model"
SOUND = bytes(range(256)) * 40
PATHS = ("/v1/audio/transcriptions", "/v1/audio/translations")


def form(*parts: tuple[str, bytes]) -> dict[str, Any]:
    """A form with these parts in this order; what is called `file` is one."""
    heads = ((PartHead(name, "a.wav" if name == "file" else None), content) for name, content in parts)
    content, content_type = write_form(heads)
    return {"content": content, "headers": {"Content-Type": content_type}}


async def post(platform: Platform, request: dict[str, Any], path: str = PATHS[0]) -> httpx.Response:
    async with platform.client() as client:
        return await client.post(path, **request)


async def test_a_recording_becomes_text(platform: Platform) -> None:
    platform.upstream.next(Json({"text": "hello", "usage": {"type": "duration", "seconds": 3}}))
    async with platform.openai() as client:
        heard = await client.audio.transcriptions.create(
            model=MODEL,
            file=("a.wav", SOUND, "audio/wav"),
            language="en",
            timestamp_granularities=["word"],
            temperature=0.5,
        )
    assert heard.text == "hello"
    call = platform.upstream.last
    assert call.path == PATHS[0]
    assert call.form[0] == FormPart("model", b"scripted-model")
    assert set(call.form[1:]) == {
        FormPart("file", SOUND, "a.wav", "audio/wav"),
        FormPart("language", b"en"),
        FormPart("timestamp_granularities[]", b"word"),
        FormPart("temperature", b"0.5"),
    }


@pytest.mark.parametrize("prefix", ["", "/llm"])
@pytest.mark.filterwarnings("ignore:deprecated")
async def test_a_recording_is_translated(platform: Platform, prefix: str) -> None:
    platform.upstream.next(Raw(b"1\n00:00 --> 00:01\nhello\n", content_type="text/plain"))
    async with platform.openai() as client:
        client.base_url = f"{platform.url}{prefix}/v1"
        create: Any = client.audio.translations.create
        heard = await create(model=MODEL, file=("a.wav", SOUND), response_format="srt")
    assert str(heard).startswith("1\n")
    assert platform.upstream.last.path == PATHS[1]


async def test_text_comes_as_events_while_it_is_found(platform: Platform) -> None:
    events = (
        {"type": "transcript.text.delta", "delta": "hel"},
        {"type": "transcript.text.done", "text": "hello", "usage": {"input_tokens": 14, "output_tokens": 2}},
    )
    platform.upstream.next(Raw(b"".join(map(frame, events)), content_type="text/event-stream"))
    async with platform.openai() as client:
        stream = await client.audio.transcriptions.create(model=MODEL, file=("a.wav", SOUND), stream=True)
        received = [event async for event in stream]
    assert [event.type for event in received] == ["transcript.text.delta", "transcript.text.done"]
    assert FormPart("stream", b"true") in platform.upstream.last.form


async def test_a_recording_is_passed_on_while_it_comes_in(platform: Platform) -> None:
    platform.upstream.next(Json({"text": "long"}))
    boundary, piece, rest = b"b", b"x" * 65536, asyncio.Event()

    async def upload() -> AsyncIterator[bytes]:
        yield part_start(boundary, PartHead("model")) + MODEL.encode() + PART_END
        yield part_start(boundary, PartHead("file", "a.wav")) + piece
        await rest.wait()
        yield piece + PART_END + form_end(boundary)

    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    sending = asyncio.create_task(post(platform, {"content": upload(), "headers": headers}))
    # The provider has the first part of the recording although its second one is not even sent.
    await platform.upstream.wait_until(lambda: platform.upstream.received > len(piece))
    assert not platform.upstream.calls
    rest.set()
    assert (await sending).json() == {"text": "long"}
    assert platform.upstream.last.form[1].content == piece * 2


@pytest.mark.parametrize("size", [10, 3 * 2**20])
async def test_a_recording_in_front_of_the_model_waits_for_it(platform: Platform, size: int) -> None:
    platform.upstream.next(Json({"text": "late"}))
    sound = b"\x00\r\n--" * (size // 5)
    answer = await post(
        platform, form(("language", b"en"), ("file", sound), ("model", MODEL.encode()), ("prompt", b"p"))
    )
    assert answer.json() == {"text": "late"}
    assert {part.name: part.content for part in platform.upstream.last.form} == {
        "model": b"scripted-model",
        "language": b"en",
        "prompt": b"p",
        "file": sound,
    }


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("parts", "param"),
    [
        ([("file", SOUND)], "model"),
        ([("model", b" "), ("file", SOUND)], "model"),
        ([("model", MODEL.encode())], "file"),
        ([("model", MODEL.encode()), ("model", b"other"), ("file", SOUND)], "model"),
        ([("model", MODEL.encode()), ("file", SOUND), ("model", b"other")], "model"),
        ([("file", SOUND), ("model", MODEL.encode()), ("model", b"other")], "model"),
    ],
)
async def test_a_form_names_one_model_and_has_a_recording(
    platform: Platform, path: str, parts: list[tuple[str, bytes]], param: str
) -> None:
    answer = await post(platform, form(*parts), path)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)
    assert not platform.upstream.calls


@pytest.mark.parametrize(
    "disguise",
    [
        b'--b\r\nContent-Disposition: form-data; name="model"; filename="m"\r\n\r\nother\r\n',
        b"--b\r\ncontent-disposition:form-data;name=model\r\n\r\nother\r\n",
        b'--b\r\nContent-Disposition: form-data; NAME="model"\r\n\r\nother\r\n',
    ],
)
async def test_no_second_model_reaches_the_provider(platform: Platform, disguise: bytes) -> None:
    platform.upstream.always(Json({"text": "x"}))
    first = part_start(b"b", PartHead("model")) + MODEL.encode() + PART_END
    sound = part_start(b"b", PartHead("file", "a.wav")) + SOUND + PART_END
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    for content in (first + disguise + sound, first + sound + disguise, disguise + first + sound):
        answer = await post(platform, {"content": content + b"--b--\r\n", "headers": headers})
        assert answer.status_code == 400
    assert not platform.upstream.calls


async def test_what_is_no_form_is_refused(platform: Platform) -> None:
    for request in (
        {"json": {"model": MODEL}},
        {"content": b"--b\r\nbroken", "headers": {"Content-Type": "multipart/form-data; boundary=b"}},
        {"content": b"", "headers": {"Content-Type": "multipart/form-data; boundary=b"}},
    ):
        assert (await post(platform, request)).status_code == 400
    async with httpx.AsyncClient(base_url=platform.url) as client:
        for path in (*PATHS, "/v1/audio/speech"):
            assert (await client.post(path, **form(("model", b"m")))).status_code == 401


async def test_what_is_too_large_is_refused(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audio_upload, "WAITING_BYTES", 1000)
    model = ("model", MODEL.encode())
    assert (await post(platform, form(("file", SOUND), model))).status_code == 413
    assert (await post(platform, form(("prompt", b"x" * 70_000), model))).status_code == 413
    many = [(f"field{number}", b"") for number in range(101)]
    assert (await post(platform, form(*many, model, ("file", b"")))).status_code == 400


@pytest.mark.parametrize(
    ("failure", "status", "code"),
    [
        (Failure(400, "what a noise"), 400, "invalid_request"),
        (Failure(401, "bad key"), 502, "upstream_unauthorized"),
        (Failure(429, "slow down"), 429, "rate_limit_exceeded"),
        (Failure(500, "broken"), 502, "upstream_error"),
        (Drop(), 502, "upstream_unreachable"),
    ],
)
async def test_failures_are_errors(platform: Platform, failure: Any, status: int, code: str) -> None:
    platform.upstream.always(failure)
    async with platform.openai() as client:
        with pytest.raises(openai.APIStatusError) as caught:
            await client.audio.transcriptions.create(model=MODEL, file=("a.wav", SOUND))
        assert (caught.value.status_code, caught.value.code) == (status, code)
        with pytest.raises(openai.APIStatusError) as caught:
            await client.audio.speech.create(model=MODEL, input="hello", voice="alloy")
        assert (caught.value.status_code, caught.value.code) == (status, code)
        with pytest.raises(openai.NotFoundError):
            await client.audio.transcriptions.create(model="nobody/knows", file=("a.wav", SOUND))


@pytest.fixture
async def two_endpoints(serve: Serve, upstream: OpenAIUpstream) -> AsyncIterator[Platform]:
    upstream.reset()
    async with OpenAIUpstream(models=["doubled"], api_key=UPSTREAM_KEY) as second:
        endpoints = [{"url": upstream.url, "weight": 1}, {"url": second.url, "weight": 0}]
        provider = {
            "name": "Doubled",
            "endpoints": endpoints,
            "api_key": UPSTREAM_KEY,
            "models": ["doubled"],
        }
        remote = {"url": upstream.url, "api_key": UPSTREAM_KEY}
        inference = {"provider": "remote", "remote": remote, "providers": [provider]}
        platform = await serve(upstream, inference=inference)
        await platform.serving.sync.sync_providers()
        second.always(Json({"text": "second"}))
        yield platform


@pytest.mark.parametrize("size", [1000, 2 * 2**20])
async def test_what_is_still_there_is_sent_to_the_next_endpoint(two_endpoints: Platform, size: int) -> None:
    two_endpoints.upstream.next(Failure(502))
    answer = await post(two_endpoints, form(("model", b"doubled"), ("file", b"x" * size)))
    # More than that is not kept: it went to the endpoint that failed.
    assert answer.status_code == (200 if size == 1000 else 502)


async def test_an_endpoint_that_is_gone_costs_nothing(two_endpoints: Platform) -> None:
    await two_endpoints.upstream.stop()
    try:
        answer = await post(two_endpoints, form(("model", b"doubled"), ("file", b"x" * 2 * 2**20)))
    finally:
        await two_endpoints.upstream.start()
    assert answer.json() == {"text": "second"}


async def test_a_caller_who_leaves_while_sending_is_nobody_elses_fault(
    platform: Platform, database_url: str
) -> None:
    async def upload() -> AsyncIterator[bytes]:
        yield part_start(b"b", PartHead("model")) + MODEL.encode() + PART_END
        yield part_start(b"b", PartHead("file", "a.wav")) + SOUND
        await asyncio.Event().wait()

    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    platform.upstream.next(Json({"text": "all is well"}))
    await post(platform, form(("model", MODEL.encode()), ("file", SOUND)))
    received = platform.upstream.received
    async with platform.client("leaving") as client:
        sending = asyncio.create_task(client.post(PATHS[0], content=upload(), headers=headers))
        await platform.upstream.wait_until(lambda: platform.upstream.received > received + len(SOUND))
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
    provider = platform.serving.registry.table.by_id[MODEL].provider

    async def over() -> bool:
        return platform.serving.upstream.open_calls == 0

    await eventually(over)
    assert platform.serving.upstream.selector.is_healthy(provider, provider.endpoints[0])

    def statuses() -> list[Any]:
        with psycopg.connect(database_url) as connection:
            return connection.execute(
                "select status from llm_api.token_usage t "
                "join llm_api.users u on u.id = t.user_id where u.username = 'leaving'"
            ).fetchall()

    async def written() -> bool:
        return await asyncio.to_thread(statuses) == [(499,)]

    await eventually(written)


async def test_a_caller_who_leaves_ends_the_call(platform: Platform) -> None:
    platform.upstream.always(Hang())
    for path, request in (
        (PATHS[0], form(("model", MODEL.encode()), ("file", SOUND))),
        (PATHS[0], form(("file", SOUND), ("model", MODEL.encode()))),
        ("/v1/audio/speech", {"json": {"model": MODEL, "input": "hello"}}),
    ):
        async with platform.client() as client:
            with pytest.raises(httpx.ReadTimeout):
                await client.post(path, **request, timeout=0.3)
        await platform.upstream.wait_until(lambda: platform.upstream.live == 0)
    assert platform.upstream.cancelled == 3
    assert platform.serving.upstream.open_calls == 0


@pytest.mark.parametrize("prefix", ["", "/llm"])
async def test_text_becomes_speech(platform: Platform, prefix: str) -> None:
    platform.upstream.next(Raw(SOUND, content_type="audio/mpeg"))
    async with platform.openai() as client:
        client.base_url = f"{platform.url}{prefix}/v1"
        said = await client.audio.speech.create(
            model=MODEL, input="hello", voice="alloy", speed=1.5, response_format="mp3", instructions="Softly"
        )
    assert said.content == SOUND
    assert said.response.headers["content-type"] == "audio/mpeg"
    assert said.response.headers["content-length"] == str(len(SOUND))
    assert platform.upstream.last.json == {
        "model": "scripted-model",
        "input": "hello",
        "voice": "alloy",
        "speed": 1.5,
        "response_format": "mp3",
        "instructions": "Softly",
    }


async def test_speech_is_passed_on_while_it_is_made(platform: Platform) -> None:
    rest = asyncio.Event()

    async def speak(request: web.Request, _: Call) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "audio/pcm"})
        await response.prepare(request)
        await response.write(b"one")
        await rest.wait()
        await response.write(b"two")
        await response.write_eof()
        return response

    platform.upstream.next(Custom(speak))
    body = {"model": MODEL, "input": "hello", "voice": {"id": "mine"}}
    async with platform.client() as client, client.stream("POST", "/v1/audio/speech", json=body) as answer:
        chunks = answer.aiter_bytes()
        assert await anext(chunks) == b"one"
        rest.set()
        assert b"".join([chunk async for chunk in chunks]) == b"two"


@pytest.mark.parametrize("told", [True, False])
async def test_speech_that_breaks_off_does_not_pass_for_whole(platform: Platform, told: bool) -> None:
    async def speak(request: web.Request, _: Call) -> web.StreamResponse:
        headers = {"Content-Type": "audio/pcm", **({"Content-Length": "6"} if told else {})}
        response = web.StreamResponse(headers=headers)
        await response.prepare(request)
        await response.write(b"one")
        await asyncio.sleep(0)
        assert request.transport is not None
        request.transport.close()
        return response

    platform.upstream.next(Custom(speak))
    async with platform.client() as client:
        with pytest.raises(httpx.RemoteProtocolError):
            await client.post("/v1/audio/speech", json={"model": MODEL, "input": "hello"})


async def test_speech_as_events_ends_with_an_error_when_it_breaks_off(platform: Platform) -> None:
    async def speak(request: web.Request, _: Call) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(frame({"type": "speech.audio.delta", "audio": "aGk="}))
        assert request.transport is not None
        request.transport.close()
        return response

    platform.upstream.next(Custom(speak))
    body = {"model": MODEL, "input": "hello", "stream_format": "sse"}
    answer = await post(platform, {"json": body}, "/v1/audio/speech")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert b"upstream_broken_off" in answer.content


async def test_a_200_that_is_no_sound_is_an_error(platform: Platform) -> None:
    platform.upstream.next(Json({"error": {"message": "no such voice", "code": 400}}))
    answer = await post(platform, {"json": {"model": MODEL, "input": "hello"}}, "/v1/audio/speech")
    assert (answer.status_code, answer.json()["message"]) == (400, "no such voice")


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"input": "a"}, "model"),
        ({"model": MODEL}, "input"),
        ({"model": MODEL, "input": ["a"]}, "input"),
        ({"model": MODEL, "input": "a", "voice": 1}, "voice"),
        ({"model": MODEL, "input": "a", "speed": "fast"}, "speed"),
        ({"model": MODEL, "input": "a", "stream_format": "mp3"}, "stream_format"),
    ],
)
async def test_a_bad_body_names_its_field(platform: Platform, body: dict[str, Any], param: str) -> None:
    answer = await post(platform, {"json": body}, "/v1/audio/speech")
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)
