"""The tools of the service, by name: those that come with it and those of other servers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from jan_server.services.mcp_tools.tool import Tool
from jan_server.services.mcp_tools.tool_switches import ToolSwitches, is_switched_off


class FurtherTools(Protocol):
    """Tools that come and go while the service runs."""

    def tools(self) -> Iterable[Tool]:
        """Those that are there at this moment."""


class Registry:
    """All tools.

    Args:
        built_in: Those that come with the service.
        switches: What the administrator says of them.
        further: Those of other servers.
    """

    def __init__(
        self, built_in: Iterable[Tool], switches: ToolSwitches, further: Iterable[FurtherTools] = ()
    ) -> None:
        self._built_in = {tool.name: tool for tool in built_in}
        self._further = tuple(further)
        self.switches = switches

    def find(self, name: str) -> Tool | None:
        """The tool of that name; one that comes with the service goes before one of another server."""
        return self._all().get(name)

    async def listed(self) -> list[dict[str, Any]]:
        """The tools as clients list them, by name, as the administrator wants them."""
        switches = await self.switches.all()
        found = []
        for name, tool in sorted(self._all().items()):
            if is_switched_off(name, switches):
                continue
            switch = (switches or {}).get(name)
            found.append(_listed(tool, (switch.description if switch else "") or tool.description))
        return found

    def _all(self) -> Mapping[str, Tool]:
        others = {tool.name: tool for source in self._further for tool in source.tools()}
        return {**others, **self._built_in}


def _listed(tool: Tool, description: str) -> dict[str, Any]:
    listed: dict[str, Any] = {
        "name": tool.name,
        "description": description,
        "inputSchema": dict(tool.input_schema),
    }
    if tool.output_schema is not None:
        listed["outputSchema"] = dict(tool.output_schema)
    return listed
