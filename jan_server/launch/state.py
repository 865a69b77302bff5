"""What a running server says about itself: `run/state.json`, and the lock that proves it lives.

The file is replaced as a whole, so a reader never sees half of it. Whether it is true is decided by
`run/server.lock`: the server holds it until the kernel takes it away, however the server ends.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

import orjson

STATE_FILE = Path("run/state.json")
LOCK_FILE = Path("run/server.lock")

_ACQUIRE_SECONDS = 1.0


class Phase(StrEnum):
    """Where a part, or the whole stack, stands."""

    WAITING = "waiting"
    STARTING = "starting"
    READY = "ready"
    FAILED = "failed"
    STOPPING = "stopping"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class PartState:
    """Where one part of the stack stands.

    Attributes:
        name: Its name in the catalogue.
        kind: `service` (in the server process), `child` (a process of its own) or `external`.
        phase: Where it stands.
        detail: What people should know: why it failed, what is missing.
        address: Where it listens (`http://127.0.0.1:8000`), or empty.
        health_path: The path that tells its health, or empty.
        pid: Its process, or 0 before it has one.
        seconds: How long its start took, or has taken so far.
        since: When it became ready (Unix seconds), or 0.
        restarts: How often it was started again after it had died.
    """

    name: str
    kind: str
    phase: Phase = Phase.WAITING
    detail: str = ""
    address: str = ""
    health_path: str = ""
    pid: int = 0
    seconds: float = 0.0
    since: float = 0.0
    restarts: int = 0


@dataclass(frozen=True, slots=True)
class StackState:
    """Where the whole stack stands.

    Attributes:
        pid: The server process.
        started_at: When the start began (Unix seconds).
        phase: Where the stack stands as a whole.
        detail: Why it failed.
        parts: Its parts, in the order of the catalogue.
        profiles: The profiles that were asked for.
    """

    pid: int
    started_at: float
    phase: Phase
    detail: str = ""
    parts: tuple[PartState, ...] = ()
    profiles: tuple[str, ...] = ()

    def part(self, name: str) -> PartState | None:
        """The state of one part, if it is among them."""
        return next((part for part in self.parts if part.name == name), None)


class AlreadyRunningError(RuntimeError):
    """Another server runs with the same home.

    Attributes:
        pid: Its process.
    """

    def __init__(self, pid: int) -> None:
        super().__init__(f"Jan Server is already running (pid {pid}).")
        self.pid = pid


class StateBoard:
    """Keeps the state of this server, writes it down, and tells who watches.

    Args:
        path: The state file, or None to keep it in memory only.
        parts: The parts at the beginning.
        profiles: The profiles that were asked for.
        watch: Called with every new state, in the thread that made the change.
    """

    def __init__(
        self,
        path: Path | None,
        parts: tuple[PartState, ...],
        *,
        profiles: tuple[str, ...] = (),
        watch: Callable[[StackState], None] | None = None,
    ) -> None:
        self.path = path
        self.watch = watch
        self._begun: dict[str, float] = {}
        self.state = StackState(
            pid=os.getpid(),
            started_at=time.time(),
            phase=Phase.STARTING,
            parts=parts,
            profiles=profiles,
        )
        self._publish()

    def set_part(self, name: str, phase: Phase | None = None, **changes: Any) -> None:
        """Change what is known about one part; seconds and readiness are kept by themselves."""
        part = self.state.part(name)
        if part is None:
            raise KeyError(name)
        if self.state.phase is Phase.FAILED and part.phase is Phase.FAILED:
            # What failed the start is stopped too, and must still be seen to have failed.
            return
        if phase is Phase.STARTING and part.phase is not Phase.STARTING:
            self._begun[name] = time.monotonic()
            changes.setdefault("seconds", 0.0)
            changes.setdefault("detail", "")
        if phase is not None and phase is not Phase.STARTING and part.phase is Phase.STARTING:
            changes.setdefault("seconds", round(time.monotonic() - self._begun[name], 2))
        if phase is Phase.READY and part.phase is not Phase.READY:
            changes.setdefault("since", time.time())
            changes.setdefault("detail", "")
        new = replace(part, phase=phase or part.phase, **changes)
        parts = tuple(new if old.name == name else old for old in self.state.parts)
        self.state = replace(self.state, parts=parts)
        self._publish()

    def set_stack(self, phase: Phase, detail: str = "") -> None:
        """Change where the stack stands as a whole."""
        self.state = replace(self.state, phase=phase, detail=detail)
        self._publish()

    def _publish(self) -> None:
        if self.path is not None:
            write_state(self.path, self.state)
        if self.watch is not None:
            self.watch(self.state)


def write_state(path: Path, state: StackState) -> None:
    """Replace the state file as a whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.write_bytes(orjson.dumps(asdict(state), option=orjson.OPT_INDENT_2))
    fresh.replace(path)


def read_state(home: Path) -> StackState | None:
    """What the state file says, true or stale; None when there is none that can be read."""
    try:
        stored = orjson.loads((home / STATE_FILE).read_bytes())
        parts = tuple(PartState(**{**part, "phase": Phase(part["phase"])}) for part in stored.pop("parts"))
        profiles = tuple(stored.pop("profiles"))
        return StackState(**{**stored, "phase": Phase(stored["phase"])}, parts=parts, profiles=profiles)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def running_state(home: Path) -> StackState | None:
    """The state of the server that runs with this home, or None when none does."""
    pid = running_pid(home)
    state = read_state(home) if pid is not None else None
    # A command that uses the database for a moment holds the lock too; the file is then an older server's.
    return state if state is not None and state.pid == pid else None


def running_pid(home: Path) -> int | None:
    """The process that holds the server lock of this home, or None when nobody does."""
    try:
        descriptor = os.open(home / LOCK_FILE, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _written_pid(descriptor)
    finally:
        os.close(descriptor)
    return None


@contextlib.contextmanager
def server_lock(home: Path) -> Iterator[None]:
    """Be the one server of this home while the block runs.

    Raises:
        AlreadyRunningError: Another process is.
    """
    path = home / LOCK_FILE
    descriptor = _open_lock(path)
    try:
        _acquire(descriptor)
        while not _is_at(descriptor, path):
            # Whoever held it before has removed the folder: nobody else would see this lock.
            os.close(descriptor)
            descriptor = _open_lock(path)
            _acquire(descriptor)
        os.truncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(descriptor)


def _open_lock(path: Path) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _acquire(descriptor: int) -> None:
    # Somebody who merely asks whether a server runs holds a shared lock for an instant.
    deadline = time.monotonic() + _ACQUIRE_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise AlreadyRunningError(_written_pid(descriptor)) from None
            time.sleep(0.02)


def _written_pid(descriptor: int) -> int:
    text = os.pread(descriptor, 32, 0).decode(errors="replace").strip()
    return int(text) if text.isdigit() else 0
