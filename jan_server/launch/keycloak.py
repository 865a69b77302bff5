"""Keycloak as a supervised child: its program, and its place in the platform's database.

It keeps its tables in a schema of its own, `keycloak`, of the database that everything else uses, so one
backup holds all. Java reaches PostgreSQL by TCP alone: the embedded one then also listens on a port of
the loopback, for the role `keycloak` and with a password that is made anew at each start.
"""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from jan_server.identity.keycloak.distribution import Distribution, build, build_options, find_distribution
from jan_server.identity.keycloak.java import Java, find_java
from jan_server.launch import database
from jan_server.launch.children import Program
from jan_server.launch.health import probe
from jan_server.settings.tree import Settings
from jan_server.stack.catalogue import IDENTITY

SCHEMA = "keycloak"
HEALTH_PATH = "/health/ready"

_READY_SECONDS = 300.0
"""The first start makes some ninety tables, on slow machines for minutes."""

_LINE = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d+ (?P<level>[A-Z]+)\s+(?P<message>.*)$")
_LEVELS = {"TRACE": "debug", "DEBUG": "debug", "WARN": "warning", "ERROR": "error", "FATAL": "critical"}


@dataclass(frozen=True, slots=True)
class DatabaseAccess:
    """How Keycloak reaches PostgreSQL.

    Attributes:
        url: The JDBC address.
        username: The role.
        password: Its password; empty when it needs none.
    """

    url: str
    username: str
    password: str


@dataclass(frozen=True, slots=True)
class KeycloakChild:
    """A Keycloak that this server runs.

    Attributes:
        distribution: What is run.
        java: What runs it.
        database_password: With which it enters the embedded PostgreSQL; empty with an operator's own.
    """

    distribution: Distribution
    java: Java
    database_password: str = field(repr=False)


def plan_keycloak(settings: Settings, home: Path) -> KeycloakChild:
    """Find what is needed to run Keycloak, before anything starts.

    Raises:
        JavaMissingError: No Java runs it.
        DistributionError: No distribution is there.
    """
    distribution = find_distribution(settings.infrastructure.auth.keycloak, home)
    java = find_java()
    embedded = not settings.infrastructure.database.url.get_secret_value()
    return KeycloakChild(distribution, java, secrets.token_urlsafe(24) if embedded else "")


def prepare_database(settings: Settings, home: Path, child: KeycloakChild) -> None:
    """Make Keycloak's schema, and in the embedded database its role with the password of this start."""
    import psycopg
    from psycopg import sql

    url = database.database_url(settings, home, superuser=True)
    with psycopg.connect(url, autocommit=True) as connection:
        schema, owner = sql.Identifier(SCHEMA), sql.Identifier(database.KEYCLOAK_ROLE)
        if not child.database_password:
            connection.execute(sql.SQL("create schema if not exists {}").format(schema))
            return
        if not connection.execute(
            "select 1 from pg_roles where rolname = %s", [database.KEYCLOAK_ROLE]
        ).fetchone():
            connection.execute(sql.SQL("create role {} login").format(owner))
        connection.execute(
            sql.SQL("alter role {} login password {}").format(owner, sql.Literal(child.database_password))
        )
        connection.execute(sql.SQL("create schema if not exists {} authorization {}").format(schema, owner))


def database_access(settings: Settings, child: KeycloakChild) -> DatabaseAccess:
    """Where Keycloak finds its database.

    Raises:
        ValueError: DATABASE_URL names a Unix socket, which Java does not reach.
    """
    if child.database_password:
        port = settings.infrastructure.auth.keycloak.database_port
        name = settings.infrastructure.database.postgres.database
        url = f"jdbc:postgresql://127.0.0.1:{port}/{name}"
        return DatabaseAccess(url, database.KEYCLOAK_ROLE, child.database_password)
    parts = urlsplit(settings.infrastructure.database.url.get_secret_value())
    if not parts.hostname:
        raise ValueError(
            "DATABASE_URL names a Unix socket, which Keycloak cannot use: give it a host and a port"
        )
    known = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    query = f"?sslmode={known['sslmode']}" if "sslmode" in known else ""
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return DatabaseAccess(
        f"jdbc:postgresql://{host}:{parts.port or 5432}{parts.path}{query}",
        unquote(parts.username or ""),
        unquote(parts.password or ""),
    )


def keycloak_program(settings: Settings, home: Path, child: KeycloakChild) -> Program:
    """How to run it.

    Raises:
        ValueError: Its database cannot be reached from Java.
    """
    keycloak = settings.infrastructure.auth.keycloak
    access = database_access(settings, child)
    options = build_options(keycloak)

    async def before_start() -> None:
        await asyncio.to_thread(build, child.distribution, child.java, options, heap_mb=keycloak.memory_mb)
        await asyncio.to_thread(prepare_database, settings, home, child)

    management = f"http://127.0.0.1:{keycloak.management_port}"
    return Program(
        name=IDENTITY.name,
        arguments=child.distribution.command(
            child.java, "start", "--optimized", *_options(settings, access), heap_mb=keycloak.memory_mb
        ),
        ready=lambda: probe(management, HEALTH_PATH),
        ready_seconds=_READY_SECONDS,
        environment=_environment(settings, access),
        stop_seconds=20.0,
        before_start=before_start,
        read_line=read_log_line,
    )


def _options(settings: Settings, access: DatabaseAccess) -> tuple[str, ...]:
    keycloak = settings.infrastructure.auth.keycloak
    proxies = ",".join(("127.0.0.1", "::1", *settings.infrastructure.gateway.trusted_ips))
    # Its client takes few connections: a platform on one machine never logs in hundreds at once.
    return (
        # One process: without this it would look for others on the network.
        "--cache=local",
        "--http-enabled=true",
        f"--http-host={settings.server.listen_address}",
        f"--http-port={settings.identity.http_port}",
        f"--http-management-port={keycloak.management_port}",
        f"--hostname={keycloak.public_url.rstrip('/')}",
        "--hostname-backchannel-dynamic=true",
        "--proxy-headers=xforwarded",
        f"--proxy-trusted-addresses={proxies}",
        f"--db-url={access.url}",
        f"--db-schema={SCHEMA}",
        "--db-pool-initial-size=1",
        "--db-pool-max-size=10",
        "--spi-login-protocol-openid-connect-suppress-logout-confirmation-screen=true",
        "--spi-login-protocol-openid-connect-legacy-logout-redirect-uri=true",
    )


def _environment(settings: Settings, access: DatabaseAccess) -> Mapping[str, str]:
    keycloak = settings.infrastructure.auth.keycloak
    name, password = keycloak.admin_user, keycloak.admin_password.get_secret_value()
    return {
        "KC_DB_USERNAME": access.username,
        "KC_DB_PASSWORD": access.password,
        # Used while the realm `master` has no administrator; the older names are Keycloak 25's.
        "KC_BOOTSTRAP_ADMIN_USERNAME": name,
        "KC_BOOTSTRAP_ADMIN_PASSWORD": password,
        "KEYCLOAK_ADMIN": name,
        "KEYCLOAK_ADMIN_PASSWORD": password,
    }


def read_log_line(line: str) -> tuple[str, str]:
    """The level and the message of a line of Keycloak's log."""
    found = _LINE.match(line)
    if found is None:
        return "info", line
    return _LEVELS.get(found["level"], "info"), found["message"]
