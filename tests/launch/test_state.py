"""The state file and the lock that tells whether it is true."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from jan_server.launch.state import (
    STATE_FILE,
    AlreadyRunningError,
    PartState,
    Phase,
    StackState,
    StateBoard,
    read_state,
    running_pid,
    running_state,
    server_lock,
)

HOLDER = """
import sys
from pathlib import Path
from jan_server.launch.state import STATE_FILE, PartState, StateBoard, server_lock
home = Path(sys.argv[1])
with server_lock(home):
    StateBoard(home / STATE_FILE, (PartState("postgres", "child"),))
    print("locked", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def other_server(tmp_path: Path):
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"locked\n"
        yield process
        process.kill()


def test_only_one_server_has_a_home(tmp_path: Path, other_server: subprocess.Popen[bytes]) -> None:
    assert running_pid(tmp_path) == other_server.pid
    state = running_state(tmp_path)
    assert state is not None
    assert state.pid == other_server.pid
    with pytest.raises(AlreadyRunningError) as caught, server_lock(tmp_path):
        pass
    assert caught.value.pid == other_server.pid


def test_a_killed_server_leaves_a_file_that_nobody_believes(
    tmp_path: Path, other_server: subprocess.Popen[bytes]
) -> None:
    os.kill(other_server.pid, signal.SIGKILL)
    other_server.wait()
    assert read_state(tmp_path) is not None
    assert running_pid(tmp_path) is None
    assert running_state(tmp_path) is None
    with server_lock(tmp_path):
        assert running_pid(tmp_path) == os.getpid()


def test_a_command_that_only_holds_the_lock_is_no_running_server(tmp_path: Path) -> None:
    StateBoard(tmp_path / STATE_FILE, ())
    stored = read_state(tmp_path)
    assert stored is not None
    (tmp_path / STATE_FILE).write_text((tmp_path / STATE_FILE).read_text().replace(str(stored.pid), "1"))
    with server_lock(tmp_path):
        assert running_state(tmp_path) is None


def test_asking_who_runs_never_keeps_a_server_from_starting(tmp_path: Path) -> None:
    with server_lock(tmp_path):
        pass
    assert running_pid(tmp_path) is None
    with server_lock(tmp_path):
        pass


@pytest.mark.parametrize("content", ["", "{", "[]", '{"pid": 1}', "null", '{"parts": [{"phase": "odd"}]}'])
def test_a_damaged_state_file_is_as_good_as_none(tmp_path: Path, content: str) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / STATE_FILE).write_text(content)
    assert read_state(tmp_path) is None


def test_what_is_written_is_what_is_read(tmp_path: Path) -> None:
    board = StateBoard(
        tmp_path / STATE_FILE,
        (PartState("postgres", "child"), PartState("gateway", "service", address="http://127.0.0.1:1")),
        profiles=("local",),
    )
    board.set_part("postgres", Phase.STARTING)
    board.set_part("postgres", Phase.READY, pid=42)
    board.set_stack(Phase.FAILED, "why")
    assert read_state(tmp_path) == board.state
    assert board.state.detail == "why"


def test_a_part_keeps_when_it_became_ready_and_forgets_why_it_failed() -> None:
    seen: list[StackState] = []
    board = StateBoard(None, (PartState("engine", "child"),), watch=seen.append)
    board.set_part("engine", Phase.STARTING)
    board.set_part("engine", Phase.FAILED, detail="no memory")
    assert board.state.parts[0].detail == "no memory"
    board.set_part("engine", Phase.STARTING)
    assert board.state.parts[0].detail == ""
    board.set_part("engine", Phase.READY)
    assert board.state.parts[0].since > 0
    assert [state.parts[0].phase for state in seen] == ["waiting", "starting", "failed", "starting", "ready"]
