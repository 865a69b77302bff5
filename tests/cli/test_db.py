"""`jan db`: whether the platform runs or not."""

import json
from pathlib import Path

import pytest

from jan_cli.sql_prompt import sql_prompt
from jan_server.launch.postgres import EmbeddedPostgres
from tests.running_stack import StackHome, make_home, own_folder, stop


@pytest.fixture(scope="module")
def running(home_template: Path):
    """A running platform that is nothing but an empty database."""
    with own_folder() as folder:
        made = make_home(home_template, folder)
        made.must("up", "-d", "postgres")
        yield made
        stop(made)


def sql(stack: StackHome, statement: str) -> str:
    return stack.must("db", "console", "-c", statement)


def test_migrations_are_shown_and_applied(stack_home: StackHome) -> None:
    before = stack_home.jan("db", "status", "--json")
    assert before.returncode == 1
    schemas = {state["schema"]: state for state in json.loads(before.stdout)}
    assert set(schemas) >= {"identity", "llm_api"}
    assert all(state["pending"] and state["current"] is None for state in schemas.values())

    stack_home.must("db", "migrate")
    after = json.loads(stack_home.must("db", "status", "--json"))
    assert all(not state["pending"] and state["current"] == state["head"] for state in after)
    assert stack_home.server_pid() == 0


def test_a_backup_brings_everything_back(running: StackHome, stack_home: StackHome) -> None:
    sql(running, "create schema llm_api; create table llm_api.kept as select 'before' as what")
    running.must("db", "backup")
    [backup] = (running.home / "backups").iterdir()
    assert backup.stat().st_mode & 0o777 == 0o600
    whole = backup.read_bytes()

    half = stack_home.home / "half.dump"
    half.write_bytes(whole[: len(whole) // 2])
    sql(stack_home, "create schema llm_api; create table llm_api.mine as select 1 as n")
    failed = stack_home.jan("db", "restore", str(half), "--yes")
    assert (failed.returncode, "Traceback" in failed.stderr) == (1, False)
    assert "(1 row)" in sql(stack_home, "select n from llm_api.mine")

    refused = stack_home.jan("db", "restore", str(backup))
    assert (refused.returncode, "Add --yes" in refused.stderr) == (1, True)
    stack_home.must("db", "restore", str(backup), "--yes")
    assert "before" in sql(stack_home, "select what from llm_api.kept")
    assert stack_home.jan("db", "console", "-c", "select 1 from llm_api.mine").returncode != 0


def test_a_reset_begins_with_empty_schemas(stack_home: StackHome) -> None:
    sql(stack_home, "create schema llm_api; create table llm_api.gone (n int)")
    assert stack_home.jan("db", "reset").returncode == 1
    stack_home.must("db", "reset", "--yes")
    assert stack_home.jan("db", "console", "-c", "select 1 from llm_api.gone").returncode != 0


def test_data_are_never_replaced_beside_a_running_server(running: StackHome) -> None:
    pid = running.server_pid()
    for command in (["restore", str(running.home / "jan.yaml"), "--yes"], ["reset", "--yes"]):
        done = running.jan("db", *command)
        assert (done.returncode, "Stop it: jan down" in done.stderr) == (1, True)
    assert running.server_pid() == pid


def test_the_small_prompt_runs_statements(running: StackHome, capsys, monkeypatch) -> None:
    postgres = EmbeddedPostgres(running.home / "data/postgres", user="jan_user", database="jan_llm_api")
    lines = iter(["select 41 + 1", "as answer;", "select broken;", "quit"])
    monkeypatch.setattr("builtins.input", lambda prompt: next(lines))
    assert sql_prompt(postgres.url()) == 0
    shown = capsys.readouterr()
    assert "answer\n42" in shown.out.replace(" ", "")
    assert 'column "broken" does not exist' in shown.err
    assert sql_prompt(postgres.url(), "select broken") == 1
