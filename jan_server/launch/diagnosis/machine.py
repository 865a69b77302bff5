"""The diagnosis of the machine: Python, platform, memory, disk, limits, Docker, GPU."""

from __future__ import annotations

import platform
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil

from jan_server.launch.diagnosis.finding import Finding, Level

OLDEST_PYTHON = (3, 11)
SYSTEMS = {("Linux", "x86_64"), ("Linux", "aarch64"), ("Darwin", "x86_64"), ("Darwin", "arm64")}

_GB = 1_000_000_000
_ENOUGH_MEMORY = 4 * _GB
_LEAST_AVAILABLE = 1 * _GB
_ENOUGH_DISK = 5 * _GB
_LEAST_DISK = 1 * _GB
_ENOUGH_FILES = 1024
_TOOL_SECONDS = 5.0


def examine_machine(home: Path) -> Iterator[Finding]:
    """Everything about the machine; `home` tells which disk counts."""
    yield python()
    yield system()
    yield memory()
    yield disk(home)
    yield open_files()
    yield docker()
    yield gpu()


def python() -> Finding:
    """The version of Python."""
    found = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info < OLDEST_PYTHON:
        return Finding("python", Level.ERROR, f"Python {found} is too old", "Install Python 3.11 or newer.")
    return Finding("python", Level.OK, f"Python {found} ({sys.executable})")


def system() -> Finding:
    """The operating system and the processor."""
    name, machine = platform.system(), platform.machine()
    found = f"{name} {platform.release()} on {machine}"
    if (name, machine) not in SYSTEMS:
        return Finding(
            "platform",
            Level.WARNING,
            f"{found} is not among the platforms that are supported",
            "Use Linux or macOS on x86_64 or arm64; on Windows, WSL.",
        )
    if name == "Darwin":
        return Finding(
            "platform",
            Level.NOTE,
            f"{found}; only Linux ends the database with a server that was killed",
            "Nothing is lost: the next jan up ends what was left and recovers it.",
        )
    return Finding("platform", Level.OK, found)


def memory() -> Finding:
    """How much memory there is, and how much is free."""
    found = psutil.virtual_memory()
    text = f"{found.total / _GB:.1f} GB, {found.available / _GB:.1f} GB of it available"
    if found.available < _LEAST_AVAILABLE:
        return Finding("memory", Level.WARNING, text, "Close something: the built-in model wants 1 GB.")
    if found.total < _ENOUGH_MEMORY:
        return Finding("memory", Level.NOTE, text, "Enough for the built-in model, not for larger ones.")
    return Finding("memory", Level.OK, text)


def disk(home: Path) -> Finding:
    """How much room there is where the data will be."""
    place = next(folder for folder in (home, *home.parents) if folder.exists())
    free = shutil.disk_usage(place).free
    text = f"{free / _GB:.1f} GB free at {place}"
    remedy = "Free some room, or choose another disk with --home."
    if free < _LEAST_DISK:
        return Finding("disk", Level.ERROR, text, remedy)
    if free < _ENOUGH_DISK:
        return Finding("disk", Level.WARNING, text, remedy)
    return Finding("disk", Level.OK, text)


def open_files() -> Finding:
    """How many files, and so connections, one process may have open."""
    limit, hardest = resource.getrlimit(resource.RLIMIT_NOFILE)
    text = "no limit" if limit == resource.RLIM_INFINITY else f"{limit} a process"
    if limit != resource.RLIM_INFINITY and limit < _ENOUGH_FILES:
        most = "" if hardest == resource.RLIM_INFINITY else f" (at most {hardest})"
        return Finding("open files", Level.WARNING, text, f"ulimit -n {_ENOUGH_FILES * 4}{most}")
    return Finding("open files", Level.OK, text)


def docker() -> Finding:
    """Whether Docker answers; the default way of running needs none."""
    if shutil.which("docker") is None:
        return Finding("docker", Level.NOTE, "not installed; nothing on the default path needs it")
    version = _output(["docker", "version", "--format", "{{.Server.Version}}"])
    if not version:
        return Finding(
            "docker", Level.NOTE, "installed, but its engine does not answer; the default path needs none"
        )
    return Finding("docker", Level.OK, f"engine {version}")


def gpu() -> Finding:
    """Which graphics processor could run a model."""
    if platform.system() == "Darwin" and platform.machine() == "arm64":
        return Finding("gpu", Level.OK, "Apple graphics; llama.cpp uses it")
    if shutil.which("nvidia-smi") is None:
        return Finding("gpu", Level.NOTE, "none found; the built-in model runs on the processor")
    cards = _output(["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader"])
    if not cards:
        return Finding(
            "gpu", Level.WARNING, "the NVIDIA driver does not answer", "Run nvidia-smi and mend the driver."
        )
    return Finding("gpu", Level.OK, "; ".join(cards.splitlines()))


def _output(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_TOOL_SECONDS)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
