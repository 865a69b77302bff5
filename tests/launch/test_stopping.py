"""An orderly stop: the front door closes first, open streams end, then everything behind it."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import aiohttp
import pytest

from tests.doubles.openai_upstream import Gate, OpenAIUpstream, Stream
from tests.running_stack import StackHome, make_home, own_folder, stop
from tests.waiting import until

FRAMES = 6
MODEL = "scripted-model"


@pytest.fixture
async def upstream() -> AsyncIterator[OpenAIUpstream]:
    async with OpenAIUpstream(models=[MODEL]) as running:
        yield running


@pytest.fixture
def stack(upstream: OpenAIUpstream, home_template: Path, tmp_path: Path) -> Callable[..., StackHome]:
    """Makes stacks whose answers come from the scripted provider; all of them are stopped at the end."""

    def make(drain: str) -> StackHome:
        made = make_home(
            home_template,
            folder,
            JAN_PROVIDERS=json.dumps([{"name": "Scripted", "url": upstream.url, "api_key": "a key"}]),
            SHUTDOWN_TIMEOUT=drain,
        )
        homes.append(made)
        return made

    homes: list[StackHome] = []
    with own_folder() as folder:
        yield make
        for made in homes:
            stop(made)


async def begin_stream(
    stack: StackHome, client: aiohttp.ClientSession, upstream: OpenAIUpstream, gate: Gate
) -> aiohttp.ClientResponse:
    """A chat through the gateway of which the first frame has arrived."""
    upstream.always(Stream(frames=FRAMES, gate=gate))
    async with client.post(f"{stack.url('gateway')}/auth/guest-login") as answer:
        token = (await answer.json())["access_token"]
    # The platform answers with the first frame: until then it could still ask another provider.
    gate.release(1)
    response = await client.post(
        f"{stack.url('gateway')}/v1/chat/completions",
        json={"model": MODEL, "stream": True, "messages": [{"role": "user", "content": "Hi"}]},
        headers={"Authorization": f"Bearer {token}"},
    )
    assert response.status == 200, await response.text()
    assert await response.content.readline()
    return response


async def test_a_stream_under_way_ends_before_the_platform_does(
    stack, upstream: OpenAIUpstream, client: aiohttp.ClientSession
) -> None:
    running = stack("60s")
    await asyncio.to_thread(running.must, "up", "-d", "gateway")
    gate = Gate()
    response = await begin_stream(running, client, upstream, gate)
    stopping = asyncio.create_task(asyncio.to_thread(running.jan, "down"))
    await until(lambda: running.part("gateway").phase == "stopping")
    with pytest.raises(aiohttp.ClientConnectorError):
        await client.get(f"{running.url('gateway')}/healthz")
    assert running.is_ready("postgres")
    gate.open()
    rest = await response.content.read()
    assert rest.rstrip().endswith(b"data: [DONE]")
    done = await stopping
    assert done.returncode == 0
    assert done.stderr.startswith("Stopped (")
    assert running.server_pid() == 0


async def test_a_stream_that_does_not_end_is_cut_off_after_its_time(
    stack, upstream: OpenAIUpstream, client: aiohttp.ClientSession
) -> None:
    running = stack("300ms")
    await asyncio.to_thread(running.must, "up", "-d", "gateway")
    response = await begin_stream(running, client, upstream, Gate())
    done = await asyncio.to_thread(running.jan, "down")
    assert done.stderr.startswith("Stopped (")
    with pytest.raises(aiohttp.ClientError):
        await response.content.read()
    await until(lambda: upstream.live == 0)
    assert "cut off 1 open requests" in await asyncio.to_thread(running.must, "logs", "gateway")
