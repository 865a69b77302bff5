"""`jan doctor`: findings with remedies, and an exit code that only errors change."""

import json
import socket
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from jan_cli.main import app
from jan_server.launch.diagnosis import machine
from jan_server.launch.diagnosis.finding import Level
from tests.running_stack import StackHome


def doctor(home: Path) -> tuple[Result, dict[str, list[dict[str, str]]]]:
    result = CliRunner().invoke(app, ["--home", str(home), "doctor", "--json"])
    return result, by_subject(result.stdout)


def by_subject(text: str) -> dict[str, list[dict[str, str]]]:
    found: dict[str, list[dict[str, str]]] = {}
    for finding in json.loads(text)["findings"]:
        found.setdefault(finding["subject"], []).append(finding)
    return found


def test_a_machine_without_configuration_is_told_what_comes_first(tmp_path: Path) -> None:
    result, findings = doctor(tmp_path / "none")
    assert result.exit_code == 0
    assert findings["configuration"][0]["remedy"] == "Make one: jan quickstart"
    expected = {
        "python",
        "platform",
        "memory",
        "disk",
        "open files",
        "docker",
        "gpu",
        "home",
        "configuration",
    }
    assert set(findings) == expected


def test_everything_about_a_configured_home_is_examined(stack_home: StackHome) -> None:
    done = stack_home.inside("doctor", "--json")
    findings = by_subject(done.stdout)
    assert done.exit_code == 0
    assert findings["configuration"][0]["level"] == "ok"
    assert findings["secrets"][0]["level"] == "ok"
    assert findings["ports"][0]["level"] == "ok"
    assert "embedded PostgreSQL 18" in findings["database"][0]["message"]
    assert findings["model"][0]["remedy"] == "run: jan models pull"


def test_a_busy_port_is_an_error_with_a_remedy(stack_home: StackHome) -> None:
    with socket.create_server(("127.0.0.1", stack_home.ports["gateway"])):
        done = stack_home.inside("doctor", "--json")
    [finding] = by_subject(done.stdout)["ports"]
    assert done.exit_code == 1
    assert f"Port {stack_home.ports['gateway']} of gateway" in finding["message"]
    assert "infrastructure.gateway.kong.http_port" in finding["remedy"]


def test_a_wrong_configuration_is_an_error_that_names_the_key(stack_home: StackHome) -> None:
    (stack_home.home / "jan.yaml").write_text("services:\n  llm_api:\n    http_prt: 1\n")
    done = stack_home.inside("doctor", "--json")
    [finding] = by_subject(done.stdout)["configuration"]
    assert done.exit_code == 1
    assert "services.llm_api.http_prt" in finding["message"]
    assert "did you mean services.llm_api.http_port" in finding["message"]


def test_secrets_that_others_can_read_are_a_warning(stack_home: StackHome) -> None:
    (stack_home.home / ".env").chmod(0o644)
    [finding] = by_subject(stack_home.inside("doctor", "--json").stdout)["secrets"]
    assert finding["level"] == "warning"
    assert finding["remedy"].startswith("chmod 600 ")


def test_a_database_that_does_not_answer_is_an_error(stack_home: StackHome) -> None:
    stack_home.environment["DATABASE_URL"] = "postgresql://jan:not-this@127.0.0.1:1/jan"
    done = stack_home.inside("doctor", "--json")
    [finding] = by_subject(done.stdout)["database"]
    assert done.exit_code == 1
    assert finding["message"].startswith("DATABASE_URL: ")
    assert "not-this" not in done.stdout


def test_the_table_shows_remedies(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["--home", str(tmp_path), "doctor"])
    assert "→ Make one: jan quickstart" in result.stdout
    assert "No errors." in result.stdout


def test_an_old_python_and_a_strange_platform_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.version_info", (3, 9, 1))
    assert machine.python().level is Level.ERROR
    monkeypatch.setattr("platform.system", lambda: "Plan9")
    assert machine.system().level is Level.WARNING
