"""Questions about processes that are not ours to wait for: does it still live, is it the same one."""

from __future__ import annotations

import time

import psutil

_CLOCK_TOLERANCE_SECONDS = 0.05
_POLL_SECONDS = 0.02


def living_process(pid: int, created: float) -> psutil.Process | None:
    """The process of that number, if it lives and is the one that was created at that moment.

    Args:
        pid: Its number.
        created: When it was created (Unix seconds), as psutil says.
    """
    try:
        process = psutil.Process(pid)
        if abs(process.create_time() - created) > _CLOCK_TOLERANCE_SECONDS:
            return None
    except psutil.Error:
        return None
    return process if lives(process) else None


def lives(process: psutil.Process) -> bool:
    """Whether a process lives; one that has ended and only waits to be collected does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def wait_gone(process: psutil.Process, seconds: float) -> bool:
    """Wait until a process has ended; False when it still lives after that many seconds."""
    deadline = time.monotonic() + seconds
    while lives(process):
        if time.monotonic() >= deadline:
            return False
        time.sleep(_POLL_SECONDS)
    return True


def resident_bytes(pid: int) -> int:
    """Resident memory of one process, or 0 when it is gone."""
    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return 0


def family_bytes(pid: int) -> int:
    """Memory of a process and all its children, or 0 when it is gone.

    What they share is left out where the system tells it apart, else it is counted once for each.
    """
    try:
        process = psutil.Process(pid)
        family = [process, *process.children(recursive=True)]
    except psutil.Error:
        return 0
    return sum(_private_bytes(member) for member in family)


def _private_bytes(process: psutil.Process) -> int:
    try:
        return int(process.memory_full_info().uss)
    except (psutil.Error, AttributeError):
        return resident_bytes(process.pid)
