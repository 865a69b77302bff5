"""A whole stack of its own for tests: a home in a temporary folder, free ports, the real `jan` command."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from jan_server.launch.state import running_pid
from jan_server.settings.keys import all_keys, all_variables
from jan_server.stack.catalogue import PARTS

COMMAND_SECONDS = 120


@dataclass(frozen=True)
class StackHome:
    """One home folder and the way to command it.

    Attributes:
        home: The folder.
        ports: The port of every part that has one, by its name.
        environment: Variables besides those of the test process.
    """

    home: Path
    ports: Mapping[str, int]
    environment: dict[str, str] = field(default_factory=dict)

    def url(self, name: str) -> str:
        """Where a service listens."""
        return f"http://127.0.0.1:{self.ports[name]}"

    @property
    def variables(self) -> dict[str, str]:
        """The environment of every command; settings of the test process do not leak into it."""
        inherited = {
            name: value
            for name, value in os.environ.items()
            if name not in all_variables() and not name.startswith(("JAN_", "COVERAGE_"))
        }
        own = {
            all_keys()[part.port_setting].variables[-1]: str(self.ports[part.name])
            for part in PARTS
            if part.port_setting is not None
        }
        return {**inherited, **own, "JAN__SERVER__PUBLIC_HOST": "127.0.0.1", **self.environment}

    def popen(self, *arguments: str, **options: Any) -> subprocess.Popen[str]:
        """Begin a `jan` command."""
        command = [sys.executable, "-m", "jan_cli", "--home", str(self.home), *arguments]
        return subprocess.Popen(command, env=self.variables, text=True, **options)

    def jan(self, *arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
        """Run a `jan` command to its end."""
        command = [sys.executable, "-m", "jan_cli", "--home", str(self.home), *arguments]
        return subprocess.run(
            command,
            env=self.variables,
            input=given,
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
            check=False,
        )

    def must(self, *arguments: str) -> str:
        """Run a `jan` command that must succeed, and give what it printed."""
        done = self.jan(*arguments)
        assert done.returncode == 0, f"jan {' '.join(arguments)}:\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def status(self) -> dict[str, Any]:
        """What `jan status --json` says."""
        found: dict[str, Any] = json.loads(self.jan("status", "--json").stdout)
        return found

    def part(self, name: str) -> dict[str, Any]:
        """What `jan status --json` says about one part."""
        return next(part for part in self.status()["services"] if part["name"] == name)

    def server_pid(self) -> int:
        """The process of the running server, or 0."""
        return running_pid(self.home) or 0

    def logs(self) -> str:
        """Everything that was logged, for a failing test's message."""
        return self.jan("logs", "-n", "1000").stdout


def make_home(folder: Path, **environment: str) -> StackHome:
    """Configure a home with free ports, as `jan quickstart --yes` does it."""
    made = StackHome(folder / "home", free_ports(), dict(environment))
    made.must("quickstart", "--yes")
    return made


def free_ports() -> dict[str, int]:
    """A free port for every part that has one; all of them are found at once, so none is given twice."""
    names = [part.name for part in PARTS if part.port_setting is not None]
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in names]
        for held_socket in sockets:
            held_socket.bind(("127.0.0.1", 0))
        return {name: found.getsockname()[1] for name, found in zip(names, sockets, strict=True)}


def stop(stack: StackHome) -> None:
    """End whatever runs in a home, in order if it can be."""
    stack.jan("down", "--timeout", "15")


@pytest.fixture
def stack_home(tmp_path: Path) -> Iterator[StackHome]:
    """A configured home in which nothing runs yet; what a test starts there is stopped."""
    made = make_home(tmp_path)
    yield made
    stop(made)


@pytest.fixture(scope="module")
def running_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StackHome]:
    """A running gateway with everything it needs, without an engine."""
    made = make_home(tmp_path_factory.mktemp("stack"))
    done = made.jan("up", "-d", "gateway")
    if done.returncode != 0:
        pytest.fail(f"jan up -d: {done.stderr}\n{made.logs()}")
    yield made
    stop(made)
