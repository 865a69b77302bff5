"""Migrations bring any database to the newest revision, once, whoever else tries."""

import importlib
import multiprocessing
import pkgutil

import psycopg
import pytest
from sqlalchemy import MetaData
from sqlalchemy.engine import make_url

from jan_server.database import migrate

SCHEMAS = migrate.known_schemas()


def tables(url: str) -> set[tuple[str, str]]:
    with psycopg.connect(url) as connection:
        rows = connection.execute(
            "select table_schema, table_name from information_schema.tables where table_schema = any(%s)",
            [list(SCHEMAS)],
        ).fetchall()
    return {(row[0], row[1]) for row in rows}


def test_every_service_has_a_schema_of_its_own(empty_database_url):
    before = migrate.status(empty_database_url)
    assert all(schema.current is None and schema.pending for schema in before)

    after = migrate.upgrade(empty_database_url)
    assert [schema.schema for schema in after] == list(SCHEMAS)
    assert all(schema.current == schema.head and not schema.pending for schema in after)
    assert {schema for schema, _ in tables(empty_database_url)} == set(SCHEMAS)


def test_a_second_upgrade_changes_nothing(empty_database_url):
    migrate.upgrade(empty_database_url)
    seen = tables(empty_database_url)
    migrate.upgrade(empty_database_url)
    assert tables(empty_database_url) == seen


def test_processes_that_migrate_at_once_take_turns(empty_database_url):
    spawn = multiprocessing.get_context("spawn")
    with spawn.Pool(2) as pool:
        results = pool.map(migrate.upgrade, [empty_database_url] * 2)
    assert results[0] == results[1]
    assert all(not schema.pending for schema in results[0])


def test_reset_drops_the_data_and_migrates_anew(empty_database_url):
    migrate.upgrade(empty_database_url)
    with psycopg.connect(empty_database_url) as connection:
        connection.execute(f"create table {SCHEMAS[0]}.leftover (id int)")
    migrate.reset(empty_database_url)
    assert (SCHEMAS[0], "leftover") not in tables(empty_database_url)


def declared_metadata() -> list[MetaData]:
    import jan_server.identity.tables as identity_tables
    import jan_server.services.llm_api.tables as llm_api_tables
    import jan_server.services.mcp_tools.tables as mcp_tools_tables
    import jan_server.services.response_api.tables as response_api_tables

    for package in (llm_api_tables, mcp_tools_tables, response_api_tables):
        for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            importlib.import_module(module.name)
    return [
        identity_tables.IdentityTable.metadata,
        llm_api_tables.LlmApiTable.metadata,
        mcp_tools_tables.McpToolsTable.metadata,
        response_api_tables.ResponseApiTable.metadata,
    ]


def test_the_migrations_build_what_the_tables_declare(empty_database_url):
    migrate.upgrade(empty_database_url)
    with psycopg.connect(empty_database_url) as connection:
        rows = connection.execute(
            "select table_schema, table_name, column_name, is_nullable from information_schema.columns "
            "where table_schema = any(%s) and table_name <> %s",
            [list(SCHEMAS), migrate.VERSION_TABLE],
        ).fetchall()
    built = {tuple(row) for row in rows}
    declared = {
        (table.schema, table.name, column.name, "YES" if column.nullable else "NO")
        for metadata in declared_metadata()
        for table in metadata.tables.values()
        for column in table.columns
    }
    assert built == declared


@pytest.mark.parametrize("url", ["mysql://localhost/jan", "sqlite:///jan.db"])
def test_another_database_is_refused_by_name(url):
    with pytest.raises(ValueError, match="postgresql://"):
        migrate.status(make_url(url).render_as_string())
