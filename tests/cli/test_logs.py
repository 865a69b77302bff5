"""`jan logs`: what is in the files, readable."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from jan_cli.main import app

LINES = {
    "gateway": [
        {
            "time": "2026-11-24T10:00:00.000Z",
            "level": "info",
            "message": "GET /a 200",
            "request_id": "r1",
            "logger": "jan.gateway.access",
            "status": 200,
        },
        {"time": "2026-11-24T10:00:02.000Z", "level": "error", "message": "broken", "error": "Traceback: x"},
    ],
    "llm-api": [{"time": "2026-11-24T10:00:01.000Z", "level": "warning", "message": "slow [provider]"}],
}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "logs").mkdir()
    for service, entries in LINES.items():
        text = "".join(json.dumps({"service": service, **entry}) + "\n" for entry in entries)
        (tmp_path / "logs" / f"{service}.log").write_text(text)
    monkeypatch.setenv("TZ", "UTC")
    return tmp_path


def logs(home: Path, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["--home", str(home), "logs", *arguments])


def messages(result: Result) -> list[str]:
    return [json.loads(line)["message"] for line in result.stdout.splitlines()]


def test_services_are_merged_by_time(home: Path) -> None:
    assert messages(logs(home, "--json")) == ["GET /a 200", "slow [provider]", "broken"]


def test_the_last_lines_are_shown(home: Path) -> None:
    assert messages(logs(home, "--json", "-n", "2")) == ["slow [provider]", "broken"]
    assert messages(logs(home, "--json", "-n", "0")) == []


def test_one_service_alone(home: Path) -> None:
    assert messages(logs(home, "llm-api", "--json")) == ["slow [provider]"]


def test_only_a_level_and_worse(home: Path) -> None:
    assert messages(logs(home, "--level", "warning", "--json")) == ["slow [provider]", "broken"]
    assert messages(logs(home, "--level", "error", "-n", "1", "--json")) == ["broken"]


def test_a_line_is_readable_on_the_screen(home: Path) -> None:
    shown = logs(home).stdout
    assert "24 Nov 10:00:00 UTC gateway info  GET /a 200 request_id=r1\n" in shown
    assert "llm-api warn  slow [provider]" in shown
    assert "Traceback: x" in shown


def test_an_unknown_service_suggests_the_nearest(home: Path) -> None:
    result = logs(home, "gatway")
    assert result.exit_code == 1
    assert "did you mean gateway?" in result.stderr
    assert "Logs there are: gateway, llm-api" in result.stderr


def test_an_unknown_level_names_those_there_are(home: Path) -> None:
    result = logs(home, "--level", "loud")
    assert (result.exit_code, "debug, info" in result.stderr) == (1, True)


def test_a_service_that_has_not_logged_yet_is_no_error(home: Path) -> None:
    assert logs(home, "identity").exit_code == 0


def test_no_logs_at_all_is_said(tmp_path: Path) -> None:
    result = logs(tmp_path)
    assert result.exit_code == 0
    assert "There are no logs" in result.stderr
