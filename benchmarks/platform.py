"""Starts what a benchmark compares: upstream, bare proxy and the platform, each pinned to a core."""

from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

SERVER_CORE = 0
LOAD_CORE = 1


def pin(core: int, pid: int = 0) -> None:
    """Keep a process on one core with all its threads, where the system can."""
    if not hasattr(os, "sched_setaffinity"):
        return
    threads = (int(task.name) for task in Path(f"/proc/{pid or os.getpid()}/task").iterdir())
    for thread in threads:
        with suppress(OSError):
            os.sched_setaffinity(thread, {core})


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on at this moment."""
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def wait_for_port(port: int, seconds: float = 30) -> None:
    """Return once something listens on the port.

    Raises:
        TimeoutError: Nothing did in time.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    raise TimeoutError(f"nothing listens on port {port}")


@contextmanager
def running(module: str, *arguments: object, port: int, core: int) -> Iterator[int]:
    """A module of this package as a process, until the block ends; gives its id."""
    process = subprocess.Popen([sys.executable, "-m", module, *map(str, arguments)])
    pin(core, process.pid)
    try:
        wait_for_port(port)
        yield process.pid
    finally:
        process.terminate()
        process.wait(10)


class Platform:
    """A running stack in a temporary home, with one remote provider.

    Attributes:
        gateway: The gateway's port.
        process: The id of the server process; 0 until it runs.
        token: A guest's access token, got through the gateway.
    """

    def __init__(self, home: Path, environment: Mapping[str, str], ports: Mapping[str, int]) -> None:
        self.home = home
        self.environment = environment
        self.gateway = ports["gateway"]
        self.process = 0
        self.token = ""

    def jan(self, *arguments: str) -> str:
        """Run a `jan` command in this home and return what it printed."""
        finished = subprocess.run(
            [sys.executable, "-m", "jan_cli", *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if finished.returncode:
            raise RuntimeError(f"jan {' '.join(arguments)} failed:\n{finished.stdout}\n{finished.stderr}")
        return finished.stdout

    def post(self, path: str, body: Mapping[str, Any] | None = None, *, token: str = "") -> Any:
        """POST to the gateway, as the platform's guest or with another token, and decode the answer."""
        return self._send("POST", path, json.dumps(body or {}).encode(), token)

    def get(self, path: str) -> Any:
        """GET from the gateway and decode the answer."""
        return self._send("GET", path)

    def _send(self, method: str, path: str, body: bytes | None = None, token: str = "") -> Any:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.gateway}{path}",
            data=body,
            headers={"content-type": "application/json", "authorization": f"Bearer {token or self.token}"},
            method=method,
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)


@contextmanager
def configured(settings: Mapping[str, str]) -> Iterator[Platform]:
    """A home of its own on free ports, in which nothing is configured or runs yet."""
    with tempfile.TemporaryDirectory(prefix="jan-bench-", ignore_cleanup_errors=True) as folder:
        gateway, llm_api, identity, engine = free_ports(4)
        environment = {
            **os.environ,
            "JAN_HOME": folder,
            "KONG_HTTP_PORT": str(gateway),
            "HTTP_PORT": str(llm_api),
            "KEYCLOAK_HTTP_PORT": str(identity),
            "JAN_LLAMACPP_PORT": str(engine),
            "JAN_RATE_LIMITS_ENABLED": "false",
            **settings,
        }
        platform = Platform(Path(folder), environment, {"gateway": gateway})
        try:
            yield platform
        finally:
            platform.jan("down")


@dataclass(frozen=True, slots=True)
class Servers:
    """What is compared, up and running.

    Attributes:
        bare: The port of the bare proxy.
        bare_process: The id of its process.
        platform: The whole stack.
        model: The model's id at both.
    """

    bare: int
    bare_process: int
    platform: Platform
    model: str


@contextmanager
def running_servers() -> Iterator[Servers]:
    """Upstream, bare proxy and the stack; this process, which loads them, moves to the upstream's core."""
    pin(LOAD_CORE)
    upstream, bare = free_ports(2)
    with (
        running("benchmarks.constant_upstream", upstream, port=upstream, core=LOAD_CORE),
        running("benchmarks.bare_proxy", bare, upstream, port=bare, core=SERVER_CORE) as process,
        running_platform(upstream, SERVER_CORE, LOAD_CORE) as platform,
    ):
        yield Servers(bare, process, platform, str(platform.get("/v1/models")["data"][0]["id"]))


@contextmanager
def running_platform(upstream: int, core: int, children_core: int) -> Iterator[Platform]:
    """The whole stack on free ports, its provider the constant upstream.

    The server process keeps to `core`, PostgreSQL to `children_core`.
    """
    with configured({"REMOTE_API_KEY": secrets.token_hex(16)}) as platform:
        platform.jan(
            "quickstart", "--yes", "--provider", "remote", "--remote-url", f"http://127.0.0.1:{upstream}/v1"
        )
        platform.jan("up", "-d")
        server = psutil.Process(int(json.loads(platform.jan("status", "--json"))["pid"]))
        platform.process = server.pid
        pin(core, server.pid)
        for child in server.children(recursive=True):
            pin(children_core, child.pid)
        platform.token = platform.post("/auth/guest-login")["access_token"]
        yield platform


def machine() -> Sequence[str]:
    """Facts about this machine that belong beside every figure."""
    model = ""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    return (f"{os.cpu_count()} cores, {model or 'unknown processor'}", f"Python {sys.version.split()[0]}")
