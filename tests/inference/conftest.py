"""The real engine with the real model, shared by the tests that talk to it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from jan_server.http.client import open_client
from jan_server.inference import builtin_model
from jan_server.inference.client import UpstreamClient
from tests.builtin_model import builtin_model_store

MODEL_ID = builtin_model.NAME
Popen = subprocess.Popen[str]


@dataclass(frozen=True)
class RunningEngine:
    """An engine process that serves."""

    process: Popen
    origin: str

    @property
    def url(self) -> str:
        return f"{self.origin}/v1"


def engine_arguments(model: Path) -> list[str]:
    """The command line of an engine on a free port."""
    module = "jan_server.inference.engines.llamacpp_server"
    return [
        *(sys.executable, "-m", module, "--model", str(model), "--alias", MODEL_ID),
        *("--port", "0", "--context-size", "4096", "--slots", "2", "--tied"),
    ]


def origin_said_by(process: Popen) -> str:
    """Where the engine serves, as the process itself says once it does."""
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("serves "):
            return line.split(" at ")[1].strip()
    raise AssertionError(f"the engine ended with code {process.wait()} before it served")


@pytest.fixture(scope="session")
def model_file() -> Path:
    return builtin_model_store().path(builtin_model.MODEL)


@pytest.fixture
def start_engine(model_file: Path) -> Iterator[Callable[..., RunningEngine]]:
    """Starts engines that end with the test."""
    started: list[Popen] = []

    def start(**environment: str) -> RunningEngine:
        process = subprocess.Popen(
            engine_arguments(model_file),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **environment},
        )
        started.append(process)
        return RunningEngine(process, origin_said_by(process))

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture(scope="session")
def engine(model_file: Path) -> Iterator[RunningEngine]:
    """One engine for all tests that only talk to it."""
    process = subprocess.Popen(
        engine_arguments(model_file), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        yield RunningEngine(process, origin_said_by(process))
    finally:
        process.kill()
        process.communicate()


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with open_client() as opened:
        yield opened


@pytest.fixture
async def client(session: aiohttp.ClientSession) -> UpstreamClient:
    return UpstreamClient(session)
