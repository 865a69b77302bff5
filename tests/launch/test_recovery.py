"""What the next `jan up` recovers from: killed processes, stale files, half-finished starts, busy ports."""

import json
import os
import signal
import socket
import subprocess

import psutil

from jan_server.launch.processes import lives
from jan_server.launch.state import Phase, read_state
from tests.builtin_model import give_builtin_model
from tests.running_stack import StackHome
from tests.waiting import wait_until


def count_rows(stack: StackHome) -> int:
    [(count,)] = stack.query("select count(*) from kept")
    return int(count)


def under_way(stack: StackHome) -> bool:
    state = read_state(stack.home)
    return state is not None and any(part.phase is Phase.STARTING for part in state.parts)


def gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or not lives(psutil.Process(pid))


def test_no_committed_row_is_lost_when_everything_is_killed(stack_home: StackHome) -> None:
    stack_home.must("up", "-d", "postgres")
    stack_home.query("create table kept (n int)")
    stack_home.query("insert into kept select generate_series(1, 500)")
    server, database = stack_home.server_pid(), stack_home.part("postgres").pid

    os.kill(database, signal.SIGKILL)
    wait_until(lambda: stack_home.part("postgres").pid not in (database, 0))
    wait_until(lambda: stack_home.is_ready("postgres"))
    assert stack_home.part("postgres").restarts == 1
    assert count_rows(stack_home) == 500
    assert stack_home.server_pid() == server

    database = stack_home.part("postgres").pid
    os.kill(server, signal.SIGKILL)
    wait_until(lambda: gone(server))
    assert stack_home.jan("status").returncode == 1
    stack_home.must("up", "-d", "postgres")
    assert gone(database)
    assert count_rows(stack_home) == 500

    os.kill(stack_home.part("postgres").pid, signal.SIGKILL)
    os.kill(stack_home.server_pid(), signal.SIGKILL)
    stack_home.must("up", "-d", "postgres")
    assert count_rows(stack_home) == 500


def test_a_half_finished_start_is_begun_anew(stack_home: StackHome) -> None:
    starting = stack_home.popen("up", "postgres", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_until(lambda: under_way(stack_home))
    starting.kill()
    starting.wait()
    stack_home.must("up", "-d", "postgres")
    assert stack_home.is_ready("postgres")


def test_a_start_that_is_interrupted_leaves_nothing_running(stack_home: StackHome) -> None:
    starting = stack_home.popen("up", "postgres", stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    wait_until(lambda: under_way(stack_home))
    starting.send_signal(signal.SIGINT)
    _, said = starting.communicate(timeout=30)
    assert starting.returncode == 0
    assert "Traceback" not in said
    assert json.loads((stack_home.home / "run/children.json").read_text()) == []


def test_a_busy_port_is_named_and_nothing_is_started(stack_home: StackHome) -> None:
    give_builtin_model(stack_home.home)
    port = stack_home.ports["inference"]
    with socket.create_server(("127.0.0.1", port)):
        for detach in ([], ["-d"]):
            done = stack_home.jan("up", *detach, "postgres", "inference")
            assert done.returncode == 1
            assert f"Port {port} of inference (inference.llamacpp.port): held by" in done.stderr
            assert f"(pid {os.getpid()})" in done.stderr
            assert stack_home.server_pid() == 0
    assert not (stack_home.home / "data/postgres/postmaster.pid").exists()


def test_the_engine_comes_and_goes_without_the_server(stack_home: StackHome) -> None:
    stack_home.environment["PIP_NO_INDEX"] = "1"
    up = stack_home.jan("up", "-d", "inference")
    assert up.returncode == 0
    assert "Warning" in up.stderr
    server = stack_home.server_pid()
    missing = stack_home.part("inference")
    assert missing.phase is Phase.STOPPED
    assert "jan models pull" in missing.detail
    assert stack_home.jan("status").returncode == 0

    give_builtin_model(stack_home.home)
    wait_until(lambda: stack_home.is_ready("inference"))
    engine = stack_home.part("inference").pid
    os.kill(engine, signal.SIGKILL)
    wait_until(lambda: stack_home.part("inference").pid not in (engine, 0))
    wait_until(lambda: stack_home.is_ready("inference"))
    assert stack_home.server_pid() == server

    engine = stack_home.part("inference").pid
    os.kill(server, signal.SIGKILL)
    wait_until(lambda: gone(engine))


def test_stale_run_files_are_no_hindrance(stack_home: StackHome) -> None:
    run = stack_home.home / "run"
    (run / "state.json").write_text('{"pid": 1, "parts": [], "profiles": []}')
    (run / "server.lock").write_text("1")
    (run / "children.json").write_text("{")
    assert "not running" in stack_home.jan("status").stderr
    stack_home.must("up", "-d", "postgres")
