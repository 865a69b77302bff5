"""Java is found, and one that is missing or too old is said so."""

from pathlib import Path

import pytest

from jan_server.identity.keycloak.java import JavaMissingError, find_java


def scripted_java(folder: Path, line: str) -> dict[str, str]:
    """An environment whose `java` only knows how to tell its version."""
    program = folder / "bin" / "java"
    program.parent.mkdir(parents=True)
    program.write_text(f"#!/bin/sh\necho '{line}' >&2\n")
    program.chmod(0o755)
    return {"JAVA_HOME": str(folder)}


@pytest.mark.parametrize(
    ("line", "version"),
    [('openjdk version "17.0.15" 2025-04-15', 17), ('openjdk version "21" 2023-09-19', 21)],
    ids=["17", "21"],
)
def test_java_home_counts(tmp_path: Path, line: str, version: int) -> None:
    assert find_java(scripted_java(tmp_path, line)).version == version


@pytest.mark.parametrize(
    "line",
    ['java version "1.8.0_292"', 'openjdk version "11.0.2"', "no version at all"],
    ids=["8", "11", "none"],
)
def test_an_old_one_is_refused_by_name(tmp_path: Path, line: str) -> None:
    with pytest.raises(JavaMissingError, match="not 17 or newer") as refused:
        find_java(scripted_java(tmp_path, line))
    assert "JAVA_HOME" in refused.value.remedy


def test_without_java_the_remedy_is_named(tmp_path: Path) -> None:
    with pytest.raises(JavaMissingError, match="no `java` on this machine"):
        find_java({"PATH": str(tmp_path)})
    with pytest.raises(JavaMissingError, match="holds no bin/java"):
        find_java({"JAVA_HOME": str(tmp_path), "PATH": str(tmp_path)})
