"""What the model may call: the tools of a request, and who runs each of them.

A function of OpenAI's flat form is the client's to run. Everything else runs here: the contract's
nested functions and the tools that are offered by default at MCP Tools, OpenAI's hosted tools at the
tool of MCP Tools that does the same, and `mcp` at the server that it names.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import aiohttp

from jan_server.authentication.identity_header import HEADER, IdentitySigner
from jan_server.authentication.principal import Principal
from jan_server.http.guarded_fetch import GuardedFetcher
from jan_server.services.response_api.input_items import item_id
from jan_server.services.response_api.mcp_endpoint import (
    McpEndpoint,
    ToolServerError,
    guarded_post,
    pooled_post,
)
from jan_server.services.response_api.request import ResponseRequest

Kind = Literal["function", "mcp_call", "web_search_call", "file_search_call", "code_interpreter_call"]

OWN_LABEL = "jan"
"""The label of this platform's own MCP Tools."""

HOSTED: Mapping[str, tuple[Kind, str]] = {
    "web_search": ("web_search_call", "google_search"),
    "web_search_preview": ("web_search_call", "google_search"),
    "file_search": ("file_search_call", "file_search_query"),
    "code_interpreter": ("code_interpreter_call", "python_exec"),
}
"""OpenAI's hosted tools, the items that their calls become, and the tools that do their work."""

