"""The built-in engine with its real model: what callers get, and that nothing of it is ever left behind."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import psutil
import pytest

from jan_server.inference.client import UpstreamClient
from jan_server.inference.engines.llamacpp import LlamaCpp
from jan_server.inference.engines.llamacpp_status import engine_status
from jan_server.inference.model_store import ModelMissingError, ModelStore
from jan_server.inference.provider import Endpoint, Provider
from jan_server.inference.readiness import probe
from jan_server.inference.upstream_errors import UpstreamError
from jan_server.settings.tree import Settings
from jan_server.settings.tree.inference import Inference
from jan_server.settings.tree.inference import LlamaCpp as LlamaCppSettings
from tests.inference.conftest import MODEL_ID, RunningEngine, engine_arguments
from tests.waiting import wait_until

CHAT = "/chat/completions"


def provider(engine: RunningEngine, key: str = "") -> Provider:
    return Provider("prov_engine", "The engine", (Endpoint(engine.url, api_key=key),), kind="jan")


def body(text: str = "What is the capital of France?", **members: Any) -> bytes:
    request = {"model": MODEL_ID, "messages": [{"role": "user", "content": text}], "max_tokens": 24}
    return orjson.dumps({**request, **members})


def endless(**members: Any) -> bytes:
    return body("Tell me a story.", max_tokens=1500, ignore_eos=True, **members)


async def busy_slots(session: aiohttp.ClientSession, engine: RunningEngine) -> int:
    async with session.get(f"{engine.origin}/slots") as response:
        return sum(slot["is_processing"] for slot in await response.json())


async def slots_become(session: aiohttp.ClientSession, engine: RunningEngine, busy: int) -> None:
    deadline = time.monotonic() + 20
    while (now := await busy_slots(session, engine)) != busy:
        assert time.monotonic() < deadline, f"{now} slots are busy, not {busy}"
        await asyncio.sleep(0.02)


async def test_it_chats_under_a_clean_model_id(client: UpstreamClient, engine: RunningEngine) -> None:
    health = await probe(client, provider(engine))
    assert (health.ok, health.endpoints[0].models) == (True, (MODEL_ID,))
    completion = orjson.loads((await client.complete(provider(engine), CHAT, body())).body)
    assert (completion["object"], completion["model"]) == ("chat.completion", MODEL_ID)
    choice = completion["choices"][0]
    assert choice["message"]["role"] == "assistant"
    assert choice["message"]["content"].strip()
    usage = completion["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"] > 20


async def test_calls_that_follow_at_once_need_no_second_try(
    client: UpstreamClient, engine: RunningEngine, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(3):
        await client.complete(provider(engine), CHAT, body(max_tokens=2))
    assert not [record for record in caplog.records if record.name == "jan.inference.client"]


async def test_the_same_seed_gives_the_same_answer_whole_and_streamed(
    client: UpstreamClient, engine: RunningEngine
) -> None:
    asked = {"seed": 7, "temperature": 0, "cache_prompt": False}
    whole = orjson.loads((await client.complete(provider(engine), CHAT, body(**asked))).body)
    request = body(**asked, stream=True, stream_options={"include_usage": True})
    stream = await client.stream(provider(engine), CHAT, request)
    async with stream:
        text = b"".join([chunk async for chunk in stream]).decode()
    frames = [orjson.loads(line[6:]) for line in text.splitlines() if line.startswith("data: {")]
    pieces = [frame["choices"][0]["delta"].get("content") for frame in frames if frame["choices"]]
    assert "".join(filter(None, pieces)) == whole["choices"][0]["message"]["content"]
    assert frames[-1]["usage"]["completion_tokens"] == whole["usage"]["completion_tokens"]
    assert text.rstrip().endswith("data: [DONE]")


async def test_an_answer_keeps_to_a_json_schema(client: UpstreamClient, engine: RunningEngine) -> None:
    schema = {
        "type": "object",
        "properties": {"city": {"type": "string", "maxLength": 20}, "big": {"type": "boolean"}},
        "required": ["city", "big"],
        "additionalProperties": False,
    }
    wanted = {"type": "json_schema", "json_schema": {"name": "city", "strict": True, "schema": schema}}
    answer = await client.complete(
        provider(engine), CHAT, body("Name a city.", response_format=wanted, max_tokens=60)
    )
    value = orjson.loads(orjson.loads(answer.body)["choices"][0]["message"]["content"])
    assert set(value) == {"city", "big"}
    assert isinstance(value["big"], bool)


async def test_too_long_a_request_has_openais_error(client: UpstreamClient, engine: RunningEngine) -> None:
    for ask in (client.complete, client.stream):
        with pytest.raises(UpstreamError) as caught:
            await ask(provider(engine), CHAT, body("word " * 3000))
        assert (caught.value.status, caught.value.code) == (400, "context_length_exceeded")
        assert "context" in caught.value.message


async def test_a_bad_request_is_refused_in_the_engines_words(
    client: UpstreamClient, engine: RunningEngine
) -> None:
    with pytest.raises(UpstreamError) as caught:
        await client.complete(provider(engine), CHAT, b'{"messages":"none"}')
    assert caught.value.status == 400
    assert "messages" in caught.value.message


async def test_an_image_is_a_bad_request_to_a_model_that_sees_none(
    client: UpstreamClient, engine: RunningEngine
) -> None:
    # One pixel.
    pixel = "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"
    parts = [{"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": {"url": pixel}}]
    request = orjson.dumps({"messages": [{"role": "user", "content": parts}], "max_tokens": 4})
    for ask in (client.complete, client.stream):
        with pytest.raises(UpstreamError) as caught:
            await ask(provider(engine), CHAT, request)
        assert (caught.value.status, caught.value.code) == (400, "unsupported_content")
        assert "image input is not supported" in caught.value.message


async def test_slots_answer_side_by_side_and_the_rest_waits(
    client: UpstreamClient, session: aiohttp.ClientSession, engine: RunningEngine
) -> None:
    tasks = [
        asyncio.create_task(client.complete(provider(engine), CHAT, body(max_tokens=30, ignore_eos=True)))
        for _ in range(4)
    ]
    await slots_become(session, engine, 2)
    answers = await asyncio.gather(*tasks)
    assert [answer.status for answer in answers] == [200] * 4


@pytest.mark.parametrize("streamed", [True, False])
async def test_callers_who_leave_free_their_slots(
    client: UpstreamClient, session: aiohttp.ClientSession, engine: RunningEngine, streamed: bool
) -> None:
    await probe(client, provider(engine))

    async def ask() -> None:
        if streamed:
            async with await client.stream(provider(engine), CHAT, endless(stream=True)) as stream:
                async for _ in stream:
                    continue
        else:
            await client.complete(provider(engine), CHAT, endless())

    tasks = [asyncio.create_task(ask()) for _ in range(6)]
    await slots_become(session, engine, 2)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert client.open_calls == 0
    await slots_become(session, engine, 0)


async def test_web_pages_of_others_may_not_call_it(
    session: aiohttp.ClientSession, engine: RunningEngine
) -> None:
    async with session.get(f"{engine.url}/models", headers={"Origin": "http://evil.example"}) as response:
        assert response.headers.get("Access-Control-Allow-Origin") != "http://evil.example"
        assert response.headers.get("Access-Control-Allow-Origin") != "*"


async def test_it_offers_metrics(session: aiohttp.ClientSession, engine: RunningEngine) -> None:
    async with session.get(f"{engine.origin}/metrics") as response:
        assert "llamacpp:prompt_tokens_total" in await response.text()


async def test_its_status_can_be_asked(engine: RunningEngine) -> None:
    status = await asyncio.to_thread(engine_status, engine.origin)
    assert (status.ready, status.model, status.slots, status.context_length) == (True, MODEL_ID, 2, 2048)
    status = await asyncio.to_thread(engine_status, "http://127.0.0.1:9")
    assert (status.ready, status.detail) == (False, "nothing listens there")


async def test_it_asks_for_its_key_and_ends_in_order_on_sigterm(
    client: UpstreamClient, start_engine: Callable[..., RunningEngine]
) -> None:
    engine = await asyncio.to_thread(start_engine, JAN_ENGINE_API_KEY="scripted-engine-key")
    with pytest.raises(UpstreamError, match="refused this server's credentials"):
        await client.complete(provider(engine), CHAT, body())
    asked = provider(engine, "scripted-engine-key")
    stream = await client.stream(asked, CHAT, endless(stream=True))
    engine.process.send_signal(signal.SIGTERM)
    async with stream:
        with suppress(UpstreamError):
            async for _ in stream:
                continue
    assert await asyncio.to_thread(engine.process.wait, 10) == 0


def test_it_ends_when_whoever_started_it_is_killed(model_file: Path, tmp_path: Path) -> None:
    note = tmp_path / "pid"
    script = (
        "import subprocess, sys\n"
        "child = subprocess.Popen(sys.argv[2:], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)\n"
        "child.stdout.readline()\n"
        "open(sys.argv[1] + '.part', 'w').write(str(child.pid))\n"
        "import os; os.rename(sys.argv[1] + '.part', sys.argv[1])\n"
        "child.wait()\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", script, str(note), *engine_arguments(model_file)])
    try:
        wait_until(note.exists)
        child = psutil.Process(int(note.read_text()))
        assert child.is_running()
    finally:
        parent.kill()
        parent.wait()
    wait_until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)


def test_a_bad_model_file_is_one_line(tmp_path: Path) -> None:
    bad = tmp_path / "bad.gguf"
    bad.write_bytes(b"not a model")
    ended = subprocess.run(engine_arguments(bad), capture_output=True, text=True, input="", check=False)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == f"error: {bad} is not a GGUF file\n"


def test_the_process_follows_the_settings(tmp_path: Path, model_file: Path) -> None:
    own = LlamaCppSettings(model=str(model_file), port=18101, slots=3, api_key="scripted-engine-key")
    settings = Inference(llamacpp=own)
    process = LlamaCpp().process(settings, ModelStore(tmp_path))
    assert (process.address, process.health_path) == ("http://127.0.0.1:18101", "/health")
    at = process.arguments.index("--slots")
    assert process.arguments[at + 1] == "3"
    assert process.environment == {"JAN_ENGINE_API_KEY": "scripted-engine-key"}
    assert "scripted-engine-key" not in " ".join(process.arguments)
    assert "scripted-engine-key" not in repr(process)


def test_without_its_model_it_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(ModelMissingError) as caught:
        LlamaCpp().process(Settings().inference, ModelStore(tmp_path))
    assert "jan models pull" in caught.value.remedy


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("0.01.946.171 W srv      stop: cancel task", ("warning", "srv stop: cancel task")),
        ("0.00.000.354 E llama_model_load: failed", ("error", "llama_model_load: failed")),
        ("error: no model", ("error", "no model")),
        ("serves x at y", ("info", "serves x at y")),
    ],
)  # fmt: skip
def test_its_lines_have_levels(line: str, expected: tuple[str, str]) -> None:
    assert LlamaCpp().read_line(line) == expected
