"""What the launcher hands to every service's app factory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import aiohttp

    from jan_server.settings.tree import Settings


@dataclass(frozen=True, slots=True)
class ServiceContext:
    """The surroundings of a service: its settings, its database and the way out.

    Attributes:
        settings: The validated settings tree.
        home: The folder that holds everything (`$JAN_HOME`).
        database_url: A libpq URL (`postgresql://…`); the host may be a socket folder (`?host=`).
        client: The one pooled outgoing HTTP client of this process, already open.
    """

    settings: Settings
    home: Path
    database_url: str
    client: aiohttp.ClientSession
