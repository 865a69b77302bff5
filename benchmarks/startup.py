"""How long a person waits: `jan --help`, a second `jan up -d` with the engine, and what idling costs."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

from benchmarks.platform import Platform, configured


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure beside what the project promises.

    Attributes:
        name: What was measured.
        value: The median, with its unit.
        target: The promise, in words.
    """

    name: str
    value: str
    target: str


def _seconds(run: Callable[[], object]) -> float:
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def run(*, rounds: int = 5) -> list[Figure]:
    """Measure on a home of its own with the built-in engine, and stop everything."""
    with configured({}) as platform:
        platform.jan("quickstart", "--yes")
        help_seconds = median(_seconds(lambda: platform.jan("--help")) for _ in range(rounds * 2))
        platform.jan("models", "pull")
        first = _seconds(lambda: platform.jan("up", "-d"))
        platform.jan("down")
        starts = []
        for _ in range(rounds):
            starts.append(_seconds(lambda: platform.jan("up", "-d")))
            memory = _idle_memory(platform)
            platform.jan("down")
    return [
        Figure("jan --help", f"{help_seconds:.2f} s", "<= 0.3 s"),
        Figure("jan up -d, first start, model on disk", f"{first:.1f} s", ""),
        Figure("jan up -d, later start, with the engine", f"{median(starts):.1f} s", "<= 6 s"),
        Figure("server process idle, engine apart", f"{memory / 1e6:.0f} MB", "<= 300 MB"),
    ]


def _idle_memory(platform: Platform) -> int:
    """The resident memory of the server process, in bytes, after one chat through the whole path."""
    platform.token = platform.post("/auth/guest-login")["access_token"]
    question = [{"role": "user", "content": "Hello!"}]
    body = {"model": "smollm2-135m-instruct", "messages": question, "max_tokens": 8}
    platform.post("/v1/chat/completions", body)
    pid = json.loads(platform.jan("status", "--json"))["pid"]
    resident = subprocess.run(
        ["ps", "-o", "rss=", "-p", str(pid)], capture_output=True, text=True, check=True
    )
    return int(resident.stdout) * 1024
