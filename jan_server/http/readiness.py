"""Whether the service can work: each thing it needs is asked, and the answers are put together."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from jan_server.database.engine import Database

PROBE_SECONDS = 2.0
REMEMBERED_SECONDS = 1.0
"""Answers are kept this long: a crowd of probes must not become a crowd of questions."""

Condition = Literal["ok", "degraded", "failed"]
Verdict = Literal["ready", "degraded", "unavailable"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What a probe found.

    Attributes:
        status: `ok`; `degraded`, when the service works without it, though less; `failed`.
        detail: What is wrong and what to do, in one line.
    """

    status: Condition
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """All findings, by the name of what was asked, and what follows from them."""

    status: Verdict
    checks: Mapping[str, Finding]


Probe = Callable[[], Awaitable[Finding]]


class Readiness:
    """The probes of a service."""

    def __init__(self) -> None:
        self._probes: dict[str, Probe] = {}
        self._known: tuple[float, Report] | None = None
        self._lock = asyncio.Lock()

    def add(self, name: str, probe: Probe) -> None:
        """Ask `probe` too; one that raises, or takes longer than two seconds, counts as failed."""
        self._probes[name] = probe

    async def report(self) -> Report:
        """Ask every probe, all at once."""
        async with self._lock:
            if self._known is not None and time.monotonic() - self._known[0] < REMEMBERED_SECONDS:
                return self._known[1]
            findings = await asyncio.gather(*(_ask(probe) for probe in self._probes.values()))
            report = Report(_verdict(findings), dict(zip(self._probes, findings, strict=True)))
            self._known = (time.monotonic(), report)
            return report


def _verdict(findings: list[Finding]) -> Verdict:
    found = {finding.status for finding in findings}
    if "failed" in found:
        return "unavailable"
    return "degraded" if "degraded" in found else "ready"


async def _ask(probe: Probe) -> Finding:
    try:
        async with asyncio.timeout(PROBE_SECONDS):
            return await probe()
    except TimeoutError:
        return Finding("failed", f"no answer within {PROBE_SECONDS:g} s")
    except Exception as failure:
        return Finding("failed", str(failure).strip().partition("\n")[0] or type(failure).__name__)


def database_probe(database: Database) -> Probe:
    """Asks PostgreSQL for a row."""

    async def probe() -> Finding:
        await database.ping()
        return Finding("ok")

    return probe
