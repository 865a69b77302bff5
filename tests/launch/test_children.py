"""Supervised children: started again when they die, ended in order, never left behind."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from jan_server.launch.children import ChildFailedError, ChildNotes, Program, SupervisedChild
from jan_server.launch.health import Health
from jan_server.launch.processes import lives
from jan_server.launch.state import Phase
from jan_server.telemetry.log_files import tail
from jan_server.telemetry.logs import LogSink
from tests.waiting import until, wait_until

SLEEPER = "import time\nprint('here', flush=True)\ntime.sleep(600)"
STUBBORN = (
    "import signal, time\n"
    "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    "print('here', flush=True)\n"
    "time.sleep(600)"
)


class Reports(list[tuple[Phase, str, int, int]]):
    """What a child reported, in order."""

    def __call__(self, phase: Phase, detail: str, pid: int, restarts: int) -> None:
        self.append((phase, detail, pid, restarts))

    @property
    def phases(self) -> list[Phase]:
        return [phase for phase, *_ in self]

    def ready_pids(self) -> list[int]:
        return [pid for phase, _, pid, _ in self if phase is Phase.READY]


@pytest.fixture
def make(tmp_path: Path, sink: LogSink) -> Callable[..., tuple[SupervisedChild, Reports]]:
    """Makes a child that runs Python code and is ready once it has printed "here"."""

    def made(code: str, **changes: object) -> tuple[SupervisedChild, Reports]:
        reports = Reports()

        async def ready() -> Health:
            return Health("here" in child.lines, "not here yet", 0.0)

        program = Program(
            **{"name": "child", "arguments": (sys.executable, "-c", code), "ready": ready, **changes}
        )
        child = SupervisedChild(program, ChildNotes(tmp_path), sink, reports)
        return child, reports

    return made


async def test_a_child_that_is_killed_comes_back(make) -> None:
    child, reports = make(SLEEPER)
    await child.start()
    first = reports.ready_pids()[0]
    os.kill(first, signal.SIGKILL)
    await until(lambda: len(reports.ready_pids()) == 2)
    assert any("was ended by SIGKILL; next try in" in detail for _, detail, _, _ in reports)
    assert reports[-1][3] == 1
    await child.stop()
    assert reports.phases[-1] is Phase.STOPPED
    assert not psutil.pid_exists(reports.ready_pids()[1])


async def test_pauses_between_tries_grow(make) -> None:
    child, reports = make("raise SystemExit('broken model')")
    with pytest.raises(ChildFailedError) as caught:
        await child.start()
    assert caught.value.lines == ["broken model"]
    assert "exit code 1: broken model" in str(caught.value)
    await until(lambda: reports.phases.count(Phase.FAILED) == 2)
    tries = [detail.rpartition("next try in ")[2] for phase, detail, *_ in reports if phase is Phase.FAILED]
    assert tries == ["0.5 s", "1 s"]
    await child.stop()


async def test_a_program_that_does_not_exist_is_named(make) -> None:
    child, _ = make("", arguments=("/nowhere/engine",))
    with pytest.raises(ChildFailedError, match="/nowhere/engine: No such file or directory"):
        await child.start()
    await child.stop()


async def test_a_child_that_never_becomes_ready_fails(make) -> None:
    async def never() -> Health:
        return Health(False, "loading", 0.0)

    child, _ = make(SLEEPER, ready=never, ready_seconds=0.2)
    with pytest.raises(ChildFailedError, match=r"was not ready within 0.2 s: loading"):
        await child.start()
    await child.stop()


async def test_what_is_put_in_order_before_a_start_may_refuse_it(make) -> None:
    async def refuse() -> None:
        raise RuntimeError("the folder is not ours")

    child, _ = make(SLEEPER, before_start=refuse)
    with pytest.raises(ChildFailedError, match="could not be started: the folder is not ours"):
        await child.start()
    await child.stop()


async def test_a_child_that_does_not_end_is_killed(make) -> None:
    child, reports = make(STUBBORN, stop_seconds=0.2)
    await child.start()
    await child.stop()
    assert not psutil.pid_exists(reports.ready_pids()[0])


async def test_a_hurried_stop_waits_for_nothing(make) -> None:
    child, reports = make(STUBBORN, stop_seconds=600)
    await child.start()
    stopping = asyncio.create_task(child.stop())
    await asyncio.sleep(0)
    await child.stop(hurry=True)
    await stopping
    assert not psutil.pid_exists(reports.ready_pids()[0])


async def test_output_becomes_log_lines_without_credentials(make, tmp_path: Path, sink: LogSink) -> None:
    child, _ = make("print('key sk_live_abcdefghijklmnop1234')\n" + SLEEPER)
    await child.start()
    await child.stop()
    sink.close()
    assert [entry.message for entry in tail(tmp_path / "logs", "child", 9)] == ["key ********", "here"]


async def test_ctrl_c_on_the_terminal_does_not_reach_children(make) -> None:
    child, reports = make(SLEEPER)
    await child.start()
    assert os.getsid(reports.ready_pids()[0]) != os.getsid(0)
    await child.stop()


async def test_a_child_notices_on_its_input_that_the_server_is_gone(make, tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    child, _ = make(f"import sys\nprint('here', flush=True)\nsys.stdin.read()\nopen({str(gone)!r}, 'w')")
    await child.start()
    assert child._process is not None
    assert child._process.stdin is not None
    child._process.stdin.close()
    await until(gone.exists)
    await child.stop()


SERVER = """
import asyncio, sys
from pathlib import Path
from jan_server.launch.children import ChildNotes, Program, SupervisedChild
from jan_server.launch.health import Health
from jan_server.telemetry.log_files import Rotation
from jan_server.telemetry.logs import LogSink
from jan_server.telemetry.personal_data import PersonalData
home = Path(sys.argv[1])

async def main():
    sink = LogSink(home / "logs", Rotation(), PersonalData())
    sink.start()
    async def ready():
        return Health(bool(child.lines), "", 0)
    program = Program(name="child", arguments=(sys.executable, "-c", sys.argv[2]), ready=ready)
    child = SupervisedChild(program, ChildNotes(home), sink, lambda *_: None)
    await child.start()
    print(child._process.pid, flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""


def killed_server(home: Path, code: str) -> int:
    """Start a server with a child, kill it, and give the child's process id."""
    with subprocess.Popen(
        [sys.executable, "-c", SERVER, str(home), code], stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        pid = int(server.stdout.readline())
        server.kill()
    return pid


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child that its parent died")
def test_no_child_outlives_a_killed_server(tmp_path: Path) -> None:
    pid = killed_server(tmp_path, SLEEPER)
    wait_until(lambda: not psutil.pid_exists(pid) or not lives(psutil.Process(pid)))


def test_what_an_earlier_server_left_is_ended_and_strangers_are_spared(tmp_path: Path) -> None:
    pid = killed_server(tmp_path, STUBBORN)
    process = psutil.Process(pid)
    assert lives(process)
    notes = ChildNotes(tmp_path)
    written = notes.path.read_text()
    # The same number with another birth is another process.
    notes.path.write_text(written.replace(f"{process.create_time()}", "1.0"))
    assert notes.end_leftovers() == []
    assert lives(process)
    notes.path.write_text(written)
    assert notes.end_leftovers(seconds=0.2) == ["child"]
    assert not lives(process)
    assert notes.end_leftovers() == []
