"""MCP tools through the gateway: read by everybody, kept by administrators."""

from __future__ import annotations

import pytest

from tests.services.llm_api.through_gateway.stack import Visitor

ADMIN = "/v1/admin/mcp-tools"


@pytest.mark.route("GET /v1/mcp-tools", "GET /v1/mcp-tools/{tool_key}")
async def test_tools_are_read_without_a_credential(visitor: Visitor) -> None:
    listed = await visitor.get("/v1/mcp-tools")
    assert listed.keys() == {"data"} and len(listed["data"]) == 6
    tool = await visitor.get("/v1/mcp-tools/google_search")
    assert (tool["category"], tool["disallowed_keywords"]) == ("search", ["(?i)menlo"])
    assert tool["data"]["id"] == tool["id"]


@pytest.mark.route(
    "GET /v1/admin/mcp-tools", "GET /v1/admin/mcp-tools/{tool_id}", "PATCH /v1/admin/mcp-tools/{tool_id}"
)
async def test_an_administrator_switches_a_tool_off_and_on(root: Visitor, visitor: Visitor) -> None:
    [tool] = (await root.get(ADMIN, search="scrape"))["data"]
    path = f"{ADMIN}/{tool['public_id']}"
    assert (await root.get(path))["data"] == tool
    off = await root.patch(path, {"is_active": False, "disallowed_keywords": ["secret"]})
    assert off["is_active"] is False and off["data"]["disallowed_keywords"] == ["secret"]
    await visitor.get("/v1/mcp-tools/scrape", status=404)
    back = {"is_active": True, "disallowed_keywords": tool["disallowed_keywords"]}
    assert (await root.patch(path, back))["name"] == tool["name"]
