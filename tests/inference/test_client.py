"""What a caller gets from a provider, in fair weather and in foul."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import orjson
import pytest

from jan_server.inference.answer_stream import AnswerStream
from jan_server.inference.client import UpstreamClient
from jan_server.inference.provider import Endpoint, Provider, Timeouts
from jan_server.inference.upstream_errors import UpstreamError
from tests.doubles.openai_upstream import (
    Answer,
    Call,
    Custom,
    Drop,
    Failure,
    Gate,
    Hang,
    OpenAIUpstream,
    Raw,
    Stream,
    ToolCall,
)

CHAT = "/chat/completions"
BODY = orjson.dumps({"model": "scripted-model", "messages": [{"role": "user", "content": "Hi"}]})
STREAM_BODY = orjson.dumps({**orjson.loads(BODY), "stream": True})


@pytest.fixture
async def upstream() -> AsyncIterator[OpenAIUpstream]:
    async with OpenAIUpstream() as server:
        yield server


def provider(*urls: str, kind: str = "custom", key: str = "", **changes: Any) -> Provider:
    endpoints = tuple(Endpoint(url, api_key=key) for url in urls)
    return Provider(id="prov_test", name="Scripted", endpoints=endpoints, kind=kind, **changes)


async def read(stream: AnswerStream) -> bytes:
    async with stream:
        return b"".join([chunk async for chunk in stream])


async def test_a_whole_answer_and_the_body_pass_through_unchanged(
    client: UpstreamClient, upstream: OpenAIUpstream
) -> None:
    body = b'{ "model" : "scripted-model",  "unknown_field": 1e400 }'
    raw = b'{"id":"x",  "odd": [1 ,2]}'
    upstream.next(Raw(raw, headers={"X-Upstream-Request": "42"}))
    answer = await client.complete(provider(upstream.url), CHAT, body)
    assert (answer.status, answer.body, answer.headers["X-Upstream-Request"]) == (200, raw, "42")
    assert upstream.last.body == body
    assert upstream.last.path == "/v1/chat/completions"
    assert client.open_calls == 0


async def test_frames_reach_the_caller_while_the_provider_is_still_writing(
    client: UpstreamClient, upstream: OpenAIUpstream
) -> None:
    gate = Gate()
    upstream.next(Stream(frames=3, gate=gate))
    gate.release()
    stream = await client.stream(provider(upstream.url), CHAT, STREAM_BODY)
    async with stream:
        assert b"word0" in await anext(stream)
        assert (client.open_calls, upstream.live) == (1, 1)
        gate.release()
        assert b"word1" in await anext(stream)
        gate.open()
        rest = b"".join([chunk async for chunk in stream])
    assert rest.endswith(b"data: [DONE]\n\n")
    assert client.open_calls == 0


async def test_a_connection_is_used_again_after_a_whole_stream(
    client: UpstreamClient, upstream: OpenAIUpstream
) -> None:
    ports: list[Any] = []

    async def note_port(request: Any, call: Call) -> Any:
        ports.append(request.transport.get_extra_info("peername"))
        return await Stream().respond(request, call)

    upstream.always(Custom(note_port))
    for _ in range(3):
        await read(await client.stream(provider(upstream.url), CHAT, STREAM_BODY))
    assert len(set(ports)) == 1


@pytest.mark.parametrize(
    ("kind", "key", "expected"),
    [
        ("openai", "key-1234567890", {"Authorization": "Bearer key-1234567890"}),
        ("azure_openai", "key-1234567890", {"api-key": "key-1234567890"}),
        (
            "anthropic",
            "key-1234567890",
            {"X-API-Key": "key-1234567890", "Anthropic-Version": "2023-06-01"},
        ),
        ("custom", "", {}),
        ("custom", "  ", {}),
        ("custom", "none", {}),
    ],
)
async def test_the_credential_travels_in_the_header_of_the_kind(
    client: UpstreamClient, upstream: OpenAIUpstream, kind: str, key: str, expected: dict[str, str]
) -> None:
    await client.complete(provider(upstream.url, kind=kind, key=key), CHAT, BODY)
    sent = upstream.last.headers
    names = ("Authorization", "api-key", "X-API-Key", "Anthropic-Version")
    assert {name: sent[name] for name in names if name in sent} == expected


async def test_further_headers_and_the_query_of_the_address_are_sent(
    client: UpstreamClient, upstream: OpenAIUpstream
) -> None:
    endpoint = Endpoint(f"{upstream.url}/?api-version=2026-01-01", headers=(("X-Team", "blue"),))
    await client.complete(Provider("prov_a", "Azure", (endpoint,)), CHAT, BODY)
    assert (upstream.last.path, upstream.last.query) == ("/v1/chat/completions", "api-version=2026-01-01")
    assert upstream.last.headers["X-Team"] == "blue"


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(
    ("behaviour", "status", "code", "words"),
    [
        (Failure(400, "temperature is too high", param="temperature"), 400, "invalid_request", "too high"),
        (Failure(404, "no such model", code="model_not_found"), 404, "model_not_found", "no such model"),
        (Failure(413, "too long"), 413, "invalid_request", "too long"),
        (Failure(raw=b'{"detail":[{"loc":["body","n"],"msg":"must be 1"}]}', status=422), 422,
         "invalid_request", "n: must be 1"),
        (Failure(401, "bad key secret-key-99 given"), 502, "upstream_unauthorized", "bad key *** given"),
        (Failure(403, "not your region"), 502, "upstream_unauthorized", "not your region"),
        (Failure(429, "slow down", headers={"Retry-After": "7"}), 429, "rate_limit_exceeded", "slow down"),
        (Failure(500, "out of memory"), 502, "upstream_error", "out of memory"),
        (Failure(500, raw=b"<html>oops</html>"), 502, "upstream_error", "failed with status 500"),
        (Failure(502, raw=b'{"error":"no model"}'), 502, "upstream_error", "no model"),
        (Failure(302, headers={"Location": "http://127.0.0.1:9/"}), 502, "upstream_error", "redirects"),
        (Drop(), 502, "upstream_unreachable", "broke before an answer"),
    ],
)  # fmt: skip
async def test_a_failure_becomes_an_error_with_the_providers_words(
    client: UpstreamClient,
    upstream: OpenAIUpstream,
    behaviour: Any,
    status: int,
    code: str,
    words: str,
    streamed: bool,
) -> None:
    upstream.always(behaviour)
    asked = provider(upstream.url, key="secret-key-99", attempts=1)
    with pytest.raises(UpstreamError) as caught:
        if streamed:
            await client.stream(asked, CHAT, STREAM_BODY)
        else:
            await client.complete(asked, CHAT, BODY)
    error = caught.value
    assert (error.status, error.code) == (status, code)
    assert words in error.message
    assert error.headers.get("Retry-After") == ("7" if status == 429 else None)
    assert error.param == {400: "temperature", 422: "n"}.get(status)
    assert client.open_calls == 0


async def test_the_context_limit_of_llama_cpp_has_openais_code(
    client: UpstreamClient, upstream: OpenAIUpstream
) -> None:
    body = {"error": {"code": 400, "message": "request exceeds", "type": "exceed_context_size_error"}}
    upstream.next(Failure(400, raw=orjson.dumps(body)))
    with pytest.raises(UpstreamError) as caught:
        await client.complete(provider(upstream.url), CHAT, BODY)
    assert caught.value.code == "context_length_exceeded"


async def test_an_image_for_a_model_that_sees_none_is_the_requests_fault(
    client: UpstreamClient, upstream: OpenAIUpstream
) -> None:
    words = "image input is not supported - hint: if this is unexpected, you may need to provide the mmproj"
    upstream.always(Failure(500, words))
    asked = provider(upstream.url)
    with pytest.raises(UpstreamError) as caught:
        await client.complete(asked, CHAT, BODY)
    error = caught.value
    assert (error.status, error.param, error.message) == (400, "messages", words)
    assert len(upstream.calls) == 1
    assert client.selector.is_healthy(asked, asked.endpoints[0])


async def test_a_provider_that_is_not_there(client: UpstreamClient) -> None:
    async with OpenAIUpstream() as gone:
        asked = provider(gone.url, attempts=2)
    with pytest.raises(UpstreamError) as caught:
        await client.complete(asked, CHAT, BODY)
    assert (caught.value.status, caught.value.code) == (502, "upstream_unreachable")
    assert "Scripted cannot be reached: the connection was refused" in caught.value.message


@pytest.mark.parametrize(
    ("failure", "code", "words", "wait"),
    [
        (Failure(503, "Loading model"), "model_loading", "the model is loading", "1"),
        (Failure(503, "busy", headers={"Retry-After": "9"}), "upstream_unavailable", "now: busy", "9"),
    ],
)  # fmt: skip
async def test_a_provider_that_answers_later_is_a_503(
    client: UpstreamClient, upstream: OpenAIUpstream, failure: Failure, code: str, words: str, wait: str
) -> None:
    upstream.always(failure)
    with pytest.raises(UpstreamError) as caught:
        await client.complete(provider(upstream.url, attempts=1), CHAT, BODY)
    assert (caught.value.status, caught.value.code) == (503, code)
    assert (caught.value.headers["Retry-After"], words in caught.value.message) == (wait, True)


async def test_an_engine_that_is_started_again_is_loading(client: UpstreamClient) -> None:
    async with OpenAIUpstream() as gone:
        asked = provider(gone.url, attempts=2, supervised=True)
    with pytest.raises(UpstreamError) as caught:
        await client.complete(asked, CHAT, BODY)
    assert (caught.value.status, caught.value.code) == (503, "model_loading")
    assert caught.value.headers["Retry-After"] == "1"


async def test_a_lasting_failure_is_logged_once_until_it_ends(
    client: UpstreamClient, upstream: OpenAIUpstream, caplog: pytest.LogCaptureFixture
) -> None:
    asked = provider(upstream.url, attempts=1)
    upstream.always(Failure(503, "Loading model"))
    for _ in range(3):
        with pytest.raises(UpstreamError):
            await client.complete(asked, CHAT, BODY)
    assert len(caplog.records) == 1
    upstream.next(Answer())
    await client.complete(asked, CHAT, BODY)
    with pytest.raises(UpstreamError):
        await client.complete(asked, CHAT, BODY)
    assert len(caplog.records) == 2


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_refusing_endpoint_is_tried_again_a_bounded_number_of_times(
    client: UpstreamClient, upstream: OpenAIUpstream, streamed: bool
) -> None:
    ask = client.stream if streamed else client.complete
    body = STREAM_BODY if streamed else BODY
    upstream.next(Failure(503), Drop(), Answer())
    answer = await ask(provider(upstream.url), CHAT, body)
    if isinstance(answer, AnswerStream):
        await read(answer)
    assert len(upstream.calls) == 3
    upstream.always(Failure(503))
    with pytest.raises(UpstreamError):
        await ask(provider(upstream.url), CHAT, body)
    assert len(upstream.calls) == 6


async def test_what_is_the_requests_fault_is_not_tried_again(
    client: UpstreamClient, upstream: OpenAIUpstream
) -> None:
    upstream.always(Failure(400))
    with pytest.raises(UpstreamError):
        await client.complete(provider(upstream.url, upstream.url + "/"), CHAT, BODY)
    assert len(upstream.calls) == 1
    assert client.selector.is_healthy(provider(upstream.url), Endpoint(upstream.url))


async def test_a_failing_endpoint_is_left_for_the_next_and_rests(client: UpstreamClient) -> None:
    async with OpenAIUpstream() as broken, OpenAIUpstream() as sound:
        broken.always(Failure(500))
        asked = provider(broken.url, sound.url)
        for _ in range(4):
            assert (await client.complete(asked, CHAT, BODY)).status == 200
        assert (len(broken.calls), len(sound.calls)) == (1, 4)
        assert [client.selector.is_healthy(asked, entry) for entry in asked.endpoints] == [False, True]


async def test_a_full_endpoint_is_left_for_the_next_but_does_not_rest(client: UpstreamClient) -> None:
    async with OpenAIUpstream() as full, OpenAIUpstream() as sound:
        full.always(Failure(429))
        asked = provider(full.url, sound.url)
        assert (await client.complete(asked, CHAT, BODY)).status == 200
        assert client.selector.is_healthy(asked, asked.endpoints[0])


async def test_a_stream_that_began_is_never_begun_again(
    client: UpstreamClient, upstream: OpenAIUpstream
) -> None:
    upstream.next(Stream(frames=9, drop_after=2))
    stream = await client.stream(provider(upstream.url), CHAT, STREAM_BODY)
    seen = b""
    with pytest.raises(UpstreamError) as caught:
        async with stream:
            async for chunk in stream:
                seen += chunk
    assert b"word1" in seen
    assert (caught.value.status, caught.value.code) == (502, "upstream_broken_off")
    assert (len(upstream.calls), client.open_calls) == (1, 0)


async def test_a_stream_that_ends_before_its_first_byte_is_begun_again(
    client: UpstreamClient, upstream: OpenAIUpstream
) -> None:
    upstream.next(Raw(b"", content_type="text/event-stream"), Answer())
    assert b"[DONE]" in await read(await client.stream(provider(upstream.url), CHAT, STREAM_BODY))
    assert len(upstream.calls) == 2


SHORT = Timeouts(connect=1, first_token=0.15, idle=0.15, answer=0.15)


async def test_silence_before_the_first_byte_is_a_timeout(
    client: UpstreamClient, upstream: OpenAIUpstream
) -> None:
    upstream.always(Hang())
    with pytest.raises(UpstreamError) as whole:
        await client.complete(provider(upstream.url, timeouts=SHORT), CHAT, BODY)
    with pytest.raises(UpstreamError) as streamed:
        await client.stream(provider(upstream.url, timeouts=SHORT), CHAT, STREAM_BODY)
    assert (whole.value.status, streamed.value.status) == (504, 504)
    assert whole.value.code == "upstream_timeout"
    assert len(upstream.calls) == 2
    await upstream.wait_until(lambda: upstream.live == 0)


async def test_silence_in_the_middle_is_a_timeout(client: UpstreamClient, upstream: OpenAIUpstream) -> None:
    upstream.next(Stream(frames=2, then_hang=True))
    stream = await client.stream(provider(upstream.url, timeouts=SHORT), CHAT, STREAM_BODY)
    with pytest.raises(UpstreamError) as caught:
        await read(stream)
    assert caught.value.status == 504
    assert "fell silent" in caught.value.message
    await upstream.wait_until(lambda: upstream.live == 0)


async def test_streams_that_failed_are_not_kept(client: UpstreamClient, upstream: OpenAIUpstream) -> None:
    upstream.next(Stream(frames=1, then_hang=True), Stream(frames=9, drop_after=1), Stream(frames=1))
    kept: weakref.WeakSet[AnswerStream] = weakref.WeakSet()
    for _ in range(3):
        stream = await client.stream(provider(upstream.url, timeouts=SHORT), CHAT, STREAM_BODY)
        kept.add(stream)
        with suppress(UpstreamError):
            await read(stream)
    del stream
    await upstream.wait_until(lambda: gc.collect() >= 0 and not kept)


async def test_a_caller_who_reads_slowly_is_not_silence_of_the_provider(
    client: UpstreamClient, upstream: OpenAIUpstream
) -> None:
    limits = replace(SHORT, first_token=5, answer=5)
    upstream.next(Stream(frames=2))
    stream = await client.stream(provider(upstream.url, timeouts=limits), CHAT, STREAM_BODY)
    async with stream:
        await anext(stream)
        await asyncio.sleep(limits.idle * 3)
        rest = b"".join([chunk async for chunk in stream])
    assert rest == b"" or rest.endswith(b"data: [DONE]\n\n")


async def test_a_caller_who_leaves_ends_the_call_upstream(
    client: UpstreamClient, upstream: OpenAIUpstream
) -> None:
    asked = provider(upstream.url)
    upstream.always(Stream(frames=1, then_hang=True))

    async def read_forever() -> None:
        await read(await client.stream(asked, CHAT, STREAM_BODY))

    reading = [asyncio.create_task(read_forever()) for _ in range(200)]
    await upstream.wait_until(lambda: upstream.live == 200)
    assert client.open_calls == 200
    upstream.always(Hang())
    waiting: Sequence[asyncio.Task[Any]] = [
        asyncio.create_task(client.complete(asked, CHAT, BODY)),
        asyncio.create_task(client.stream(asked, CHAT, STREAM_BODY)),
    ]
    await upstream.wait_until(lambda: upstream.live == 202)
    for task in (*reading, *waiting):
        task.cancel()
    await asyncio.gather(*reading, *waiting, return_exceptions=True)
    assert client.open_calls == 0
    await upstream.wait_until(lambda: upstream.live == 0)
    assert upstream.cancelled == 202


async def test_a_stream_that_nobody_holds_any_more_ends_upstream(
    client: UpstreamClient, upstream: OpenAIUpstream
) -> None:
    upstream.next(Stream(frames=1, then_hang=True))
    stream = await client.stream(provider(upstream.url), CHAT, STREAM_BODY)
    assert client.open_calls == 1
    del stream
    assert client.open_calls == 0
    await upstream.wait_until(lambda: upstream.live == 0)


async def test_closing_twice_counts_once(client: UpstreamClient, upstream: OpenAIUpstream) -> None:
    upstream.next(Stream(then_hang=True))
    stream = await client.stream(provider(upstream.url), CHAT, STREAM_BODY)
    stream.close()
    stream.close()
    assert client.open_calls == 0
    assert [chunk async for chunk in stream] == []


async def heedless(client: UpstreamClient, upstream: OpenAIUpstream) -> Provider:
    """The scripted upstream after it gave itself away as llama.cpp, which ignores callers who leave."""
    asked = provider(upstream.url)
    upstream.next(Raw(b'{"data":[]}', headers={"Server": "llama.cpp"}))
    await client.complete(asked, "/any", b"{}")
    return asked


async def test_a_heedless_engine_is_asked_for_a_stream_that_becomes_one_answer(
    client: UpstreamClient, upstream: OpenAIUpstream
) -> None:
    asked = await heedless(client, upstream)
    upstream.next(Answer("one two three"))
    answer = await client.complete(asked, CHAT, BODY)
    sent = upstream.last.json
    assert (sent["stream"], sent["stream_options"]) == (True, {"include_usage": True})
    completion = orjson.loads(answer.body)
    assert (completion["object"], completion["usage"]["completion_tokens"]) == ("chat.completion", 3)
    choice = completion["choices"][0]
    assert choice["message"] == {"role": "assistant", "content": "one two three", "refusal": None}
    assert (choice["finish_reason"], choice["logprobs"]) == ("stop", None)


async def test_a_heedless_engine_closes_behind_a_stream_and_is_told_so(
    client: UpstreamClient, upstream: OpenAIUpstream
) -> None:
    asked = await heedless(client, upstream)
    await client.complete(asked, CHAT, BODY)
    assert upstream.last.headers["Connection"] == "close"
    await client.complete(asked, "/any", b"{}")
    assert upstream.last.headers.get("Connection") != "close"


async def test_a_heedless_engines_tool_calls_are_put_together(
    client: UpstreamClient, upstream: OpenAIUpstream
) -> None:
    asked = await heedless(client, upstream)
    upstream.next(ToolCall())
    choice = orjson.loads((await client.complete(asked, CHAT, BODY)).body)["choices"][0]
    call = choice["message"]["tool_calls"][0]
    assert call["function"] == {"name": "get_weather", "arguments": '{"city":"Hanoi"}'}
    assert (call["id"], choice["finish_reason"]) == ("call_scripted", "tool_calls")


async def test_a_heedless_engines_text_is_put_together(
    client: UpstreamClient, upstream: OpenAIUpstream
) -> None:
    asked = await heedless(client, upstream)
    chunks = (
        {"object": "text_completion", "choices": [{"index": 0, "text": "one", "finish_reason": None}]},
        {"object": "text_completion", "choices": [{"index": 1, "text": "two", "finish_reason": "stop"}]},
        {"object": "text_completion", "choices": [{"index": 0, "text": " more", "finish_reason": "length"}]},
    )
    frames = b"".join(b"data: " + orjson.dumps(chunk) + b"\n\n" for chunk in chunks) + b"data: [DONE]\n\n"
    upstream.next(Raw(frames, content_type="text/event-stream"))
    answer = await client.complete(asked, "/completions", b'{"model":"scripted-model","prompt":"Hi"}')
    assert upstream.last.json["stream"] is True
    assert orjson.loads(answer.body) == {
        "object": "text_completion",
        "choices": [
            {"index": 0, "logprobs": None, "finish_reason": "length", "text": "one more"},
            {"index": 1, "logprobs": None, "finish_reason": "stop", "text": "two"},
        ],
    }


async def test_a_heedless_engines_failures_are_errors_all_the_same(
    client: UpstreamClient, upstream: OpenAIUpstream
) -> None:
    asked = await heedless(client, upstream)
    upstream.next(Stream(drop_after=1))
    with pytest.raises(UpstreamError) as dropped:
        await client.complete(asked, CHAT, BODY)
    assert dropped.value.code == "upstream_broken_off"
    frame = b'data: {"error":{"code":400,"message":"bad grammar","type":"invalid_request_error"}}\n\n'
    upstream.next(Raw(frame, content_type="text/event-stream"))
    with pytest.raises(UpstreamError) as refused:
        await client.complete(asked, CHAT, BODY)
    assert (refused.value.status, refused.value.message) == (400, "bad grammar")
    assert client.open_calls == 0
