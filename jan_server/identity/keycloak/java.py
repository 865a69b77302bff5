"""The Java machine that runs Keycloak: found, and asked for its version."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

OLDEST = 17
"""Keycloak 24 to 26 run on Java 17 and 21."""

_VERSION = re.compile(r'version "(\d+)(?:\.(\d+))?')
_REMEDY = "Install a Java runtime, for example openjdk-21-jre-headless, or set JAVA_HOME."


class JavaMissingError(RuntimeError):
    """No Java that runs Keycloak is on this machine.

    Attributes:
        message: What is missing.
        remedy: What to do.
    """

    def __init__(self, message: str, remedy: str = _REMEDY) -> None:
        super().__init__(f"{message}. {remedy}")
        self.message = message
        self.remedy = remedy


@dataclass(frozen=True, slots=True)
class Java:
    """A Java machine.

    Attributes:
        program: The path of `java`.
        version: Its feature release, for example 21.
    """

    program: str
    version: int


def find_java(environ: Mapping[str, str] = os.environ) -> Java:
    """The Java of JAVA_HOME, else the one of PATH.

    Raises:
        JavaMissingError: There is none, or it is too old.
    """
    home = environ.get("JAVA_HOME", "")
    program = shutil.which("java", path=str(Path(home, "bin")) if home else environ.get("PATH"))
    if program is None:
        where = f"JAVA_HOME ({home}) holds no bin/java" if home else "There is no `java` on this machine"
        raise JavaMissingError(where)
    version = _version(program)
    if version < OLDEST:
        raise JavaMissingError(
            f"{program} is Java {version or 'of an unknown version'}, not {OLDEST} or newer"
        )
    return Java(program, version)


@lru_cache(maxsize=8)
def _version(program: str) -> int:
    try:
        done = subprocess.run([program, "-version"], capture_output=True, text=True, check=False, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return 0
    found = _VERSION.search(done.stderr + done.stdout)
    if found is None:
        return 0
    # Java 8 calls itself 1.8.
    return int(found[2] or 0) if found[1] == "1" else int(found[1])
