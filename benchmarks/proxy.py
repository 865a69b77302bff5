"""Gateway → JWT check → llm-api → upstream, against a bare proxy before the same upstream."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from dataclasses import dataclass
from statistics import median

from benchmarks.constant_upstream import FRAMES
from benchmarks.load import Round, chat_request, run_round
from benchmarks.platform import LOAD_CORE, SERVER_CORE, free_ports, pin, running, running_platform

CONNECTIONS = 16

# The port of a server and the bytes to send to it.
Side = tuple[int, bytes]


@dataclass(frozen=True, slots=True)
class Comparison:
    """One figure of the platform beside the bare proxy's, medians over all rounds.

    Attributes:
        name: What was measured.
        unit: The unit of both figures.
        bare: The bare proxy.
        platform: The whole path.
        target: What the project promises, in words.
        ratio: Median of the rounds' ratios, platform over bare.
    """

    name: str
    unit: str
    bare: float
    platform: float
    target: str
    ratio: float


async def _rounds(
    sides: tuple[Side, Side], *, connections: int, seconds: float, rounds: int
) -> tuple[list[Round], list[Round]]:
    seen: tuple[list[Round], list[Round]] = ([], [])
    # In turn, so that a machine whose speed drifts slows both sides alike.
    for number in range(rounds + 1):
        for side, (port, request) in enumerate(sides):
            result = await run_round(port, request, connections=connections, seconds=seconds)
            if result.failures:
                raise RuntimeError(f"{result.failures} answers of port {port} were not 200")
            if number:
                seen[side].append(result)
    return seen


async def measure(
    bare_port: int, gateway_port: int, token: str, model: str, *, seconds: float, rounds: int
) -> list[Comparison]:
    """Run every comparison on servers that are up."""

    def sides(stream: bool) -> tuple[Side, Side]:
        return (
            (bare_port, chat_request(bare_port, model=model, stream=stream)),
            (gateway_port, chat_request(gateway_port, token=token, model=model, stream=stream)),
        )

    plain, streamed = sides(stream=False), sides(stream=True)
    figures = []

    bare, platform = await _rounds(plain, connections=CONNECTIONS, seconds=seconds, rounds=rounds)
    pairs = [(a.requests_per_second, b.requests_per_second) for a, b in zip(bare, platform, strict=True)]
    figures.append(_compare(f"throughput, {CONNECTIONS} connections", "requests/s", pairs, "ratio >= 0.30"))

    bare, platform = await _rounds(plain, connections=1, seconds=seconds, rounds=rounds)
    pairs = [(a.median_seconds * 1000, b.median_seconds * 1000) for a, b in zip(bare, platform, strict=True)]
    figures.append(_compare("median latency, 1 connection", "ms", pairs, "added <= 0.5 ms"))

    bare, platform = await _rounds(streamed, connections=CONNECTIONS, seconds=seconds, rounds=rounds)
    pairs = [(a.frames_per_second, b.frames_per_second) for a, b in zip(bare, platform, strict=True)]
    figures.append(
        _compare(f"streams of {FRAMES} frames, {CONNECTIONS} connections", "frames/s", pairs, "ratio >= 0.50")
    )
    return figures


def _compare(name: str, unit: str, pairs: list[tuple[float, float]], target: str) -> Comparison:
    return Comparison(
        name=name,
        unit=unit,
        bare=median(bare for bare, _ in pairs),
        platform=median(platform for _, platform in pairs),
        target=target,
        ratio=median(platform / bare for bare, platform in pairs),
    )


def run(*, seconds: float = 4, rounds: int = 5) -> list[Comparison]:
    """Start everything, measure, stop everything."""
    pin(LOAD_CORE)
    upstream, bare = free_ports(2)
    with (
        running("benchmarks.constant_upstream", upstream, port=upstream, core=LOAD_CORE),
        running("benchmarks.bare_proxy", bare, upstream, port=bare, core=SERVER_CORE),
        running_platform(upstream, SERVER_CORE) as platform,
    ):
        model = _first_model(platform.gateway, platform.token)
        return asyncio.run(
            measure(bare, platform.gateway, platform.token, model, seconds=seconds, rounds=rounds)
        )


def _first_model(port: int, token: str) -> str:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/v1/models", headers={"authorization": f"Bearer {token}"}
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return str(json.load(answer)["data"][0]["id"])
