"""A distribution is unpacked whole, checked, and found again."""

import hashlib
import zipfile
from pathlib import Path

import pytest

from jan_server.identity.keycloak.distribution import (
    DistributionError,
    build_options,
    find_distribution,
    folder_of,
    is_built,
)
from jan_server.identity.keycloak.installation import install, local_archive
from jan_server.settings.tree.infrastructure import KeycloakSettings

VERSION = "26.5.6"


def archive_at(path: Path, version: str = VERSION, *, sha1: str | None = None) -> Path:
    """An archive with the two files by which a distribution is known, and its published checksum."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as made:
        made.writestr(f"keycloak-{version}/version.txt", f"Keycloak - Version {version}\n")
        made.writestr(f"keycloak-{version}/lib/quarkus-run.jar", b"a jar")
    digest = hashlib.sha1(path.read_bytes(), usedforsecurity=False).hexdigest()
    path.with_name(f"{path.name}.sha1").write_text(sha1 or digest)
    return path


def test_an_archive_of_mavens_repository_is_installed_and_found(tmp_path: Path) -> None:
    environ = {"HOME": str(tmp_path / "user"), "PATH": str(tmp_path)}
    archive_at(local_archive(VERSION, environ))
    told: list[tuple[int, int]] = []

    made = install(tmp_path / "home", VERSION, environ=environ, progress=lambda *bytes_: told.append(bytes_))

    assert made.folder == folder_of(tmp_path / "home", VERSION)
    assert find_distribution(KeycloakSettings(), tmp_path / "home") == made
    assert told[-1][0] == told[-1][1] > 0
    assert install(tmp_path / "home", VERSION, environ={}) == made, "what is there is not fetched again"
    assert not is_built(made, build_options(KeycloakSettings()))


def test_a_damaged_archive_leaves_nothing_behind(tmp_path: Path) -> None:
    archive = archive_at(tmp_path / "keycloak.zip", sha1="0" * 40)
    with pytest.raises(DistributionError, match="checksum is not the published one"):
        install(tmp_path / "home", VERSION, archive=archive)
    assert not folder_of(tmp_path / "home", VERSION).exists()


def test_another_version_is_named(tmp_path: Path) -> None:
    archive = archive_at(tmp_path / "keycloak.zip", "26.0.0")
    with pytest.raises(DistributionError, match=r"holds Keycloak 26\.0\.0, not 26\.5\.6") as refused:
        install(tmp_path / "home", VERSION, archive=archive)
    assert "--version 26.0.0" in refused.value.remedy
    assert list((tmp_path / "home" / "keycloak").iterdir()) == []


def test_what_is_no_archive_is_refused(tmp_path: Path) -> None:
    archive = tmp_path / "keycloak.zip"
    archive.write_text("not a zip file")
    with pytest.raises(DistributionError, match="cannot be unpacked"):
        install(tmp_path / "home", VERSION, archive=archive)


def test_without_maven_the_archive_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(DistributionError, match="no `mvn`") as refused:
        install(tmp_path / "home", VERSION, environ={"HOME": str(tmp_path), "PATH": str(tmp_path)})
    assert "--file" in refused.value.remedy


def test_mavens_own_words_are_handed_on(tmp_path: Path) -> None:
    maven = tmp_path / "bin" / "mvn"
    maven.parent.mkdir()
    maven.write_text("#!/bin/sh\necho '[ERROR] Could not find artifact'\nexit 1\n")
    maven.chmod(0o755)
    with pytest.raises(DistributionError, match="Could not find artifact"):
        install(tmp_path / "home", VERSION, environ={"HOME": str(tmp_path), "PATH": str(maven.parent)})


def test_a_keycloak_home_must_hold_a_keycloak_that_is_new_enough(tmp_path: Path) -> None:
    with pytest.raises(DistributionError, match="holds no Keycloak distribution"):
        find_distribution(KeycloakSettings(home=str(tmp_path)), tmp_path)
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "quarkus-run.jar").touch()
    (tmp_path / "version.txt").write_text("Keycloak - Version 24.0.5")
    with pytest.raises(DistributionError, match="too old to be run by the server"):
        find_distribution(KeycloakSettings(home=str(tmp_path)), tmp_path)
    with pytest.raises(DistributionError, match="is not installed"):
        find_distribution(KeycloakSettings(), tmp_path)