REMEMBERED_SECONDS = 10.0
LIST_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class OfferedTool:
    """A tool as the model knows it.

    Attributes:
        name: The model's name for it.
        definition: The tool as a chat completion names it.
        kind: What its calls become; `function` is handed back to the client.
        endpoint: Who runs it; None for the client.
        tool_name: Its name there.
        server_label: What the client calls that server.
        needs_approval: Whether a person has to agree to each call.
        fixed: Arguments that the request sets, whatever the model says.
    """

    name: str
    definition: Mapping[str, Any]
    kind: Kind = "function"
    endpoint: McpEndpoint | None = None
    tool_name: str = ""
    server_label: str = ""
    needs_approval: bool = False
    fixed: Mapping[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Offer:
    """Everything that the model may call.

    Attributes:
        tools: By the name that the model knows.
        lists: What the servers of the request offer, as `mcp_list_tools` items.
    """

    tools: dict[str, OfferedTool] = field(default_factory=dict)
    lists: list[dict[str, Any]] = field(default_factory=list)

    def add(self, tool: OfferedTool) -> None:
        """Offer a tool; a name that is taken gets the label of its server in front."""
        if tool.name in self.tools and tool.server_label:
            name = f"{tool.server_label}_{tool.name}"
            function = {**tool.definition["function"], "name": name}
            definition = {**tool.definition, "function": function}
            tool = OfferedTool(
                name,
                definition,
                tool.kind,
                tool.endpoint,
                tool.tool_name,
                tool.server_label,
                tool.needs_approval,
                tool.fixed,
            )
        self.tools[tool.name] = tool


class ToolSource:
    """Finds the tools of requests.

    Args:
        client: The process's outgoing client, for MCP Tools.
        signer: Signs the header that names the caller.
        fetcher: For servers that users name.
        mcp_url: Where MCP Tools is.
    """

    def __init__(
        self, client: aiohttp.ClientSession, signer: IdentitySigner, fetcher: GuardedFetcher, mcp_url: str
    ) -> None:
        self._post = pooled_post(client, f"{mcp_url.rstrip('/')}/v1/mcp")
        self._signer = signer
        self._fetcher = fetcher
        self._known: tuple[float, list[dict[str, Any]]] | None = None

    def own(self, principal: Principal) -> McpEndpoint:
        """MCP Tools, in the name of the caller."""
        return McpEndpoint(self._post, lambda: {HEADER: self._signer.sign(principal)})

    async def own_tools(self, principal: Principal) -> list[dict[str, Any]]:
        """What MCP Tools offers, remembered for some seconds.

        Raises:
            ToolServerError: It does not answer.
        """
        if self._known is not None and self._known[0] > time.monotonic():
            return self._known[1]
        tools = await self.own(principal).list_tools(LIST_SECONDS)
        self._known = (time.monotonic() + REMEMBERED_SECONDS, tools)
        return tools

    def forget(self) -> None:
        """Ask MCP Tools anew, the next time that its tools are wanted."""
        self._known = None

    async def offer(self, request: ResponseRequest, principal: Principal, *, by_default: bool) -> Offer:
        """The tools of a request.

        Args:
            request: What was asked for.
            principal: Who asked.
            by_default: Whether a request that names no tools gets those of MCP Tools.

        Raises:
            ToolServerError: A tool is wanted that MCP Tools cannot be asked for.
        """
        offer = Offer()
        if request.tools is None:
            if by_default and request.tool_choice != "none":
                for tool in await self.own_tools(principal):
                    offer.add(_executed(tool, self.own(principal), OWN_LABEL))
            return offer
        for tool in request.tools:
            kind = tool["type"]
            if kind == "function":
                await self._add_function(offer, tool, principal)
            elif kind in HOSTED:
                await self._add_hosted(offer, tool, principal)
            elif kind == "mcp":
                await self._add_server(offer, tool, principal)
        return offer

    async def _add_function(self, offer: Offer, tool: Mapping[str, Any], principal: Principal) -> None:
        if "function" not in tool:
            members = ("name", "description", "parameters", "strict")
            function = {name: tool[name] for name in members if tool.get(name) is not None}
            offer.add(OfferedTool(tool["name"], {"type": "function", "function": function}))
            return
        function = tool["function"]
        name = function["name"]
        offer.add(
            OfferedTool(
                name,
                {"type": "function", "function": function},
                "mcp_call",
                self.own(principal),
                name,
                OWN_LABEL,
            )
        )

    async def _add_hosted(self, offer: Offer, tool: Mapping[str, Any], principal: Principal) -> None:
        kind, name = HOSTED[tool["type"]]
        found = next((each for each in await self.own_tools(principal) if each.get("name") == name), None)
        if found is None:
            raise ToolServerError(f"the tool {name}, which {tool['type']} needs, is not offered here")
        offer.add(_executed(found, self.own(principal), "", kind=kind, fixed=_fixed(tool)))

    async def _add_server(self, offer: Offer, tool: Mapping[str, Any], principal: Principal) -> None:
        label = tool["server_label"]
        if tool.get("server_url"):
            endpoint = McpEndpoint(
                guarded_post(self._fetcher, str(tool["server_url"])), lambda: _headers(tool), sessions=True
            )
        else:
            endpoint = self.own(principal)
        listed: dict[str, Any] = {
            "type": "mcp_list_tools",
            "id": item_id("mcp_list_tools"),
            "server_label": label,
            "tools": [],
            "error": None,
        }
        offer.lists.append(listed)
        try:
            found = await endpoint.list_tools(LIST_SECONDS)
        except ToolServerError as failure:
            listed["error"] = str(failure)
            return
        allowed = _allowed(tool.get("allowed_tools"))
        for each in found:
            if allowed is not None and each.get("name") not in allowed:
                continue
            listed["tools"].append(
                {
                    "name": each.get("name"),
                    "description": each.get("description"),
                    "input_schema": each.get("inputSchema") or {"type": "object"},
                    "annotations": each.get("annotations"),
                }
            )
            asked = _needs_approval(tool, str(each.get("name")))
            offer.add(_executed(each, endpoint, label, needs_approval=asked))


def _executed(
    tool: Mapping[str, Any],
    endpoint: McpEndpoint,
    label: str,
    *,
    kind: Kind = "mcp_call",
    needs_approval: bool = False,
    fixed: Mapping[str, Any] | None = None,
) -> OfferedTool:
    name = str(tool.get("name"))
    function = {
        "name": name,
        "description": tool.get("description") or "",
        "parameters": tool.get("inputSchema") or {"type": "object", "properties": {}},
    }
    definition = {"type": "function", "function": function}
    return OfferedTool(name, definition, kind, endpoint, name, label, needs_approval, fixed or {})


def _fixed(tool: Mapping[str, Any]) -> dict[str, Any]:
    """What a hosted tool of the request says, as arguments of the tool that does its work."""
    fixed: dict[str, Any] = {}
    if tool["type"] == "file_search":
        if tool.get("vector_store_ids"):
            fixed["tags"] = list(tool["vector_store_ids"])
        if tool.get("max_num_results"):
            fixed["top_k"] = min(int(tool["max_num_results"]), 20)
    elif tool["type"].startswith("web_search"):
        domains = (tool.get("filters") or {}).get("allowed_domains")
        if domains:
            fixed["domain_allow_list"] = list(domains)
        place = tool.get("user_location") or {}
        named = [str(place[name]) for name in ("city", "region", "country") if place.get(name)]
        if named:
            fixed["location_hint"] = ", ".join(named)
    return fixed


def _headers(tool: Mapping[str, Any]) -> dict[str, str]:
    headers = {str(name): str(value) for name, value in (tool.get("headers") or {}).items()}
    if tool.get("authorization"):
        headers["Authorization"] = f"Bearer {tool['authorization']}"
    return headers


def _allowed(given: Any) -> Sequence[str] | None:
    if isinstance(given, dict):
        given = given.get("tool_names")
    return given if isinstance(given, list) else None


def _needs_approval(tool: Mapping[str, Any], name: str) -> bool:
    """Whether a call has to be approved; OpenAI's default is always."""
    wanted = tool.get("require_approval")
    if isinstance(wanted, dict):
        never = (wanted.get("never") or {}).get("tool_names") or []
        always = (wanted.get("always") or {}).get("tool_names") or []
        return name in always or (name not in never and not always)
    if wanted is None:
        # Our own tools are the operator's choice; those of somebody else's server are not.
        return bool(tool.get("server_url"))
    return bool(wanted != "never")
