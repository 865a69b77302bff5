"""`jan up` and `jan down`: what people see, and the exit codes."""

import json
import signal
import socket
import subprocess
from pathlib import Path

from jan_cli.commands.up import sample_request
from jan_server.launch.state import Phase, read_state
from tests.builtin_model import give_builtin_model
from tests.running_stack import StackHome
from tests.waiting import wait_until


def test_without_configuration_it_says_what_to_do(tmp_path: Path) -> None:
    done = StackHome(tmp_path / "other", {}).inside("up")
    assert done.exit_code == 1
    assert done.stderr.endswith(
        "There is no configuration in {} yet.\n  Make one: jan quickstart\n".format(tmp_path / "other")
    )


def test_up_twice_changes_nothing_and_down_stops(stack_home: StackHome) -> None:
    home = stack_home.home
    (home / "models/model.gguf").write_text("kept")
    first = stack_home.jan("up", "-d", "--json", "postgres")
    state = json.loads(first.stdout)
    assert (first.returncode, state["phase"]) == (0, "ready")
    assert [part["name"] for part in state["parts"]] == ["postgres"]

    again = stack_home.jan("up", "-d", "postgres")
    assert again.returncode == 0
    assert f"already running (pid {state['pid']}); nothing was changed" in again.stderr
    assert json.loads(stack_home.inside("up", "--json", "postgres").stdout)["pid"] == state["pid"]

    refused = stack_home.inside("down", "--clean")
    assert (refused.exit_code, "Add --yes" in refused.stderr) == (1, True)
    assert stack_home.server_pid() == state["pid"]

    down = stack_home.inside("down")
    assert down.exit_code == 0
    assert down.stderr.startswith("Stopped (")
    assert stack_home.server_pid() == 0

    clean = stack_home.inside("down", "--clean", "--yes")
    assert clean.exit_code == 0
    assert "not running" in clean.stderr
    assert sorted(path.name for path in home.iterdir()) == [".env", "jan.yaml", "models"]
    assert (home / "models/model.gguf").exists()


def test_a_platform_that_runs_in_part_is_not_called_running(running_database: StackHome) -> None:
    more = running_database.inside("up", "-d")
    assert more.exit_code == 1
    assert (
        "without identity, inference, llm-api, mcp-tools, response-api, gateway; nothing was changed"
        in more.stderr
    )
    assert "jan down && jan up" in more.stderr

    assert "did you mean gateway?" in running_database.inside("up", "-d", "gatway").stderr
    profile = running_database.inside("up", "-d", "--profile", "locl")
    assert (profile.exit_code, "there is no profile of this name" in profile.stderr) == (1, True)
    other = running_database.inside("up", "-d", "--profile", "monitoring", "postgres")
    assert (other.exit_code, "with the profiles local, not monitoring" in other.stderr) == (1, True)


def test_of_two_starts_at_once_the_second_waits_for_the_first(stack_home: StackHome) -> None:
    both = [
        stack_home.popen("up", "-d", "postgres", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(2)
    ]
    said = [command.communicate(timeout=60)[1] for command in both]
    assert [command.returncode for command in both] == [0, 0], said
    assert ["waited until it was ready" in words for words in said].count(True) == 1, said


def test_a_start_during_another_one_waits_for_it(stack_home: StackHome) -> None:
    first = stack_home.popen("up", "-d", "postgres", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wait_until(lambda: stack_home.server_pid() > 0)
    second = stack_home.jan("up", "-d", "postgres")
    first.communicate(timeout=60)
    assert (first.returncode, second.returncode) == (0, 0), second.stderr
    assert "Jan Server " in second.stderr


def test_in_the_foreground_it_runs_until_it_is_interrupted(stack_home: StackHome) -> None:
    running = stack_home.popen("up", "postgres", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wait_until(lambda: stack_home.is_ready("postgres"))
    wait_until(lambda: read_state(stack_home.home).phase is Phase.READY)
    running.send_signal(signal.SIGINT)
    shown, said = running.communicate(timeout=30)
    assert running.returncode == 0
    assert "Ctrl-C stops it" in shown
    assert "postgres     ready (" in said
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


def test_a_database_of_the_operators_own_is_used_and_not_started(
    stack_home: StackHome, database_url: str
) -> None:
    stack_home.environment["DATABASE_URL"] = database_url
    stack_home.must("up", "-d", "postgres")
    postgres = stack_home.part("postgres")
    assert (postgres.kind, postgres.phase, postgres.pid) == ("external", Phase.READY, 0)
    assert not (stack_home.home / "data/postgres/postmaster.pid").exists()
    assert "llm_api" in stack_home.inside("db", "status").stdout


def test_a_busy_port_is_named_and_no_log_is_pointed_at(stack_home: StackHome) -> None:
    with socket.create_server(("127.0.0.1", stack_home.ports["identity"])):
        for detach in ([], ["-d"]):
            done = stack_home.jan("up", *detach, "identity")
            assert done.returncode == 1
            assert (
                f"Port {stack_home.ports['identity']} of identity (identity.http_port): held by"
                in done.stderr
            )
            assert "jan config set SETTING NUMBER" in done.stderr
            assert "jan logs" not in done.stderr


def test_mistakes_are_found_before_anything_starts(stack_home: StackHome) -> None:
    service = stack_home.inside("up", "-d", "gatway")
    assert (service.exit_code, "did you mean gateway?" in service.stderr) == (1, True)
    profile = stack_home.inside("up", "-d", "--profile", "locl")
    assert (profile.exit_code, "local" in profile.stderr) == (1, True)
    (stack_home.home / "jan.yaml").write_text("server:\n  drain_timeout: soon\n")
    setting = stack_home.inside("up", "-d")
    assert (setting.exit_code, "server.drain_timeout" in setting.stderr) == (1, True)
    assert not (stack_home.home / "run/state.json").exists()


def test_no_request_is_promised_while_the_model_is_missing(stack_home: StackHome) -> None:
    with (stack_home.home / "jan.yaml").open("a") as settings:
        settings.write("inference: {llamacpp: {model: gone}}\n")
    shown = stack_home.jan("up", "-d")
    assert shown.returncode == 0, shown.stderr
    assert "there is no model 'gone' here" in shown.stderr
    assert "jan config unset inference.llamacpp.model" in shown.stderr
    assert "Nothing answers chats yet" in shown.stdout
    assert "Try it" not in shown.stdout


def test_the_request_that_is_printed_works_when_it_is_pasted(stack_home: StackHome) -> None:
    give_builtin_model(stack_home.home)
    shown = stack_home.must("up", "-d")
    assert f"Jan Server is ready at http://127.0.0.1:{stack_home.ports['gateway']}" in shown
    sample = shown.partition("Try it:\n")[2].partition("\njan status")[0]
    assert '"model": "jan/smollm2-135m-instruct"' in sample
    answer = subprocess.run(["bash", "-ec", sample], capture_output=True, text=True, check=True)
    assert json.loads(answer.stdout)["choices"][0]["message"]["content"]

    without_model = sample_request(stack_home.url("gateway"))
    answer = subprocess.run(["bash", "-ec", without_model], capture_output=True, text=True, check=True)
    assert json.loads(answer.stdout)["choices"][0]["message"]["content"]

    status = stack_home.status()
    assert [part["name"] for part in status["services"] if not part["healthy"]] == []
    assert status["memory_bytes"] < 300_000_000
