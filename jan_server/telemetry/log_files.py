"""The log files: one a service below `$JAN_HOME/logs`, one JSON object a line, rotated by size."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any

import orjson

SUFFIX = ".log"
SERVER = "server"
"""The file of everything that belongs to no service: the launcher and the libraries."""

_FOLLOW_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Rotation:
    """When a log file is put aside, and how many are kept.

    Attributes:
        max_bytes: A file that would grow past this is put aside first.
        keep: How many files stand aside (`<service>.log.1` is the newest) before the oldest goes.
    """

    max_bytes: int = 10 * 1024 * 1024
    keep: int = 5


def log_path(folder: Path, service: str) -> Path:
    """Where the log of a service is."""
    return folder / f"{service}{SUFFIX}"


def services_with_logs(folder: Path) -> list[str]:
    """The names of the services that have written a log, in alphabetical order."""
    return sorted(path.name.removesuffix(SUFFIX) for path in folder.glob(f"*{SUFFIX}"))


class LogFile:
    """One growing log file; not for use from two threads at once.

    Args:
        path: Where it is; its folder exists.
        rotation: When it is put aside.
    """

    def __init__(self, path: Path, rotation: Rotation) -> None:
        self.path = path
        self.rotation = rotation
        self._open()

    def append(self, lines: bytes) -> None:
        """Write whole lines, rotating first when they would not fit."""
        if self._size and self._size + len(lines) > self.rotation.max_bytes:
            self._rotate()
        os.write(self._descriptor, lines)
        self._size += len(lines)

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)

    def _open(self) -> None:
        self._descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
        self._size = os.fstat(self._descriptor).st_size

    def _rotate(self) -> None:
        self.close()
        for number in range(self.rotation.keep, 0, -1):
            older = self._aside(number)
            newer = self._aside(number - 1) if number > 1 else self.path
            if newer.exists():
                newer.replace(older)
        if self.rotation.keep == 0:
            self.path.unlink(missing_ok=True)
        self._open()

    def _aside(self, number: int) -> Path:
        return self.path.with_name(f"{self.path.name}.{number}")


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One line of a log file, parsed.

    Attributes:
        service: Whose log it stands in.
        fields: What the line holds: `time` (ISO 8601, UTC), `level`, `message`, and what else was said.
    """

    service: str
    fields: dict[str, Any]

    @property
    def time(self) -> str:
        """When it was written, ISO 8601 in UTC; empty when the line does not say."""
        return str(self.fields.get("time", ""))

    @property
    def level(self) -> str:
        """Its level in lower case."""
        return str(self.fields.get("level", "info"))

    @property
    def message(self) -> str:
        """What it says."""
        return str(self.fields.get("message", ""))


def parse_entry(service: str, line: bytes) -> LogEntry:
    """The entry that a line holds; a line that is no JSON object becomes a message."""
    try:
        fields = orjson.loads(line)
    except orjson.JSONDecodeError:
        fields = None
    if not isinstance(fields, dict):
        fields = {"message": line.decode(errors="replace").rstrip()}
    return LogEntry(service, fields)


def tail(folder: Path, service: str, count: int) -> list[LogEntry]:
    """The last `count` entries of a service, oldest first, across the files put aside."""
    found: deque[bytes] = deque()
    path = log_path(folder, service)
    aside = 0
    while len(found) < count and path.exists():
        lines = path.read_bytes().splitlines()
        found.extendleft(reversed(lines[-(count - len(found)) :]))
        aside += 1
        path = log_path(folder, service).with_name(f"{service}{SUFFIX}.{aside}")
    return [parse_entry(service, line) for line in found]


def follow(folder: Path, services: list[str], stop: Event) -> Iterator[LogEntry]:
    """Yield what services write from now on, until `stop` is set; survives rotation.

    A service that has no log yet is picked up once it has one.
    """
    readers = {service: _Follower(log_path(folder, service), service, from_end=True) for service in services}
    while not stop.is_set():
        fresh = [entry for reader in readers.values() for entry in reader.read()]
        fresh.sort(key=lambda entry: entry.time)
        yield from fresh
        if not fresh:
            stop.wait(_FOLLOW_SECONDS)


class _Follower:
    def __init__(self, path: Path, service: str, *, from_end: bool) -> None:
        self.path = path
        self.service = service
        self._rest = b""
        self._inode = 0
        self._offset = 0
        if from_end and path.exists():
            status = path.stat()
            self._inode, self._offset = status.st_ino, status.st_size

    def read(self) -> list[LogEntry]:
        entries: list[LogEntry] = []
        try:
            with self.path.open("rb") as file:
                status = os.fstat(file.fileno())
                if status.st_ino != self._inode:
                    entries += self._remainder()
                    self._inode, self._offset, self._rest = status.st_ino, 0, b""
                file.seek(self._offset)
                data = file.read()
        except FileNotFoundError:
            return entries
        self._offset += len(data)
        return entries + self._lines(data)

    def _remainder(self) -> list[LogEntry]:
        """What was still written to the file before it was put aside."""
        aside = self.path.with_name(f"{self.path.name}.1")
        try:
            with aside.open("rb") as file:
                if os.fstat(file.fileno()).st_ino != self._inode:
                    return []
                file.seek(self._offset)
                return self._lines(file.read())
        except FileNotFoundError:
            return []

    def _lines(self, data: bytes) -> list[LogEntry]:
        *whole, self._rest = (self._rest + data).split(b"\n")
        return [parse_entry(self.service, line) for line in whole if line]


def utc_now(seconds: float | None = None) -> str:
    """A moment (Unix seconds; now by default) in the form that the log files use."""
    moment = time.time() if seconds is None else seconds
    whole = time.gmtime(moment)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', whole)}.{int(moment % 1 * 1000):03d}Z"
