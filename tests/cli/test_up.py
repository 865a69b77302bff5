"""`jan up` and `jan down`: what people see, and the exit codes."""

import json
import signal
import subprocess
from pathlib import Path

from jan_cli.commands.up import sample_request
from tests.builtin_model import give_builtin_model
from tests.running_stack import StackHome
from tests.waiting import wait_until


def test_without_configuration_it_says_what_to_do(tmp_path: Path, stack_home: StackHome) -> None:
    done = StackHome(tmp_path / "other", stack_home.ports).jan("up")
    assert done.returncode == 1
    assert done.stderr.endswith(
        "There is no configuration in {} yet.\n  Make one: jan quickstart\n".format(tmp_path / "other")
    )


def test_up_twice_changes_nothing_and_down_stops(stack_home: StackHome) -> None:
    first = stack_home.jan("up", "-d", "postgres")
    assert first.returncode == 0
    assert "postgres     ready (" in first.stderr
    pid = stack_home.server_pid()

    again = stack_home.jan("up", "-d", "postgres")
    assert again.returncode == 0
    assert f"already running (pid {pid}); nothing was changed" in again.stderr
    assert stack_home.server_pid() == pid
    assert json.loads(stack_home.must("up", "--json"))["pid"] == pid

    down = stack_home.jan("down")
    assert down.returncode == 0
    assert down.stderr.startswith("Stopped (")
    assert stack_home.server_pid() == 0
    assert "not running" in stack_home.jan("down").stderr


def test_in_the_foreground_it_runs_until_it_is_interrupted(stack_home: StackHome) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        running = stack_home.popen("up", "postgres", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        wait_until(lambda: stack_home.is_ready("postgres"))
        running.send_signal(number)
        shown, said = running.communicate(timeout=30)
        assert running.returncode == 0
        assert "Ctrl-C stops it" in shown
        assert said.endswith("Stopping … (Ctrl-C again hurries)\nStopped.\n")


def test_a_failed_start_shows_the_last_log_lines(stack_home: StackHome) -> None:
    settings = stack_home.home / "data/postgres/postgresql.conf"
    settings.write_text(settings.read_text() + "\nno_such_setting = on\n")
    for detach in ([], ["-d"]):
        done = stack_home.jan("up", *detach, "postgres")
        assert done.returncode == 1
        assert "The last log lines of postgres:" in done.stderr
        assert 'unrecognized configuration parameter "no_such_setting"' in done.stderr
        assert "Error: postgres did not start: ended with exit code" in done.stderr
        assert "More: jan logs postgres" in done.stderr
        assert stack_home.server_pid() == 0


def test_mistakes_are_found_before_anything_starts(stack_home: StackHome) -> None:
    service = stack_home.jan("up", "-d", "gatway")
    assert (service.returncode, "did you mean gateway?" in service.stderr) == (1, True)
    profile = stack_home.jan("up", "-d", "--profile", "locl")
    assert (profile.returncode, "local" in profile.stderr) == (1, True)
    (stack_home.home / "jan.yaml").write_text("server:\n  drain_timeout: soon\n")
    setting = stack_home.jan("up", "-d")
    assert (setting.returncode, "server.drain_timeout" in setting.stderr) == (1, True)
    assert not (stack_home.home / "run/state.json").exists()


def test_json_is_all_there_is_on_standard_output(stack_home: StackHome) -> None:
    state = json.loads(stack_home.must("up", "-d", "--json", "postgres"))
    assert state["phase"] == "ready"
    assert [part["name"] for part in state["parts"]] == ["postgres"]


def test_clean_asks_and_keeps_configuration_and_models(stack_home: StackHome) -> None:
    home = stack_home.home
    (home / "models/model.gguf").write_text("kept")
    stack_home.must("up", "-d", "postgres")

    refused = stack_home.jan("down", "--clean")
    assert refused.returncode == 1
    assert "Add --yes" in refused.stderr
    assert stack_home.server_pid() != 0

    stack_home.must("down", "--clean", "--yes")
    assert sorted(path.name for path in home.iterdir()) == [".env", "jan.yaml", "models"]
    assert (home / "models/model.gguf").exists()


def test_the_request_that_is_printed_works_when_it_is_pasted(stack_home: StackHome) -> None:
    give_builtin_model(stack_home.home)
    shown = stack_home.must("up", "-d")
    assert f"Jan Server is ready at http://127.0.0.1:{stack_home.ports['gateway']}" in shown
    sample = shown.partition("Try it:\n")[2].partition("\njan status")[0]
    answer = subprocess.run(["bash", "-ec", sample], capture_output=True, text=True, check=True)
    assert json.loads(answer.stdout)["choices"][0]["message"]["content"]

    without_model = sample_request(stack_home.url("gateway"))
    answer = subprocess.run(["bash", "-ec", without_model], capture_output=True, text=True, check=True)
    assert json.loads(answer.stdout)["choices"][0]["message"]["content"]

    status = stack_home.status()
    assert [part["name"] for part in status["services"] if not part["healthy"]] == []
    assert status["memory_bytes"] < 300_000_000
