"""Backups: complete, private, and restored as a whole or not at all."""

from pathlib import Path

import psycopg
import pytest

from jan_server.launch.database_tools import (
    DatabaseToolError,
    backup,
    backup_name,
    restore,
    tool_environment,
)

SCHEMAS = ("one", "two")


@pytest.fixture
def rows(database_url: str):
    """Runs statements in a database with two small schemas."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("drop schema if exists one, two cascade")
        for schema in SCHEMAS:
            connection.execute(f"create schema {schema}; create table {schema}.kept as select 1 as n")

        def run(statement: str) -> list[tuple[object, ...]]:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

        yield run
        connection.execute("drop schema if exists one, two cascade")


def test_what_was_backed_up_comes_back_and_nothing_else(database_url: str, rows, tmp_path: Path) -> None:
    target = tmp_path / "made" / backup_name()
    backup(database_url, target, SCHEMAS)
    assert target.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in target.parent.iterdir()] == [target.name]
    rows("update one.kept set n = 2; drop schema two cascade; create table one.later (n int)")

    restore(database_url, target, SCHEMAS)
    assert rows("select n from one.kept union all select n from two.kept") == [(1,), (1,)]
    assert rows("select to_regclass('one.later')") == [(None,)]


def test_a_damaged_backup_changes_nothing(database_url: str, rows, tmp_path: Path) -> None:
    whole, half = tmp_path / "whole", tmp_path / "half"
    backup(database_url, whole, SCHEMAS)
    half.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    rows("update one.kept set n = 3")
    for damaged in (half, Path(__file__)):
        with pytest.raises(DatabaseToolError):
            restore(database_url, damaged, SCHEMAS)
    assert rows("select n from one.kept") == [(3,)]


def test_a_backup_that_fails_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(DatabaseToolError, match="pg_dump"):
        backup("postgresql://jan@127.0.0.1:1/jan", tmp_path / "x.dump", SCHEMAS)
    assert list(tmp_path.iterdir()) == []


def test_names_sort_by_time() -> None:
    assert backup_name(0) == "jan-19700101T000000Z.dump"


def test_a_password_travels_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGHOST", "elsewhere")
    found = tool_environment("postgresql://u:p%40ss@h:5433/d?sslmode=require")
    assert {name: value for name, value in found.items() if name.startswith("PG")} == {
        "PGHOST": "h",
        "PGPORT": "5433",
        "PGUSER": "u",
        "PGPASSWORD": "p@ss",
        "PGDATABASE": "d",
        "PGSSLMODE": "require",
    }
