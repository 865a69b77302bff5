"""One load on two servers in turn, and the figures of both side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

import psutil

from benchmarks.load import Round, run_round

CONNECTIONS = 16


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
        bare_cpu: Processor time of the bare proxy for one answer, in microseconds.
        platform_cpu: The same of the platform's server process. Other work on the machine disturbs
            these two less than all others.
    """

    name: str
    unit: str
    bare: float
    platform: float
    target: str
    ratio: float
    bare_cpu: float
    platform_cpu: float


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two servers.

    Attributes:
        port: Where it listens.
        process: The id of its process.
        requests: Makes the requests of a round, as `run_round` takes them, before its clock starts.
    """

    port: int
    process: int
    requests: Callable[[], Sequence[bytes]]


@dataclass(frozen=True, slots=True)
class Length:
    """How long to measure.

    Attributes:
        seconds: The length of a round.
        rounds: The counted rounds of each side.
    """

    seconds: float
    rounds: int


async def compare(
    name: str,
    unit: str,
    sides: tuple[Side, Side],
    figure: Callable[[Round], float],
    *,
    connections: int,
    length: Length,
    target: str,
) -> Comparison:
    """Load the bare proxy and the platform in turn and compare one figure of their rounds.

    Raises:
        RuntimeError: An answer had another status than 200.
    """
    seen: tuple[list[float], list[float]] = ([], [])
    cpu: tuple[list[float], list[float]] = ([], [])
    # In turn, so that a machine whose speed drifts slows both sides alike; the first round warms up.
    for number in range(length.rounds + 1):
        for side, found, spent in zip(sides, seen, cpu, strict=True):
            requests = side.requests()
            before = _cpu_seconds(side.process)
            result = await run_round(side.port, requests, connections=connections, seconds=length.seconds)
            if result.failures:
                raise RuntimeError(f"{result.failures} answers of port {side.port} were not 200")
            if number:
                found.append(figure(result))
                spent.append((_cpu_seconds(side.process) - before) / len(result.latencies) * 1e6)
    bare, platform = seen
    return Comparison(
        name=name,
        unit=unit,
        bare=median(bare),
        platform=median(platform),
        target=target,
        ratio=median(b / a for a, b in zip(bare, platform, strict=True)),
        bare_cpu=median(cpu[0]),
        platform_cpu=median(cpu[1]),
    )


def _cpu_seconds(process: int) -> float:
    times = psutil.Process(process).cpu_times()
    return float(times.user + times.system)


def throughput(result: Round) -> float:
    """Answers a second."""
    return result.requests_per_second


def latency(result: Round) -> float:
    """The median latency in milliseconds."""
    return result.median_seconds * 1000
