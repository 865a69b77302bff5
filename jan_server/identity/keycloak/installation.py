"""Installing Keycloak: the distribution's archive, fetched with Maven or given, checked and unpacked.

The archive is the artifact `org.keycloak:keycloak-quarkus-dist` (type zip) of Maven repositories, which
publish a SHA-1 beside it. Maven knows the repositories, mirrors and proxies of this machine.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
import time
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

from jan_server.identity.keycloak.distribution import Distribution, DistributionError, folder_of, version_of

GROUP = "org.keycloak"
ARTIFACT = "keycloak-quarkus-dist"

Progress = Callable[[int, int], None]
"""Told how many bytes are there, and of how many; 0 while nobody knows."""

_FETCH_SECONDS = 1800.0
_POLL_SECONDS = 0.2
_BYTES = 1 << 20


def no_progress(done: int, total: int) -> None:
    """Tells nobody."""


def install(
    home: Path,
    version: str,
    *,
    archive: Path | None = None,
    progress: Progress = no_progress,
    environ: Mapping[str, str] = os.environ,
) -> Distribution:
    """Install a version below the home, unless it is there.

    Args:
        home: `$JAN_HOME`.
        version: Which one, for example `26.5.6`.
        archive: The distribution's zip file; by default Maven fetches it.
        progress: Told about the bytes while they come.
        environ: Where Maven is looked for.

    Raises:
        DistributionError: It cannot be had, or what came is not what was published.
    """
    target = folder_of(home, version)
    if version_of(target) == version:
        return Distribution(target.resolve(), version)
    zip_file = archive or fetch(version, progress=progress, environ=environ)
    if archive is None or _sha1_file(archive).is_file():
        check(zip_file)
    target.parent.mkdir(parents=True, exist_ok=True)
    # Unpacked beside its place and moved there when complete: one that was cut off leaves no half folder.
    with tempfile.TemporaryDirectory(prefix=".unpacking-", dir=target.parent) as name:
        unpacked = _unpack(zip_file, Path(name), progress)
        found = version_of(unpacked)
        if found != version:
            raise DistributionError(
                f"{zip_file} holds Keycloak {found or 'of an unknown version'}, not {version}",
                f"Name the version: jan identity install --version {found or 'VERSION'} --file {zip_file}",
            )
        if target.exists():
            shutil.rmtree(target)
        unpacked.rename(target)
    return Distribution(target.resolve(), version)


def fetch(version: str, *, progress: Progress = no_progress, environ: Mapping[str, str] = os.environ) -> Path:
    """The archive in Maven's local repository, fetched with Maven when it is not there yet.

    Raises:
        DistributionError: Maven is not there, or does not get it.
    """
    archive = local_archive(version, environ)
    if archive.is_file():
        return archive
    maven = shutil.which("mvn", path=environ.get("PATH"))
    if maven is None:
        raise DistributionError(
            f"Keycloak {version} is not in Maven's local repository, and there is no `mvn` to fetch it",
            f"Install Maven, or get keycloak-{version}.zip and run: jan identity install --version {version} "
            f"--file keycloak-{version}.zip",
        )
    coordinates = f"{GROUP}:{ARTIFACT}:{version}:zip"
    command = [maven, "-B", "-q", "-C", "dependency:get", f"-Dartifact={coordinates}", "-Dtransitive=false"]
    with tempfile.TemporaryFile("w+") as output:
        try:
            process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=dict(environ))
        except OSError as failure:
            raise DistributionError(
                f"{maven} cannot be run: {failure}", "Check the installation."
            ) from failure
        deadline = time.monotonic() + _FETCH_SECONDS
        try:
            while process.poll() is None and time.monotonic() < deadline:
                progress(_bytes_in(archive.parent), 0)
                time.sleep(_POLL_SECONDS)
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()
        if not archive.is_file():
            output.seek(0)
            said = [line.strip() for line in output if "ERROR" in line]
            reason = said[0].removeprefix("[ERROR]").strip()[:300] if said else "it did not say why"
            raise DistributionError(
                f"Maven did not get {coordinates}: {reason}",
                "Check the network and Maven's settings, or give the archive with --file.",
            )
    return archive


def local_archive(version: str, environ: Mapping[str, str] = os.environ) -> Path:
    """Where Maven keeps the archive of a version."""
    home = Path(environ.get("HOME") or "~").expanduser()
    repository = Path(environ.get("MAVEN_REPO_LOCAL") or home / ".m2" / "repository")
    return repository.joinpath(*GROUP.split("."), ARTIFACT, version, f"{ARTIFACT}-{version}.zip")


def check(archive: Path) -> None:
    """Compare an archive with the checksum that was published beside it.

    Raises:
        DistributionError: They differ, or there is no checksum.
    """
    try:
        published = _sha1_file(archive).read_text().split()[0].lower()
    except (OSError, IndexError):
        raise DistributionError(
            f"{archive} has no published checksum beside it ({archive.name}.sha1)",
            "Remove the archive and try again.",
        ) from None
    digest = hashlib.sha1(usedforsecurity=False)
    with archive.open("rb") as stream:
        while chunk := stream.read(_BYTES):
            digest.update(chunk)
    if digest.hexdigest() != published:
        raise DistributionError(
            f"{archive} is damaged: its checksum is not the published one",
            "Remove the archive and try again.",
        )


def _sha1_file(archive: Path) -> Path:
    return archive.with_name(f"{archive.name}.sha1")


def _bytes_in(folder: Path) -> int:
    return max((entry.stat().st_size for entry in folder.glob("*.zip*") if entry.is_file()), default=0)


def _unpack(archive: Path, folder: Path, progress: Progress) -> Path:
    """Unpack an archive and give the one folder that it holds."""
    try:
        with zipfile.ZipFile(archive) as opened:
            members = opened.infolist()
            total, done = sum(member.file_size for member in members), 0
            for member in members:
                place = Path(opened.extract(member, folder))
                mode = member.external_attr >> 16 & 0o777
                if mode and not member.is_dir():
                    place.chmod(mode | 0o600)
                done += member.file_size
                progress(done, total)
    except (OSError, zipfile.BadZipFile) as failure:
        raise DistributionError(
            f"{archive} cannot be unpacked: {failure}", "Check the file and the space on the disk."
        ) from failure
    inside = [entry for entry in folder.iterdir() if entry.is_dir()]
    if len(inside) != 1:
        raise DistributionError(
            f"{archive} is no Keycloak distribution", "Give the archive of Keycloak itself."
        )
    return inside[0]
