"""The server process: takes the lock, starts the stack, waits for a signal, stops the stack in order."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
from collections.abc import Callable
from pathlib import Path

from jan_server.launch.in_process import InProcessStack
from jan_server.launch.logs import open_logs
from jan_server.launch.plan import Plan
from jan_server.launch.ports import PortsBusyError
from jan_server.launch.state import STATE_FILE, Phase, StackState, StateBoard, server_lock
from jan_server.settings.tree import Settings
from jan_server.telemetry.logs import LogSink


def serve(
    plan: Plan,
    settings: Settings,
    home: Path,
    *,
    watch: Callable[[StateBoard], None] | None = None,
) -> StackState:
    """Run the stack until SIGINT or SIGTERM; a second signal hurries.

    Args:
        plan: What to run.
        settings: The settings.
        home: `$JAN_HOME`.
        watch: Given the board once, before anything starts; set its `watch` to be told of changes.

    Returns:
        The last state: stopped in order, or failed with the reason.

    Raises:
        AlreadyRunningError: Another server runs with this home.
        PortsBusyError: A port is taken; nothing was started.
    """
    with server_lock(home):
        sink = open_logs(settings, home)
        # A start only adds objects: looking for garbage meanwhile costs a sixth of its time.
        gc.disable()
        try:
            board = StateBoard(home / STATE_FILE, plan.states(), profiles=plan.profiles)
            if watch is not None:
                watch(board)
            with asyncio.Runner(loop_factory=_loop_factory()) as runner:
                runner.run(_serve(plan, settings, home, board, sink))
            return board.state
        finally:
            gc.enable()
            sink.close()


async def _serve(plan: Plan, settings: Settings, home: Path, board: StateBoard, sink: LogSink) -> None:
    stop, hurry = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def signalled() -> None:
        (hurry if stop.is_set() else stop).set()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, signalled)
    stack = InProcessStack(plan, settings, home, board, sink)
    starting = asyncio.create_task(stack.start())
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        failure = await _outcome(starting)
        if isinstance(failure, PortsBusyError):
            raise failure
        if failure is not None:
            board.set_stack(Phase.FAILED, str(failure))
        elif not stop.is_set():
            _settle_memory()
            board.set_stack(Phase.READY)
            await stopping
        if failure is None:
            board.set_stack(Phase.STOPPING)
        await stack.stop(hurry)
        if failure is None:
            board.set_stack(Phase.STOPPED)
    except PortsBusyError as error:
        board.set_stack(Phase.FAILED, str(error))
        raise
    finally:
        stopping.cancel()


async def _outcome(starting: asyncio.Task[None]) -> Exception | None:
    """Why the start failed, or None; a start that is still under way is given up."""
    if not starting.done():
        starting.cancel()
    try:
        await starting
    except asyncio.CancelledError:
        return None
    except Exception as error:
        return error
    return None


def _settle_memory() -> None:
    # What was built during the start stays: it need not be looked at by every later collection.
    gc.enable()
    gc.collect()
    gc.freeze()


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    with contextlib.suppress(ImportError):
        import uvloop

        return uvloop.new_event_loop
    return None
