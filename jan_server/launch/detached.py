"""The server in the background: started away from the terminal, and stopped with signals."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil

from jan_server.launch.processes import living_process, wait_gone
from jan_server.launch.state import (
    AlreadyRunningError,
    Phase,
    StackState,
    read_state,
    running_pid,
    running_state,
)

OUTPUT_FILE = Path("logs/server.out")
"""What the process itself writes: normally nothing; the reason when it dies before it can log."""

ALREADY_RUNNING_CODE = 3
"""The exit code of a server process that found another one with the same home."""

PORTS_BUSY_CODE = 4
"""The exit code of a server process that could not have its ports; nothing was started."""

_POLL_SECONDS = 0.05
_STATE_SECONDS = 5.0
_HURRY_SECONDS = 10.0


class DetachedStartError(RuntimeError):
    """The background server is not up.

    Attributes:
        state: The last state that it wrote, if any.
        ports_busy: Whether it could not have its ports, so that nothing was started.
    """

    def __init__(self, message: str, state: StackState | None = None, *, ports_busy: bool = False) -> None:
        super().__init__(message)
        self.state = state
        self.ports_busy = ports_busy


def start_detached(
    home: Path,
    profiles: Sequence[str],
    services: Sequence[str],
    *,
    seconds: float,
    watch: Callable[[StackState], None] | None = None,
) -> StackState:
    """Start the server in a session of its own and wait until it is ready.

    Args:
        home: `$JAN_HOME`.
        profiles: Profiles to use.
        services: The only services to start, with what they need; empty for all of the profiles.
        seconds: How long it may take.
        watch: Called with the state whenever it is looked at.

    Returns:
        The state of the running server.

    Raises:
        DetachedStartError: It failed, died, or was not ready in time (then it goes on starting).
        AlreadyRunningError: Another server had been started with this home in the meantime.
    """
    output = home / OUTPUT_FILE
    output.parent.mkdir(parents=True, exist_ok=True)
    arguments = ["--home", str(home), *(word for profile in profiles for word in ("--profile", profile))]
    with output.open("wb") as file:
        server = subprocess.Popen(
            # -P: what lies in the current folder must not be imported for ours.
            [sys.executable, "-P", "-m", "jan_server.launch", *arguments, *services],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            start_new_session=True,
            env={**os.environ, "PYTHONPATH": _import_path()},
        )
    deadline = time.monotonic() + seconds
    while True:
        ended = server.poll() is not None
        state = read_state(home)
        if state is not None and state.pid != server.pid:
            state = None
        if state is not None and watch is not None:
            watch(state)
        if server.returncode == ALREADY_RUNNING_CODE:
            raise AlreadyRunningError(running_pid(home) or 0)
        if ended:
            said = output.read_text(errors="replace").strip()
            reason = state.detail if state is not None and state.detail else said
            raise DetachedStartError(
                reason or f"The server ended with exit code {server.returncode}.",
                state,
                ports_busy=server.returncode == PORTS_BUSY_CODE,
            )
        if state is not None and state.phase is Phase.READY:
            return state
        if time.monotonic() > deadline:
            raise DetachedStartError(f"Not ready after {seconds:g} s; it goes on starting.", state)
        time.sleep(_POLL_SECONDS)


def wait_for_running(
    home: Path, *, seconds: float, watch: Callable[[StackState], None] | None = None
) -> StackState | None:
    """Wait until the server that somebody else started with this home is ready.

    Args:
        home: `$JAN_HOME`.
        seconds: How long it may take.
        watch: Called with the state whenever it is looked at and not ready yet.

    Returns:
        Its state once it is ready, or None when no server runs, or none does any more because it was stopped.

    Raises:
        AlreadyRunningError: What holds the lock of this home is no server, but another command.
        DetachedStartError: It failed, or was not ready in time (then it goes on starting).
    """
    begun = time.monotonic()
    seen: StackState | None = None
    while (pid := running_pid(home)) is not None:
        state = running_state(home)
        if state is not None and state.phase is Phase.READY:
            return state
        if state is not None and watch is not None:
            watch(state)
        spent = time.monotonic() - begun
        seen = state or seen
        # A server writes its first state right after it has taken the lock.
        if seen is None and spent > _STATE_SECONDS:
            raise AlreadyRunningError(pid)
        if spent > seconds:
            raise DetachedStartError(f"Not ready after {seconds:g} s; it goes on starting.", state)
        time.sleep(_POLL_SECONDS)
    last = read_state(home)
    if seen is not None and last is not None and last.pid == seen.pid and last.phase is Phase.FAILED:
        raise DetachedStartError(last.detail or "The platform did not start.", last)
    return None


def stop_server(home: Path, *, seconds: float) -> bool:
    """Ask the running server to stop in order, and wait until it has ended.

    Args:
        home: `$JAN_HOME`.
        seconds: How long it may take; then it is hurried, and a little later killed.

    Returns:
        Whether it ended in order; False when it had to be killed.
    """
    pid = running_pid(home)
    if not pid:
        return True
    try:
        server = psutil.Process(pid)
        created = server.create_time()
        for patience in (seconds, _HURRY_SECONDS):
            server.send_signal(signal.SIGTERM)
            if wait_gone(server, patience):
                return True
        if living_process(pid, created) is not None:
            server.kill()
            wait_gone(server, _HURRY_SECONDS)
    except psutil.NoSuchProcess:
        return True
    return False


def _import_path() -> str:
    """The same code as this process runs, installed or in a checkout."""
    root = str(Path(__file__).resolve().parents[2])
    earlier = os.environ.get("PYTHONPATH", "")
    return root if not earlier else f"{root}{os.pathsep}{earlier}"
