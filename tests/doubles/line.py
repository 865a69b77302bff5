"""A line to a server, which can be cut or go silent: what a network or a stopped process does to callers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Line:
    """Carries bytes between callers and a port of this machine.

    Attributes:
        port: Where callers connect to; it stays the same.
    """

    def __init__(self, target: int) -> None:
        self.port = 0
        self._target = target
        self._server: asyncio.Server | None = None
        self._flows = asyncio.Event()
        self._flows.set()
        self._tasks: set[asyncio.Task[None]] = set()

    @classmethod
    @asynccontextmanager
    async def to(cls, target: int) -> AsyncIterator[Line]:
        """A line to `target`, while the context lasts."""
        line = cls(target)
        await line.restore()
        try:
            yield line
        finally:
            await line.cut()

    async def cut(self) -> None:
        """Close every connection and refuse new ones."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def silence(self) -> None:
        """Take connections and bytes, and carry nothing on, as a stopped process does."""
        self._flows.clear()

    async def restore(self) -> None:
        """Carry again; what was held back while it was silent goes on."""
        self._flows.set()
        if self._server is None:
            self._server = await asyncio.start_server(self._begin, "127.0.0.1", self.port)
            self.port = self._server.sockets[0].getsockname()[1]

    def _begin(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._carry(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far = None
        try:
            far_reader, far = await asyncio.open_connection("127.0.0.1", self._target)
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pass(reader, far))
                group.create_task(self._pass(far_reader, writer))
        except* OSError:
            pass
        finally:
            for end in (writer, far):
                if end is not None:
                    end.transport.abort()

    async def _pass(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while content := await source.read(65536):
            await self._flows.wait()
            sink.write(content)
            await sink.drain()
        sink.transport.abort()
