"""A Keycloak distribution on this machine: where it is, and its optimised build.

A distribution is built once for its build options (database, features); the start that follows is quick
then. Which options a build has is written beside it, so that changed settings lead to a new one.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jan_server.identity.keycloak.java import Java
from jan_server.settings.home import JanHome
from jan_server.settings.tree.infrastructure import KeycloakSettings

OLDEST = (25, 0)
"""The oldest version that the server runs itself: the first with a management port of its own."""

FOLDER = "keycloak"
"""Where `jan identity install` puts distributions, below the home."""

_BUILD_NOTE = "jan-build.json"
_BUILD_SECONDS = 600.0
_JVM = (
    "-XX:MetaspaceSize=96M",
    "-XX:MaxMetaspaceSize=256m",
    "-XX:+UseSerialGC",
    "-XX:+ExitOnOutOfMemoryError",
    "-Dfile.encoding=UTF-8",
    "-Djava.security.egd=file:/dev/urandom",
    "-Djava.util.concurrent.ForkJoinPool.common.threadFactory="
    "io.quarkus.bootstrap.forkjoin.QuarkusForkJoinWorkerThreadFactory",
    "-Djava.util.logging.manager=org.jboss.logmanager.LogManager",
    "-Dpicocli.disable.closures=true",
    "-Dquarkus-log-max-startup-records=10000",
    "-Duser.language=en",
    "-Duser.country=US",
    "--add-opens=java.base/java.util=ALL-UNNAMED",
    "--add-opens=java.base/java.util.concurrent=ALL-UNNAMED",
    "--add-opens=java.base/java.security=ALL-UNNAMED",
)


class DistributionError(RuntimeError):
    """Keycloak cannot be run from here.

    Attributes:
        message: What is wrong.
        remedy: What to do.
    """

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(f"{message}. {remedy}")
        self.message = message
        self.remedy = remedy


@dataclass(frozen=True, slots=True)
class Distribution:
    """An unpacked Keycloak.

    Attributes:
        folder: Where it is.
        version: Its version, for example `26.5.6`.
    """

    folder: Path
    version: str

    def command(self, java: Java, *arguments: str, heap_mb: int = 512) -> tuple[str, ...]:
        """The Java command that Keycloak's own `kc.sh` ends in, without the shell around it.

        A signal reaches the server itself that way, and nothing stays behind when it is killed.
        """
        return (
            java.program,
            "-Xms64m",
            f"-Xmx{heap_mb}m",
            *_JVM,
            f"-Dkc.home.dir={self.folder}",
            f"-Djboss.server.config.dir={self.folder / 'conf'}",
            "-cp",
            str(self.folder / "lib" / "quarkus-run.jar"),
            "io.quarkus.bootstrap.runner.QuarkusEntryPoint",
            *arguments,
        )


def folder_of(home: Path, version: str) -> Path:
    """Where `jan identity install` puts a version."""
    return JanHome(home).root / FOLDER / f"keycloak-{version}"


def find_distribution(settings: KeycloakSettings, home: Path) -> Distribution:
    """The distribution of KEYCLOAK_HOME, else the installed one.

    Raises:
        DistributionError: There is none, or it is too old.
    """
    folder = Path(settings.home).expanduser() if settings.home else folder_of(home, settings.version)
    version = version_of(folder)
    if version is None:
        if settings.home:
            raise DistributionError(
                f"KEYCLOAK_HOME ({folder}) holds no Keycloak distribution",
                "Name the folder that holds lib/quarkus-run.jar, or unset it and run `jan identity install`.",
            )
        raise DistributionError(
            f"Keycloak {settings.version} is not installed",
            "Run `jan identity install`, or set KEYCLOAK_HOME to a distribution that you have.",
        )
    if tuple(int(part) for part in version.split(".")[:2]) < OLDEST:
        raise DistributionError(
            f"Keycloak {version} in {folder} is too old to be run by the server",
            f"Take {OLDEST[0]} or newer, or run it yourself and set KEYCLOAK_BASE_URL.",
        )
    return Distribution(folder.resolve(), version)


def version_of(folder: Path) -> str | None:
    """The version of the Keycloak in a folder; None when there is none."""
    if not (folder / "lib" / "quarkus-run.jar").is_file():
        return None
    try:
        text = (folder / "version.txt").read_text()
    except OSError:
        return None
    found = re.search(r"\d+(\.\d+)+", text)
    return found[0] if found else None


def build_options(settings: KeycloakSettings) -> tuple[str, ...]:
    """The options that are fixed when a distribution is built."""
    features = ",".join(settings.features)
    return (
        "--db=postgres",
        "--health-enabled=true",
        "--metrics-enabled=true",
        *([f"--features={features}"] if features else []),
    )


def is_built(distribution: Distribution, options: Sequence[str]) -> bool:
    """Whether the distribution was built with exactly these options."""
    try:
        note = json.loads((distribution.folder / "lib" / "quarkus" / _BUILD_NOTE).read_bytes())
    except (OSError, ValueError):
        return False
    return bool(note == [distribution.version, *options])


def build(distribution: Distribution, java: Java, options: Sequence[str], *, heap_mb: int = 512) -> None:
    """Build the distribution for these options, unless it is already; takes some twenty seconds.

    Raises:
        DistributionError: It cannot be built; the last line of what Keycloak said is in the message.
    """
    if is_built(distribution, options):
        return
    target = distribution.folder / "lib" / "quarkus"
    if not os.access(target, os.W_OK):
        raise DistributionError(
            f"{distribution.folder} cannot be written, and Keycloak has to be built in it once",
            "Let this user write there, or unset KEYCLOAK_HOME and run `jan identity install`.",
        )
    command = distribution.command(java, "build", *options, heap_mb=max(heap_mb, 512))
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_BUILD_SECONDS)
    except (OSError, subprocess.TimeoutExpired) as failure:
        raise DistributionError(f"Keycloak could not be built: {failure}", "Try `jan up` again.") from failure
    if done.returncode != 0:
        said = [line.strip() for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        errors = [line for line in said if "ERROR" in line] or said
        raise DistributionError(
            f"Keycloak could not be built: {errors[0] if errors else f'exit code {done.returncode}'}",
            "Check KEYCLOAK_FEATURES and the Java version, then try again.",
        )
    (target / _BUILD_NOTE).write_text(json.dumps([distribution.version, *options]))
