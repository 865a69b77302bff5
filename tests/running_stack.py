"""A whole stack of its own for tests: a home in a temporary folder, free ports, the real `jan` command."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest
from typer.testing import CliRunner, Result

from jan_cli.main import app
from jan_server.launch.database import DATA_FOLDER
from jan_server.launch.postgres import EmbeddedPostgres
from jan_server.launch.state import PartState, Phase, running_pid, running_state
from jan_server.settings.keys import all_keys, all_variables
from jan_server.settings.loading import load_settings
from jan_server.settings.tree import Settings
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
            if part.port_setting is not None and part.name in self.ports
        }
        return {**inherited, **own, "JAN__SERVER__PUBLIC_HOST": "127.0.0.1", **self.environment}

    def popen(self, *arguments: str, **options: Any) -> subprocess.Popen[str]:
        """Begin a `jan` command."""
        command = [sys.executable, "-m", "jan_cli", "--home", str(self.home), *arguments]
        return subprocess.Popen(command, env=self.variables, text=True, **options)

    def jan(
        self, *arguments: str, given: str = "", seconds: float = COMMAND_SECONDS
    ) -> subprocess.CompletedProcess[str]:
        """Run a `jan` command to its end."""
        command = [sys.executable, "-m", "jan_cli", "--home", str(self.home), *arguments]
        return subprocess.run(
            command,
            env=self.variables,
            input=given,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )

    def inside(self, *arguments: str) -> Result:
        """Run a `jan` command in this process: quicker, for commands that start and change nothing."""
        given = {name: value for name, value in self.variables.items() if os.environ.get(name) != value}
        without = {name: None for name in os.environ if name not in self.variables}
        command = ["--home", str(self.home), *arguments]
        return CliRunner().invoke(app, command, env={**without, **given})

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        """Ask the running database of this home."""
        url = EmbeddedPostgres(self.home / DATA_FOLDER, user="jan_user", database="jan_llm_api").url()
        with psycopg.connect(url, autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def settings(self) -> Settings:
        """The settings that its commands see."""
        return load_settings(self.home, environ=self.variables).settings

    def must(self, *arguments: str, seconds: float = COMMAND_SECONDS) -> str:
        """Run a `jan` command that must succeed, and give what it printed."""
        done = self.jan(*arguments, seconds=seconds)
        assert done.returncode == 0, f"jan {' '.join(arguments)}:\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def status(self) -> dict[str, Any]:
        """What `jan status --json` says."""
        found: dict[str, Any] = json.loads(self.jan("status", "--json").stdout)
        return found

    def part(self, name: str) -> PartState:
        """What the running server last wrote about one part."""
        state = running_state(self.home)
        found = state.part(name) if state is not None else None
        assert found is not None, f"{name} does not run"
        return found

    def is_ready(self, name: str) -> bool:
        """Whether a server runs and one part of it is ready."""
        state = running_state(self.home)
        found = state.part(name) if state is not None else None
        return found is not None and found.phase is Phase.READY

    def server_pid(self) -> int:
        """The process of the running server, or 0."""
        return running_pid(self.home) or 0

    def logs(self) -> str:
        """Everything that was logged, for a failing test's message."""
        return self.jan("logs", "-n", "1000").stdout


def make_home(template: Path, folder: Path, **environment: str) -> StackHome:
    """Make a home with ports of its own.

    Args:
        template: A configured home to copy (the fixture `home_template`).
        folder: Where the home will be made.
        environment: Variables of its commands.
    """
    made = StackHome(folder / "home", free_ports(), dict(environment))
    copy_folder(template, made.home)
    return made


def copy_folder(source: Path, target: Path) -> None:
    """Copy a folder with its owners: as root, data belong to the user who runs the database."""
    target.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["cp", "-a", str(source), str(target)], check=True)


@contextmanager
def own_folder() -> Iterator[Path]:
    """A folder outside pytest's own, which another run of pytest closes to the user of the database."""
    with tempfile.TemporaryDirectory(prefix="jan-test-") as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
def home_template() -> Iterator[Path]:
    """A home as `jan quickstart --yes` makes it, with a fresh database: copying it saves time."""
    with own_folder() as folder:
        template = StackHome(folder, free_ports())
        template.must("quickstart", "--yes")
        EmbeddedPostgres(template.home / DATA_FOLDER, user="jan_user", database="jan_llm_api").prepare()
        yield template.home


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
    if stack.server_pid():
        stack.jan("down", "--timeout", "15")


@pytest.fixture
def stack_home(home_template: Path) -> Iterator[StackHome]:
    """A configured home in which nothing runs yet; what a test starts there is stopped."""
    with own_folder() as folder:
        made = make_home(home_template, folder)
        yield made
        stop(made)


@pytest.fixture(scope="session")
def running_database(home_template: Path) -> Iterator[StackHome]:
    """A running platform that is nothing but an empty database; tests leave it running."""
    with own_folder() as folder:
        made = make_home(home_template, folder)
        made.must("up", "-d", "postgres")
        yield made
        stop(made)


@pytest.fixture(scope="module")
def running_stack(home_template: Path) -> Iterator[StackHome]:
    """A running gateway with everything it needs, without an engine."""
    with own_folder() as folder:
        made = make_home(home_template, folder)
        done = made.jan("up", "-d", "gateway")
        if done.returncode != 0:
            pytest.fail(f"jan up -d: {done.stderr}\n{made.logs()}")
        yield made
        stop(made)
