"""What happens to a provider's bytes on their way to the caller."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import aiohttp
import httpx
import orjson
import pytest
from sqlalchemy import event

from jan_server.inference.answer_stream import AnswerStream
from jan_server.services.llm_api.chat_call import ChatCall
from jan_server.services.llm_api.routes.chat import ChatResponse
from tests.doubles.openai_upstream import Answer, Failure, Gate, Raw, Stream, completion
from tests.services.llm_api.conftest import Serve
from tests.services.llm_api.platform import Platform

MODEL = "unknown/scripted-model"
HELLO: Any = [{"role": "user", "content": "Hello"}]
SSE = "text/event-stream"


async def ask(platform: Platform, **members: Any) -> httpx.Response:
    async with platform.client() as client:
        return await client.post("/v1/chat/completions", json={"model": MODEL, "messages": HELLO, **members})


async def test_a_whole_answer_is_relayed_byte_by_byte(platform: Platform) -> None:
    body = b'{ "choices" : [{"message":{"role":"assistant","content":"\\u4f60"}}],\n"vendor_extra": 1.50 }\n'
    platform.upstream.next(Raw(body))
    answer = await ask(platform)
    assert answer.content == body
    assert answer.headers["content-type"] == "application/json"


async def test_a_stream_is_relayed_frame_by_frame_as_it_comes(platform: Platform) -> None:
    gate = Gate()
    platform.upstream.next(Stream(frames=3, gate=gate))
    gate.release()
    body = {"model": MODEL, "messages": HELLO, "stream": True}
    async with (
        platform.client() as client,
        client.stream("POST", "/v1/chat/completions", json=body) as answer,
    ):
        chunks = answer.aiter_bytes()
        received = b""
        for number in range(3):
            while f"word{number}".encode() not in received:
                received += await anext(chunks)
            assert f"word{number + 1}".encode() not in received
            gate.release()
        received += b"".join([chunk async for chunk in chunks])
    assert answer.headers["content-type"].startswith(SSE)
    assert received.endswith(b"data: [DONE]\n\n")


async def test_comments_and_unknown_members_of_a_stream_are_kept(platform: Platform) -> None:
    frames = (
        b": the queue is long\n\n"
        b'data: {"choices":[{"index":0,"delta":{"content":"Hi"}}],"x":1.50}\n\n'
        b"data: [DONE]\n\n"
    )
    platform.upstream.next(Raw(frames, content_type=SSE))
    answer = await ask(platform, stream=True)
    assert answer.content == frames


@pytest.mark.parametrize("ending", [b"data: [DONE]", b"data: [DONE]\n"])
async def test_a_sloppy_ending_is_completed(platform: Platform, ending: bytes) -> None:
    start = b'data: {"choices":[{"index":0,"delta":{"content":"Hi"}}]}\n\n'
    platform.upstream.next(Raw(start + ending, content_type=SSE))
    answer = await ask(platform, stream=True)
    assert answer.content.startswith(start)
    assert answer.content.endswith(b"data: [DONE]\n\n") or answer.content.endswith(b"[DONE]\n\n\n")


async def test_a_missing_end_is_added_once_the_model_has_finished(platform: Platform) -> None:
    platform.upstream.next(Stream(frames=2, done=False))
    answer = await ask(platform, stream=True)
    assert answer.content.endswith(b"data: [DONE]\n\n")


async def test_a_stream_that_ends_without_finishing_is_an_error(platform: Platform) -> None:
    start = b'data: {"choices":[{"index":0,"delta":{"content":"Hi"},"finish_reason":null}]}'
    platform.upstream.next(Raw(start, content_type=SSE))
    answer = await ask(platform, stream=True)
    assert answer.status_code == 200
    frames = answer.content.split(b"\n\n")
    assert frames[0] == start
    told = orjson.loads(frames[1].removeprefix(b"data: "))
    assert told["error"]["code"] == "upstream_broken_off"
    assert told["request_id"] == answer.headers["x-request-id"]
    assert b"[DONE]" not in answer.content


async def test_a_providers_own_error_frame_is_the_last_one(platform: Platform) -> None:
    frames = (
        b'data: {"choices":[{"index":0,"delta":{"content":"Hi"},"finish_reason":null}]}\n\n'
        b'data: {"error":{"message":"out of memory","code":500}}\n\n'
    )
    platform.upstream.next(Raw(frames, content_type=SSE))
    assert (await ask(platform, stream=True)).content == frames


async def test_a_stream_that_never_ends_is_ended(serve: Serve, platform: Platform) -> None:
    hasty = await serve(platform.upstream, llm_api={"stream_timeout": "200ms"})
    gate = Gate()
    platform.upstream.next(Stream(frames=1000, gate=gate))

    async def drip() -> None:
        while True:
            gate.release()
            await asyncio.sleep(0.02)

    dripping = asyncio.create_task(drip())
    try:
        answer = await ask(hasty, stream=True)
    finally:
        dripping.cancel()
    assert b"did not finish its answer in time" in answer.content
    assert b"[DONE]" not in answer.content
    await platform.upstream.wait_until(lambda: platform.upstream.live == 0)


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("body", "content_type", "status", "message"),
    [
        (b'data: {"error":{"message":"no such adapter","code":404}}\n\n', SSE, 404, "no such adapter"),
        (b'{"error":{"message":"overloaded","code":429}}', "application/json", 429, "overloaded"),
        (b'{"error":{"message":"bad luck"}}', "application/json", 502, "bad luck"),
        (b"<html>It works!</html>", "text/html", 502, "status 502"),
    ],
)
async def test_a_200_without_an_answer_is_an_error(
    platform: Platform, stream: bool, body: bytes, content_type: str, status: int, message: str
) -> None:
    platform.upstream.next(Raw(body, content_type=content_type))
    answer = await ask(platform, stream=stream)
    assert answer.status_code == status
    assert message in answer.json()["error"]["message"]


async def test_retry_after_reaches_the_caller(platform: Platform) -> None:
    platform.upstream.always(Failure(429, headers={"Retry-After": "7"}))
    answer = await ask(platform)
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "7")


async def test_without_a_conversation_the_database_is_left_alone(platform: Platform) -> None:
    await ask(platform)
    statements: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        # What calls used is written now and then, behind their back.
        if "token_usage" not in statement:
            statements.append(statement)

    engine = platform.app.state.resources.database.engine.sync_engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        for stream in (True, False):
            assert (await ask(platform, stream=stream)).status_code == 200
        assert (await ask(platform, store=True, metadata={"a": "b"})).status_code == 200
    finally:
        event.remove(engine, "before_cursor_execute", note)
    assert not statements


async def test_jans_members_follow_the_providers_own_bytes(platform: Platform) -> None:
    whole = orjson.dumps(completion("Hi")) + b"\n"
    platform.upstream.next(Raw(whole))
    answer = await ask(platform, conversation={})
    assert answer.content.startswith(whole.rstrip()[:-1])
    assert answer.json()["conversation"]["id"] == answer.headers["x-conversation-id"]


async def test_what_does_not_fit_the_context_is_trimmed_and_said(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = "word " * 4000  # 5000 estimated tokens
    messages = [{"role": "system", "content": "Be kind"}]
    for _ in range(60):
        messages += [{"role": "user", "content": long}, {"role": "assistant", "content": "ok"}]
    messages.append({"role": "user", "content": "and now?"})
    answer = await ask(platform, messages=messages)
    assert answer.json()["trimmed"] is True
    sent = platform.upstream.last.json["messages"]
    assert len(sent) < len(messages)
    assert (sent[0], sent[-1]) == (messages[0], messages[-1])
    assert "trimmed" not in (await ask(platform)).json()


async def test_a_huge_last_message_is_refused(platform: Platform) -> None:
    answer = await ask(platform, messages=[{"role": "user", "content": "word " * 30_000}])
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "messages[0].content"
    assert not platform.upstream.calls


async def test_two_hundred_callers_who_vanish_leave_nothing(platform: Platform) -> None:
    callers = 200
    body = {"model": MODEL, "messages": HELLO, "stream": True}

    async def vanish(session: aiohttp.ClientSession) -> None:
        async with session.post(f"{platform.url}/v1/chat/completions", json=body) as answer:
            await answer.content.readany()
            answer.close()

    for _ in range(2):
        gate = Gate()
        platform.upstream.always(Stream(frames=50, gate=gate))
        connector = aiohttp.TCPConnector(limit=0)
        async with (
            aiohttp.ClientSession(connector=connector, headers=platform.headers()) as session,
            asyncio.TaskGroup() as group,
        ):
            for _ in range(callers):
                group.create_task(vanish(session))
            await platform.upstream.wait_until(lambda: platform.upstream.live == callers, seconds=20)
            gate.release(callers)
        await platform.upstream.wait_until(lambda: platform.upstream.live == 0, seconds=20)
    assert platform.upstream.cancelled == 2 * callers
    assert platform.serving.upstream.open_calls == 0
    gc.collect()
    kept = [entry for entry in gc.get_objects() if isinstance(entry, ChatCall | AnswerStream | ChatResponse)]
    assert not kept


async def test_a_caller_who_leaves_before_the_first_byte_ends_the_call(platform: Platform) -> None:
    platform.upstream.always(Stream(frames=1, gate=Gate()))
    for stream in (True, False):
        async with platform.client() as client:
            with pytest.raises(httpx.ReadTimeout):
                await client.post(
                    "/v1/chat/completions",
                    json={"model": MODEL, "messages": HELLO, "stream": stream},
                    timeout=0.3,
                )
        await platform.upstream.wait_until(lambda: platform.upstream.live == 0)
    assert platform.upstream.cancelled >= 1
    assert platform.serving.upstream.open_calls == 0


async def test_answers_still_come_after_all_that(platform: Platform) -> None:
    platform.upstream.next(Answer("fine"))
    answer = await ask(platform)
    assert answer.json()["choices"][0]["message"]["content"] == "fine"
