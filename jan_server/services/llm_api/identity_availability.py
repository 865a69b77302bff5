"""Whether the identity server answers: found out once for all callers, so that nobody waits in vain.

While it is away, calls fail at once and a watch asks for its keys until they come; so a server
that hangs piles up no waiting requests here, and one that comes back is used within a second.
"""

from __future__ import annotations

import asyncio
import logging

import aiohttp

from jan_server.http.readiness import Finding, Probe

logger = logging.getLogger("jan.llm-api.identity")

PATIENCE_SECONDS = 2.0
"""A call that waited for this long raises the question whether the server answers at all."""

PROBE_SECONDS = 1.5
WATCH_SECONDS = 1.0


class Availability:
    """What is known about one identity server.

    Args:
        client: The process's outgoing client.
        url: An address that a working server answers without effort.
    """

    def __init__(self, client: aiohttp.ClientSession, url: str) -> None:
        self._client = client
        self._url = url
        self._probing: asyncio.Task[bool] | None = None
        self._watching: asyncio.Task[None] | None = None
        self.away = False

    async def answers(self) -> bool:
        """Ask now; callers at the same time share one question. False is remembered as `away`."""
        return await asyncio.shield(self.doubt())

    def doubt(self) -> asyncio.Task[bool]:
        """Begin to ask, unless that is under way already."""
        if self._probing is None:
            self._probing = asyncio.create_task(self._probe())
            self._probing.add_done_callback(self._probed)
        return self._probing

    def lost(self) -> None:
        """A call got no answer: the server is away until the watch finds otherwise."""
        if not self.away:
            logger.warning("the identity server does not answer; calls fail at once until it does")
        self.away = True
        if self._watching is None and not self._client.closed:
            self._watching = asyncio.create_task(self._watch())
            self._watching.add_done_callback(self._watched)

    async def close(self) -> None:
        """End what goes on in the background."""
        tasks = [task for task in (self._probing, self._watching) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _probed(self, task: asyncio.Task[bool]) -> None:
        self._probing = None
        if not task.cancelled() and not task.result():
            self.lost()

    def _watched(self, task: asyncio.Task[None]) -> None:
        self._watching = None

    async def _watch(self) -> None:
        while not self._client.closed:
            if await self._probe():
                self.away = False
                logger.info("the identity server answers again")
                return
            await asyncio.sleep(WATCH_SECONDS)

    async def _probe(self) -> bool:
        try:
            timeout = aiohttp.ClientTimeout(total=PROBE_SECONDS)
            async with self._client.get(self._url, timeout=timeout, allow_redirects=False) as response:
                return response.status < 500
        except (aiohttp.ClientError, TimeoutError, OSError, RuntimeError):
            # RuntimeError: the client was closed meanwhile.
            return False


def identity_probe(availability: Availability) -> Probe:
    """Asks the identity server for its keys; without it the service works for those who have a token."""

    async def probe() -> Finding:
        if availability.away or not await availability.answers():
            return Finding(
                "degraded", "the identity server does not answer: nobody can log in, tokens and keys go on"
            )
        return Finding("ok")

    return probe
