"""What the administrator says of tools: descriptions, which are switched off, words that hide results.

It is kept by the LLM API, asked for every two minutes and remembered when that does not answer
(contract/mcp-tools.md, section 7).
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass

import aiohttp
import orjson

REMEMBERED_SECONDS = 120.0
RETRY_SECONDS = 5.0
ASK_SECONDS = 5.0

CONFIGURED = frozenset(
    {"google_search", "scrape", "file_search_index", "file_search_query", "generate_image", "edit_image"}
)
"""The tools that the LLM API lists from its start on: one that is missing there was switched off."""

logger = logging.getLogger("jan.mcp-tools.switches")


@dataclass(frozen=True, slots=True)
class ToolSwitch:
    """What the administrator says of one tool.

    Attributes:
        description: Replaces the tool's own; empty to keep it.
        disallowed: Results that match one of these are left out.
    """

    description: str = ""
    disallowed: tuple[re.Pattern[str], ...] = ()


class ToolSwitches:
    """The administrator's word, fetched and remembered.

    Args:
        client: The process's outgoing client.
        llm_api_url: Where the LLM API is.
    """

    def __init__(self, client: aiohttp.ClientSession, llm_api_url: str) -> None:
        self._client = client
        self._url = f"{llm_api_url.rstrip('/')}/v1/mcp-tools"
        self._known: Mapping[str, ToolSwitch] | None = None
        self._until = 0.0

    def forget(self) -> None:
        """Ask anew at the next use."""
        self._until = 0.0

    async def all(self) -> Mapping[str, ToolSwitch] | None:
        """By the tools' names; None while the LLM API never answered: then all tools are as they come."""
        if time.monotonic() >= self._until:
            fetched = await self._fetch()
            if fetched is not None:
                self._known = fetched
            self._until = time.monotonic() + (RETRY_SECONDS if fetched is None else REMEMBERED_SECONDS)
        return self._known

    async def _fetch(self) -> Mapping[str, ToolSwitch] | None:
        try:
            timeout = aiohttp.ClientTimeout(total=ASK_SECONDS)
            async with self._client.get(self._url, timeout=timeout) as response:
                if response.status != 200:
                    raise ValueError(f"status {response.status}")
                rows = orjson.loads(await response.read())["data"]
                return {row["tool_key"]: _switch(row) for row in rows}
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError, KeyError, TypeError) as failure:
            logger.warning("the settings of tools cannot be had from llm-api: %s", failure)
            return None


def is_switched_off(name: str, switches: Mapping[str, ToolSwitch] | None) -> bool:
    """Whether the administrator switched a tool off."""
    return switches is not None and name in CONFIGURED and name not in switches


def _switch(row: Mapping[str, object]) -> ToolSwitch:
    words = row.get("disallowed_keywords")
    patterns = []
    for word in words if isinstance(words, list) else ():
        try:
            patterns.append(re.compile(str(word)))
        except re.error:
            logger.warning("%s: %r is no regular expression, and is passed over", row.get("tool_key"), word)
    return ToolSwitch(str(row.get("description") or ""), tuple(patterns))
