"""An orderly stop: the front door closes first, open streams end, then everything behind it."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest

from jan_server.launch.state import Phase
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
def stack(upstream: OpenAIUpstream, home_template: Path) -> Iterator[StackHome]:
    """A configured home whose answers come from the scripted provider."""
    provider = {"name": "Scripted", "url": upstream.url, "api_key": "a key"}
    with own_folder() as folder:
        made = make_home(home_template, folder, JAN_PROVIDERS=json.dumps([provider]), SHUTDOWN_TIMEOUT="60s")
        yield made
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
    stack: StackHome, upstream: OpenAIUpstream, client: aiohttp.ClientSession
) -> None:
    await asyncio.to_thread(stack.must, "up", "-d", "gateway")
    gate = Gate()
    response = await begin_stream(stack, client, upstream, gate)
    stopping = asyncio.create_task(asyncio.to_thread(stack.jan, "down"))
    await until(lambda: stack.part("gateway").phase is Phase.STOPPING)
    with pytest.raises(aiohttp.ClientConnectorError):
        await client.get(f"{stack.url('gateway')}/healthz")
    assert stack.is_ready("llm-api")
    assert stack.is_ready("postgres")
    gate.open()
    rest = await response.content.read()
    assert rest.rstrip().endswith(b"data: [DONE]")
    done = await stopping
    assert done.returncode == 0
    assert done.stderr.startswith("Stopped (")
    assert stack.server_pid() == 0
