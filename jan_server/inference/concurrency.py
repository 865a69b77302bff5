"""How many requests a provider gets at a time: places for those under way, and a bounded queue for them.

The queue is first come, first served. Who leaves it early, or its place, makes room at once. The
places are counted in this process.
"""

from __future__ import annotations

import asyncio
from collections import deque

from jan_server.inference import upstream_errors
from jan_server.inference.provider import Provider


class _Room:
    """The requests of one provider: how many are under way, and who waits."""

    __slots__ = ("most", "running", "waiting")

    def __init__(self) -> None:
        self.most = 0
        self.running = 0
        self.waiting: deque[asyncio.Future[None]] = deque()

    def admit(self) -> None:
        """Let in who waits, as long as there is a place."""
        while self.waiting and self.running < self.most:
            first = self.waiting.popleft()
            if not first.done():
                self.running += 1
                first.set_result(None)


class Place:
    """One request's place; whoever holds it leaves it when the request is over."""

    __slots__ = ("_room",)

    def __init__(self, room: _Room) -> None:
        self._room: _Room | None = room

    def leave(self) -> None:
        """Make room for the next request. May be called again."""
        room, self._room = self._room, None
        if room is not None:
            room.running -= 1
            room.admit()


class ProviderPlaces:
    """The places of all providers that have a limit. One a process; it is not for several threads."""

    def __init__(self) -> None:
        self._rooms: dict[str, _Room] = {}

    async def enter(self, provider: Provider) -> Place:
        """Wait for a place among the requests of a provider, which has a limit.

        Raises:
            UpstreamError: 429 `provider_busy`: the queue is full, or the wait was too long.
        """
        limit = provider.limit
        assert limit is not None
        room = self._rooms.setdefault(provider.id, _Room())
        room.most = limit.running
        # The limit may have been raised since.
        room.admit()
        if room.running < room.most and not room.waiting:
            room.running += 1
            return Place(room)
        if len(room.waiting) >= limit.queued:
            raise upstream_errors.busy(provider, f"{len(room.waiting)} are waiting already")
        turn = asyncio.get_running_loop().create_future()
        room.waiting.append(turn)
        try:
            async with asyncio.timeout(limit.seconds):
                await turn
        except BaseException as failure:
            if turn.done() and not turn.cancelled():
                # The place came at the very moment of leaving: the next one gets it.
                Place(room).leave()
            elif turn in room.waiting:
                room.waiting.remove(turn)
            if isinstance(failure, TimeoutError):
                raise upstream_errors.busy(
                    provider, f"no place was free within {limit.seconds:g} s"
                ) from failure
            raise
        return Place(room)
