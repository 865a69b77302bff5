"""The front of the command line: help, errors, exit codes, and what it does not import."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from jan_cli.console import CommandError
from jan_cli.main import COMMANDS, CommandEntry, app

HEAVY = {"fastapi", "pydantic", "sqlalchemy", "aiohttp", "psycopg", "questionary", "jan_server"}


@pytest.fixture
def runner() -> CliRunner:
    return CliRunner()


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch):
    """Adds a command that raises what it is told to."""
    module = type(sys)("failing_command")
    monkeypatch.setitem(sys.modules, "failing_command", module)
    monkeypatch.setitem(COMMANDS, "fail", CommandEntry("failing_command", "Fails.", "Run"))

    def fail(error: BaseException) -> None:
        def command() -> None:
            raise error

        module.command = command

    return fail


def imported_by(*arguments: str, **environment: str) -> set[str]:
    code = (
        "import sys\n"
        f"sys.argv = ['jan', *{list(arguments)!r}]\n"
        "from jan_cli.main import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print('\\nMODULES', *sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, **environment}
    )
    return set(done.stdout.rpartition("MODULES ")[2].split())


@pytest.mark.parametrize("arguments", [["--help"], ["--version"]], ids=str)
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    imported = imported_by(*arguments)
    assert "typer" in imported
    assert imported.isdisjoint(HEAVY)


def test_completion_imports_nothing_heavy() -> None:
    imported = imported_by(_JAN_COMPLETE="complete_bash", COMP_WORDS="jan d", COMP_CWORD="1")
    # Typer itself needs pydantic to understand options.
    assert imported.isdisjoint(HEAVY - {"pydantic"})


def test_completion_knows_the_commands() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "jan_cli"],
        capture_output=True,
        text=True,
        env={
            **os.environ,
            "_JAN_COMPLETE": "complete_bash",
            "COMP_WORDS": "jan do",
            "COMP_CWORD": "1",
        },
    )
    assert done.stdout.split() == ["down", "doctor"]


def test_help_lists_every_command(runner: CliRunner) -> None:
    shown = runner.invoke(app, ["--help"]).output
    assert [name for name in COMMANDS if name not in shown] == []


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_an_example(runner: CliRunner, name: str) -> None:
    result = runner.invoke(app, [name, "--help"])
    assert result.exit_code == 0
    assert "Example" in result.output


def test_an_unknown_command_suggests_the_nearest(runner: CliRunner) -> None:
    result = runner.invoke(app, ["stauts"])
    assert result.exit_code == 2
    assert "Did you mean 'status'?" in result.stderr


def test_a_wrong_choice_is_named_without_the_words_of_a_library(runner: CliRunner) -> None:
    result = runner.invoke(app, ["quickstart", "--provider", "bogus"])
    assert result.exit_code == 2
    assert "Invalid value for '--provider': 'bogus' is not one of 'builtin'" in result.stderr


def test_an_unknown_variable_is_named_once(runner: CliRunner, tmp_path: Path) -> None:
    result = runner.invoke(app, ["--home", str(tmp_path), "config", "validate"], env={"JAN_QQQQ": "1"})
    assert result.exit_code == 1
    assert result.stderr == "Error: JAN_QQQQ (environment): unknown variable\n"


def test_a_global_option_behind_the_command_is_explained(runner: CliRunner) -> None:
    result = runner.invoke(app, ["status", "--home", "/x"])
    assert result.exit_code == 2
    assert "--home stands before the command" in result.stderr


def test_a_command_error_shows_its_remedy_and_exit_code(runner: CliRunner, failing) -> None:
    failing(CommandError("The disk is full.", "Free some room.", exit_code=3))
    result = runner.invoke(app, ["fail"])
    assert result.exit_code == 3
    assert result.stderr == "Error: The disk is full.\n  Free some room.\n"
    assert result.stdout == ""


def test_an_unforeseen_error_shows_no_traceback(runner: CliRunner, failing) -> None:
    failing(ZeroDivisionError("by [zero]"))
    result = runner.invoke(app, ["fail"])
    assert result.exit_code == 1
    assert "Error: ZeroDivisionError: by [zero]" in result.stderr
    assert "Traceback" not in result.stderr
    verbose = runner.invoke(app, ["--verbose", "fail"])
    assert "Traceback" in verbose.stderr


def test_ctrl_c_has_the_exit_code_of_an_interrupt(runner: CliRunner, failing) -> None:
    failing(KeyboardInterrupt())
    assert runner.invoke(app, ["fail"]).exit_code == 130


def test_the_home_comes_from_the_option_then_the_variable(
    runner: CliRunner, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    seen: list[Path] = []
    module = type(sys)("home_command")

    def command(context: typer.Context) -> None:
        seen.append(context.obj.home)

    module.command = command
    monkeypatch.setitem(sys.modules, "home_command", module)
    monkeypatch.setitem(COMMANDS, "home", CommandEntry("home_command", "Home.", "Run"))
    monkeypatch.setenv("JAN_HOME", str(tmp_path / "variable"))
    runner.invoke(app, ["--home", str(tmp_path / "option"), "home"])
    runner.invoke(app, ["home"])
    monkeypatch.delenv("JAN_HOME")
    runner.invoke(app, ["home"])
    assert seen == [tmp_path / "option", tmp_path / "variable", Path("~/.jan").expanduser()]
