"""`jan db`: whether the platform runs or not."""

import json

from jan_cli.sql_prompt import sql_prompt
from jan_server.launch.postgres import EmbeddedPostgres
from tests.running_stack import StackHome


def test_migrations_are_shown_applied_and_begun_anew(stack_home: StackHome) -> None:
    before = stack_home.inside("db", "status", "--json")
    assert before.exit_code == 1
    schemas = {state["schema"]: state for state in json.loads(before.stdout)}
    assert set(schemas) >= {"identity", "llm_api"}
    assert all(state["pending"] and state["current"] is None for state in schemas.values())

    assert stack_home.inside("db", "migrate").exit_code == 0
    after = stack_home.inside("db", "status", "--json")
    assert after.exit_code == 0
    assert all(not state["pending"] for state in json.loads(after.stdout))
    assert stack_home.server_pid() == 0

    refused = stack_home.inside("db", "reset")
    assert (refused.exit_code, "Add --yes" in refused.stderr) == (1, True)
    assert stack_home.inside("db", "reset", "--yes").exit_code == 0


def test_a_backup_beside_a_running_server_is_restored_where_none_runs(
    running_database: StackHome, stack_home: StackHome
) -> None:
    running_database.query("create schema llm_api; create table llm_api.kept as select 'before' as what")
    assert running_database.inside("db", "backup").exit_code == 0
    [backup] = (running_database.home / "backups").iterdir()
    assert backup.stat().st_mode & 0o777 == 0o600

    refused = stack_home.inside("db", "restore", str(backup))
    assert (refused.exit_code, "Add --yes" in refused.stderr) == (1, True)
    missing = stack_home.inside("db", "restore", "nowhere.dump", "--yes")
    assert (missing.exit_code, "nowhere.dump does not exist" in missing.stderr) == (1, True)
    assert stack_home.inside("db", "restore", str(backup), "--yes").exit_code == 0
    assert "before" in stack_home.must("db", "console", "-c", "select what from llm_api.kept")


def test_data_are_never_replaced_beside_a_running_server(running_database: StackHome) -> None:
    pid = running_database.server_pid()
    for command in (["restore", str(running_database.home / "jan.yaml"), "--yes"], ["reset", "--yes"]):
        done = running_database.inside("db", *command)
        assert (done.exit_code, "Stop it: jan down" in done.stderr) == (1, True)
    assert running_database.server_pid() == pid


def test_the_exit_code_of_a_statement_is_that_of_the_command(running_database: StackHome) -> None:
    done = running_database.jan("db", "console", "-c", "select broken")
    assert done.returncode == 1
    assert 'column "broken" does not exist' in done.stderr


def test_the_small_prompt_runs_statements(running_database: StackHome, capsys, monkeypatch) -> None:
    data = running_database.home / "data/postgres"
    postgres = EmbeddedPostgres(data, user="jan_user", database="jan_llm_api")
    lines = iter(["select 41 + 1", "as answer;", "select broken;", "quit"])
    monkeypatch.setattr("builtins.input", lambda prompt: next(lines))
    assert sql_prompt(postgres.url()) == 0
    shown = capsys.readouterr()
    assert "answer\n42" in shown.out.replace(" ", "")
    assert 'column "broken" does not exist' in shown.err
    assert sql_prompt(postgres.url(), "select broken") == 1
