"""`jan status`: state, address, health, uptime, memory."""

import json
import os
import signal

import pytest
from typer.testing import CliRunner

from jan_cli.commands.status import size, uptime
from jan_cli.main import app
from tests.running_stack import StackHome
from tests.waiting import wait_until


def test_nothing_runs(tmp_path) -> None:
    result = CliRunner().invoke(app, ["--home", str(tmp_path), "status"])
    assert result.exit_code == 1
    assert "Start it: jan up" in result.stderr


def test_a_server_that_was_killed_is_said_to_have_died(stack_home: StackHome) -> None:
    stack_home.must("up", "-d", "postgres")
    pid = stack_home.server_pid()
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: stack_home.server_pid() == 0)
    result = stack_home.inside("status")
    assert result.exit_code == 1
    assert f"its process (pid {pid}) died" in result.stderr
    assert json.loads(stack_home.inside("status", "--json").stdout)["died"]


def test_every_part_is_asked_for_its_health(running_database: StackHome) -> None:
    status = running_database.status()
    assert status["running"]
    assert status["state"] == "ready"
    assert status["memory_bytes"] > 0
    [postgres] = status["services"]
    assert (postgres["state"], postgres["healthy"], postgres["kind"]) == ("ready", True, "child")
    assert postgres["memory_bytes"] > 0
    assert postgres["uptime_seconds"] >= 0

    table = running_database.inside("status")
    assert table.exit_code == 0
    assert "postgres" in table.stdout
    assert f"pid {running_database.server_pid()}" in table.stdout


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0, "0s"), (59.9, "59s"), (60, "1m"), (3661, "1h 1m"), (90000, "1d 1h"), (86400, "1d")],
)
def test_durations_are_for_people(seconds: float, expected: str) -> None:
    assert uptime(seconds) == expected


def test_sizes_are_for_people() -> None:
    assert (size(184_400_000), size(1_540_000_000)) == ("184 MB", "1.5 GB")
