"""A Keycloak that the server runs: where it listens, how it reaches the database, what it logs."""

from pathlib import Path

import psycopg
import pytest

from jan_server.identity.keycloak.distribution import Distribution
from jan_server.identity.keycloak.java import Java
from jan_server.launch import database
from jan_server.launch.children import ChildNotes, SupervisedChild
from jan_server.launch.diagnosis.finding import Level
from jan_server.launch.diagnosis.installation import keycloak as diagnosis
from jan_server.launch.keycloak import (
    KeycloakChild,
    database_access,
    keycloak_program,
    prepare_database,
    read_log_line,
)
from jan_server.launch.plan import Kind, make_plan
from jan_server.settings.home import JanHome
from jan_server.settings.tree import Settings
from jan_server.stack.catalogue import PARTS
from jan_server.telemetry.logs import LogSink
from tests.gateway.serving import free_port

CHILD = KeycloakChild(Distribution(Path("/opt/keycloak"), "26.5.6"), Java("/usr/bin/java", 21), "a password")
OWN = KeycloakChild(CHILD.distribution, CHILD.java, "")


def managed(**keycloak: object) -> Settings:
    return Settings.model_validate(
        {
            "identity": {"mode": "keycloak"},
            "infrastructure": {
                "auth": {"keycloak": {"managed": True, "admin_password": "s3cret", **keycloak}}
            },
        }
    )


def test_it_takes_the_place_of_the_embedded_issuer() -> None:
    plan = make_plan(managed(), PARTS)
    planned = plan.find("identity")

    assert planned is not None
    assert planned.kind is Kind.CHILD
    assert planned.address == "http://127.0.0.1:8085"
    ports = {port.setting: port.port for port in plan.ports() if port.service == "identity"}
    assert ports == {
        "identity.http_port": 8085,
        "infrastructure.auth.keycloak.management_port": 9000,
        "infrastructure.auth.keycloak.database_port": 8432,
    }
    assert plan.schemas() == ["llm_api", "mcp_tools", "response_api"]


def test_one_that_somebody_else_runs_is_only_waited_for() -> None:
    planned = make_plan(managed(managed=False, base_url="https://login.example.org"), PARTS).find("identity")
    assert planned is not None
    assert (planned.kind, planned.address) == (Kind.EXTERNAL, "https://login.example.org")


def test_secrets_travel_in_the_environment_alone() -> None:
    program = keycloak_program(managed(memory_mb=768), Path("/home"), CHILD)

    assert "-Xmx768m" in program.arguments
    assert "--cache=local" in program.arguments
    assert not any("s3cret" in word or "a password" in word for word in program.arguments)
    assert program.environment["KC_DB_PASSWORD"] == "a password"
    assert program.environment["KC_BOOTSTRAP_ADMIN_PASSWORD"] == "s3cret"


def test_an_operators_database_is_used_with_its_own_role() -> None:
    settings = managed()
    url = "postgresql://ada:p%40ss@db.example.org:5433/jan?sslmode=require"
    settings = settings.model_validate(
        {**settings.model_dump(), "infrastructure": {"database": {"url": url}}}
    )
    access = database_access(settings, OWN)
    assert access.url == "jdbc:postgresql://db.example.org:5433/jan?sslmode=require"
    assert (access.username, access.password) == ("ada", "p@ss")


def test_a_unix_socket_is_refused_with_the_reason() -> None:
    settings = Settings.model_validate(
        {"infrastructure": {"database": {"url": "postgresql:///jan?host=/run/postgresql"}}}
    )
    with pytest.raises(ValueError, match="names a Unix socket"):
        database_access(settings, OWN)


@pytest.mark.parametrize(
    ("line", "level", "message"),
    [
        ("2026-11-24 18:10:27,123 INFO  [io.quarkus] (main) started", "info", "[io.quarkus] (main) started"),
        ("2026-11-24 18:10:27,123 WARN  [org.x] (main) careful", "warning", "[org.x] (main) careful"),
        ("2026-11-24 18:10:27,123 ERROR [org.x] (main) no", "error", "[org.x] (main) no"),
        ("	at java.base/java.lang.Thread.run", "info", "	at java.base/java.lang.Thread.run"),
    ],
    ids=["info", "warning", "error", "trace"],
)
def test_its_log_lines_keep_their_level(line: str, level: str, message: str) -> None:
    assert read_log_line(line) == (level, message)


async def test_the_database_lets_one_role_in_by_password(tmp_path: Path, sink: LogSink) -> None:
    port = free_port()
    settings = managed(database_port=port)
    embedded = database.embedded(settings, tmp_path)
    running = SupervisedChild(embedded.program(), ChildNotes(tmp_path), sink, lambda *_: None)
    await running.start()
    try:
        embedded.ensure_database()
        prepare_database(settings, tmp_path, CHILD)
        access = f"host=127.0.0.1 port={port} dbname={settings.infrastructure.database.postgres.database}"
        with psycopg.connect(f"{access} user=keycloak password='a password'") as connection:
            connection.execute("create table keycloak.made (id integer)")
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(f"{access} user=keycloak password=wrong")
        with pytest.raises(psycopg.OperationalError, match="no pg_hba"):
            psycopg.connect(f"{access} user=postgres")
        with psycopg.connect(database.database_url(settings, tmp_path)) as connection:
            assert connection.execute("select 1").fetchone() == (1,)
    finally:
        await running.stop()


def findings(settings: Settings, home: Path) -> list[tuple[Level, str]]:
    plan = make_plan(settings, PARTS)
    return [(found.level, found.message) for found in diagnosis(settings, plan, JanHome(home))]


def test_the_doctor_says_what_a_keycloak_lacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert findings(Settings(), tmp_path) == []
    java = tmp_path / "java" / "bin" / "java"
    java.parent.mkdir(parents=True)
    java.write_text("#!/bin/sh\necho 'openjdk version \"21.0.1\"' >&2\n")
    java.chmod(0o755)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "java"))

    assert findings(managed(), tmp_path) == [(Level.WARNING, "Keycloak 26.5.6 is not installed")]
    [(level, text)] = findings(managed(home=str(tmp_path)), tmp_path)
    assert (level, "holds no Keycloak" in text) == (Level.ERROR, True)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    [(level, text)] = findings(managed(), tmp_path)
    assert (level, "holds no bin/java" in text) == (Level.ERROR, True)
