"""`jan down`: whom it stops, whom it leaves alone, and what has to end before data go."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from jan_server.launch.children import ChildNotes
from jan_server.launch.state import running_pid
from tests.running_stack import StackHome

HOLDER = """
import sys
from pathlib import Path
from jan_server.launch.state import server_lock
with server_lock(Path(sys.argv[1])):
    print("locked", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def home(tmp_path: Path) -> StackHome:
    for folder in ("data", "logs", "run", "models"):
        (tmp_path / folder).mkdir()
    (tmp_path / "data/kept.txt").write_text("dear")
    return StackHome(tmp_path, {})


@pytest.mark.parametrize("options", [(), ("--clean", "--yes")])
def test_a_command_that_uses_the_database_is_left_alone(home: StackHome, options: tuple[str, ...]) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(home.home)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"locked\n"
        done = home.inside("down", *options)
        assert done.exit_code == 1
        assert f"(pid {holder.pid})" in done.stderr
        assert holder.poll() is None
        assert running_pid(home.home) == holder.pid
    assert (home.home / "data/kept.txt").exists()


def test_what_an_earlier_server_left_ends_before_its_data_go(home: StackHome) -> None:
    script = "import signal, sys; print(1, flush=True); signal.pause()"
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        notes = ChildNotes(home.home)
        notes.add("inference", child.pid, signal.SIGTERM)
        done = home.inside("down", "--clean", "--yes")
        assert (done.exit_code, "Ended inference" in done.stderr) == (0, True), done.stderr
        assert child.wait(5) == -signal.SIGTERM
    assert [path.name for path in home.home.iterdir()] == ["models"]


def test_without_a_home_there_is_nothing_to_remove(tmp_path: Path) -> None:
    away = StackHome(tmp_path / "away", {})
    assert away.inside("down", "--clean", "--yes").exit_code == 0
    assert not away.home.exists()
