"""Clients that go away in the middle of a stream leave nothing behind."""

from __future__ import annotations

import asyncio

import httpx
import psutil

from tests.doubles.openai_upstream import Gate, Stream
from tests.end_to_end.conftest import Platform

CLIENTS = 200


async def vanish(platform: Platform, token: str, model: str) -> None:
    """Start a stream, read its first bytes, and close the connection."""
    async with (
        httpx.AsyncClient(timeout=30) as client,
        client.stream(
            "POST",
            f"{platform.gateway}/v1/chat/completions",
            headers={"Authorization": f"Bearer {token}"},
            json={"model": model, "stream": True, "messages": [{"role": "user", "content": "Talk."}]},
        ) as answer,
    ):
        assert answer.status_code == 200
        async for _ in answer.aiter_raw():
            break


async def test_two_hundred_vanished_clients_leave_no_upstream_call_and_no_memory(
    platform: Platform, guest_token: str, scripted_model: str
):
    upstream = platform.upstream
    server = psutil.Process(platform.stack.server_pid())

    async def round_of_clients() -> int:
        gate = Gate()
        upstream.reset()
        upstream.always(Stream(frames=1000, gate=gate))
        waiting = [asyncio.create_task(vanish(platform, guest_token, scripted_model)) for _ in range(CLIENTS)]
        await upstream.wait_until(lambda: upstream.live == CLIENTS, seconds=60)
        gate.release(CLIENTS)
        await asyncio.gather(*waiting)
        await upstream.wait_until(lambda: upstream.live == 0, seconds=60)
        return int(server.memory_info().rss)

    # The first round fills pools and caches; after it, another round must not cost more memory.
    await round_of_clients()
    before = await round_of_clients()
    after = await round_of_clients()
    assert upstream.live == 0
    assert after - before < 10_000_000
