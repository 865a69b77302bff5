"""Supervised child processes: started, watched, started again when they die, and never left behind.

A child is tied to the server (see `tether`), has a session of its own so that Ctrl-C reaches only the
server, and writes its output to its log file. Its process is noted in `run/children.json`; what an
earlier server left behind is ended before anything starts.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from asyncio.subprocess import PIPE, STDOUT, Process
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import orjson
import psutil

from jan_server.launch.health import Health, until_ready
from jan_server.launch.processes import living_process, wait_gone
from jan_server.launch.state import Phase
from jan_server.telemetry.logs import LogSink, without_secrets

CHILDREN_FILE = Path("run/children.json")

FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0
STEADY_SECONDS = 60.0
"""A child that ran this long starts the series of pauses anew."""

_KEPT_LINES = 20
_TETHER = Path(__file__).with_name("tether.py")


def plain_line(line: str) -> tuple[str, str]:
    """The level and the message of a line of a child that marks no levels."""
    return "info", line


@dataclass(frozen=True, slots=True)
class Program:
    """What to run, and how to tell that it is ready.

    Attributes:
        name: The name of the part in the catalogue.
        arguments: The program and its arguments.
        ready: Asks once whether the program can be used.
        ready_seconds: How long it may take to be ready before it counts as failed.
        environment: Variables besides those of the server.
        user: User and group id to run as, or None for those of the server.
        stop_signal: What asks it to end.
        stop_seconds: How long it may take to end.
        hard_signal: What ends it when it did not end in time.
        before_start: Puts things in order before each start.
        read_line: Splits a line of its output into level and message.
    """

    name: str
    arguments: tuple[str, ...]
    ready: Callable[[], Awaitable[Health]]
    ready_seconds: float = 60.0
    environment: Mapping[str, str] = field(default_factory=dict)
    user: tuple[int, int] | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    stop_seconds: float = 10.0
    hard_signal: signal.Signals = signal.SIGKILL
    before_start: Callable[[], Awaitable[None]] | None = None
    read_line: Callable[[str], tuple[str, str]] = plain_line


class ChildFailedError(RuntimeError):
    """A child did not become ready.

    Attributes:
        name: The child.
        lines: The last lines it wrote.
    """

    def __init__(self, name: str, reason: str, lines: list[str]) -> None:
        super().__init__(f"{name}: {reason}")
        self.name = name
        self.reason = reason
        self.lines = lines


Report = Callable[[Phase, str, int, int], None]
"""Told about every change: the phase, a detail for people, the process id, the number of restarts."""


class SupervisedChild:
    """One child process and its successors.

    Args:
        program: What to run.
        notes: Where its process is noted.
        sink: Where its output goes.
        report: Told about every change.
    """

    def __init__(self, program: Program, notes: ChildNotes, sink: LogSink, report: Report) -> None:
        self.program = program
        self.notes = notes
        self.sink = sink
        self.report = report
        self.restarts = 0
        self.lines: deque[str] = deque(maxlen=_KEPT_LINES)
        self._process: Process | None = None
        self._task: asyncio.Task[None] | None = None
        self._stop = asyncio.Event()
        self._hurry = False

    async def start(self) -> None:
        """Start it and wait until it is ready; from then on it is watched until `stop`.

        Raises:
            ChildFailedError: The first try failed. Further tries follow all the same.
        """
        first: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._supervise(first), name=f"child {self.program.name}")
        await first

    async def stop(self, *, hurry: bool = False) -> None:
        """End it and stop watching it; with `hurry` at once. May be called again to hurry."""
        self._hurry = self._hurry or hurry
        self._stop.set()
        process = self._process
        if process is not None and process.returncode is None:
            await self._end(process)
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)
        self.report(Phase.STOPPED, "", 0, self.restarts)

    async def _supervise(self, first: asyncio.Future[None]) -> None:
        pause = FIRST_PAUSE_SECONDS
        while not self._stop.is_set():
            begun = time.monotonic()
            reason = await self._run_once(first)
            if self._stop.is_set():
                break
            if time.monotonic() - begun > STEADY_SECONDS:
                pause = FIRST_PAUSE_SECONDS
            self.report(Phase.FAILED, f"{reason}; next try in {pause:g} s", 0, self.restarts)
            self.sink.put_line(self.program.name, f"{self.program.name} {reason}", level="error")
            if not first.done():
                first.set_exception(ChildFailedError(self.program.name, reason, list(self.lines)))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), pause)
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
            self.restarts += 1
        if not first.done():
            first.set_exception(ChildFailedError(self.program.name, "was stopped", list(self.lines)))

    async def _run_once(self, first: asyncio.Future[None]) -> str:
        """Start it and stay until it has ended; the answer is why it ended."""
        program = self.program
        self.report(Phase.STARTING, "", 0, self.restarts)
        try:
            if program.before_start is not None:
                await program.before_start()
            process = await self._spawn()
        except (OSError, RuntimeError) as error:
            return f"could not be started: {error}"
        self.report(Phase.STARTING, "", process.pid, self.restarts)
        output = asyncio.create_task(self._read_output(process))
        exited = asyncio.create_task(process.wait())
        ready = asyncio.create_task(until_ready(program.ready, seconds=program.ready_seconds))
        reason = ""
        try:
            if self._stop.is_set():
                await self._end(process)
            await asyncio.wait({exited, ready}, return_when=asyncio.FIRST_COMPLETED)
            if not exited.done():
                if ready.result().ok:
                    self.report(Phase.READY, "", process.pid, self.restarts)
                    if not first.done():
                        first.set_result(None)
                else:
                    reason = f"was not ready within {program.ready_seconds:g} s: {ready.result().detail}"
                    await self._end(process)
            code = await exited
        finally:
            ready.cancel()
            self.notes.remove(process.pid)
            # Grandchildren may hold the pipe open for a moment.
            await asyncio.wait({output}, timeout=0.5)
            output.cancel()
        return reason or _ending(code, self.lines)

    async def _spawn(self) -> Process:
        program = self.program
        user = () if program.user is None else ("--user", *map(str, program.user))
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-S", str(_TETHER)),
            *("--parent", str(os.getpid()), "--signal", str(int(program.stop_signal)), *user, "--"),
            *program.arguments,
            # Never written to: a child that reads it learns of the server's end everywhere.
            stdin=PIPE,
            stdout=PIPE,
            stderr=STDOUT,
            env={**os.environ, **program.environment},
            start_new_session=True,
        )
        self._process = process
        self.notes.add(program.name, process.pid, program.stop_signal)
        return process

    async def _read_output(self, process: Process) -> None:
        assert process.stdout is not None
        rest = b""
        while chunk := await process.stdout.read(65536):
            *whole, rest = (rest + chunk).split(b"\n")
            for line in whole:
                self._keep(line)
            if len(rest) > 65536:
                self._keep(rest)
                rest = b""
        if rest:
            self._keep(rest)

    def _keep(self, line: bytes) -> None:
        text = line.decode(errors="replace").rstrip()
        if not text:
            return
        level, message = self.program.read_line(text)
        self.lines.append(without_secrets(message))
        self.sink.put_line(self.program.name, message, level=level)

    async def _end(self, process: Process) -> None:
        steps = [(self.program.stop_signal, self.program.stop_seconds), (self.program.hard_signal, 5.0)]
        for number, seconds in [*(steps[1:] if self._hurry else steps), (signal.SIGKILL, 5.0)]:
            if process.returncode is not None:
                return
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(number)
            waiting = asyncio.create_task(process.wait())
            deadline = time.monotonic() + seconds
            while not waiting.done() and time.monotonic() < deadline:
                await asyncio.wait({waiting}, timeout=0.1)
                if self._hurry and number is self.program.stop_signal:
                    break
            if waiting.done():
                return


def _ending(code: int, lines: deque[str]) -> str:
    if code < 0:
        with contextlib.suppress(ValueError):
            return f"was ended by {signal.Signals(-code).name}"
    last = f": {lines[-1]}" if lines else ""
    return f"ended with exit code {code}{last}"


@dataclass(frozen=True, slots=True)
class _Note:
    name: str
    pid: int
    created: float
    stop_signal: int


class ChildNotes:
    """Which child processes this home has, written down for the next start.

    Args:
        home: `$JAN_HOME`.
    """

    def __init__(self, home: Path) -> None:
        self.path = home / CHILDREN_FILE
        self._notes: dict[int, _Note] = {}

    def add(self, name: str, pid: int, stop_signal: signal.Signals) -> None:
        """Note a new child."""
        with contextlib.suppress(psutil.NoSuchProcess):
            self._notes[pid] = _Note(name, pid, psutil.Process(pid).create_time(), int(stop_signal))
            self._write()

    def remove(self, pid: int) -> None:
        """Forget a child that has ended."""
        if self._notes.pop(pid, None) is not None:
            self._write()

    def end_leftovers(self, *, seconds: float = 10.0) -> list[str]:
        """End what an earlier server noted and left running; the names are returned.

        Only the server that holds the lock of this home may call it.
        """
        ended: list[str] = []
        for note in self._read():
            process = living_process(note.pid, note.created)
            if process is None:
                continue
            with contextlib.suppress(psutil.Error):
                process.send_signal(note.stop_signal)
                if not wait_gone(process, seconds):
                    process.kill()
                    wait_gone(process, seconds)
            ended.append(note.name)
        self._write()
        return ended

    def _read(self) -> list[_Note]:
        try:
            return [_Note(**note) for note in orjson.loads(self.path.read_bytes())]
        except (OSError, ValueError, TypeError):
            return []

    def _write(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        fresh = self.path.with_name(f".{self.path.name}")
        fresh.write_bytes(orjson.dumps([asdict(note) for note in self._notes.values()]))
        fresh.replace(self.path)
