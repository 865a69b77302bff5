"""MCP tools: read by the MCP service, kept by administrators."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from typing import Any

import httpx
import psycopg
import pytest

from tests.services.llm_api.administrators import key_of_an_admin, new_admin
from tests.services.llm_api.callers import Caller

ADMIN = "/v1/admin/mcp-tools"
PUBLIC = "/v1/mcp-tools"
SEARCH = f"{ADMIN}/mcp_google_search_001"

CATEGORIES = {
    "google_search": "search",
    "scrape": "scrape",
    "file_search_index": "file_search",
    "file_search_query": "file_search",
    "generate_image": "image_generation",
    "edit_image": "image_edit",
}


@pytest.fixture
async def admin(llm_api: httpx.AsyncClient, database_url: str) -> AsyncIterator[Caller]:
    """An administrator; what it changes is put back."""
    admin = new_admin(llm_api)
    before = (await admin.get(ADMIN, limit=100)).json()["data"]
    yield admin
    fresh = new_admin(llm_api)
    for tool in before:
        await fresh.patch(f"{ADMIN}/{tool['public_id']}", {"metadata": {}, **tool})


async def test_the_tools_of_the_program_are_there_for_everybody(llm_api: httpx.AsyncClient) -> None:
    answer = await llm_api.get(PUBLIC)
    assert answer.status_code == 200
    tools = answer.json()["data"]
    assert {tool["tool_key"]: tool["category"] for tool in tools} == CATEGORIES
    assert answer.json().keys() == {"data"}
    assert len({tool["name"] for tool in tools}) == len(tools)
    for tool in tools:
        assert tool["public_id"] == f"mcp_{tool['tool_key']}_001"
        assert (tool["is_active"], bool(tool["description"])) == (True, True)
        assert tool["disallowed_keywords"] == (["(?i)menlo"] if tool["tool_key"] == "google_search" else [])
        assert uuid.UUID(tool["id"])
    found = (await llm_api.get(PUBLIC, params={"category": "file_search"})).json()["data"]
    assert [tool["tool_key"] for tool in found] == ["file_search_index", "file_search_query"]


async def test_one_tool_comes_in_both_shapes(llm_api: httpx.AsyncClient, admin: Caller) -> None:
    public = (await llm_api.get(f"{PUBLIC}/scrape")).json()
    data = public.pop("data")
    assert data == public
    assert data["tool_key"] == "scrape"
    for prefix in ("", "/llm"):
        assert (await admin.get(f"{prefix}{ADMIN}/mcp_scrape_001")).json() == {**data, "data": data}
    assert (await llm_api.get(f"{PUBLIC}/nothing")).status_code == 404
    assert (await admin.get(f"{ADMIN}/scrape")).status_code == 404
    assert (await admin.patch(f"{ADMIN}/scrape", {})).status_code == 404


async def test_a_tool_that_is_switched_off_is_not_read_any_more(
    llm_api: httpx.AsyncClient, admin: Caller
) -> None:
    changed = await admin.patch(f"{ADMIN}/mcp_scrape_001", {"is_active": False})
    assert (changed.status_code, changed.json()["is_active"]) == (200, False)
    assert (await llm_api.get(f"{PUBLIC}/scrape")).status_code == 404
    keys = [tool["tool_key"] for tool in (await llm_api.get(PUBLIC)).json()["data"]]
    assert sorted(keys) == sorted(CATEGORIES.keys() - {"scrape"})
    assert (await admin.get(f"{ADMIN}/mcp_scrape_001")).json()["is_active"] is False


async def test_changes_are_partial_and_metadata_is_kept(admin: Caller) -> None:
    before = (await admin.get(SEARCH)).json()["data"]
    with_map = (await admin.patch(SEARCH, {"metadata": {"team": {"id": 7}}})).json()["data"]
    assert with_map == {**before, "metadata": {"team": {"id": 7}}, "updated_at": with_map["updated_at"]}
    changed = await admin.patch(
        f"/llm{SEARCH}",
        {
            "description": "Looks things up.",
            "category": "lookup",
            "disallowed_keywords": [r"(?i)\bspam\b", "a{2,3}"],
            "tool_key": "another",
            "name": "Another",
            "is_active": None,
        },
    )
    data = changed.json()["data"]
    assert data == {
        **with_map,
        "description": "Looks things up.",
        "category": "lookup",
        "disallowed_keywords": [r"(?i)\bspam\b", "a{2,3}"],
        "updated_at": data["updated_at"],
    }
    emptied = (await admin.patch(SEARCH, {"disallowed_keywords": [], "metadata": {}})).json()["data"]
    assert emptied["disallowed_keywords"] == []
    assert "metadata" not in emptied
    assert (await admin.patch(SEARCH, {})).json()["data"] == emptied


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"disallowed_keywords": ["fine", "(open"]}, "disallowed_keywords[1]"),
        ({"disallowed_keywords": ["a{4294967296}"]}, "disallowed_keywords[0]"),
        ({"disallowed_keywords": ["fine", ""]}, "disallowed_keywords[1]"),
        ({"disallowed_keywords": ["x" * 501]}, "disallowed_keywords[0]"),
        ({"disallowed_keywords": ["a\0b"]}, "disallowed_keywords[0]"),
        ({"disallowed_keywords": "spam"}, "disallowed_keywords"),
        ({"category": " "}, "category"),
        ({"is_active": "perhaps"}, "is_active"),
        ({"description": "a\0b"}, "description"),
        ({"metadata": [1]}, "metadata"),
    ],
)
async def test_what_cannot_be_used_is_refused_by_name(
    admin: Caller, changes: dict[str, Any], param: str
) -> None:
    before = (await admin.get(SEARCH)).json()
    answer = await admin.patch(SEARCH, {"description": "new", **changes})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)
    assert (await admin.get(SEARCH)).json() == before


async def test_the_list_of_administrators_is_sorted_filtered_and_paged(admin: Caller) -> None:
    await admin.patch(f"{ADMIN}/mcp_scrape_001", {"is_active": False})

    async def found(**query: Any) -> tuple[list[str], int]:
        answer = await admin.get(f"/llm{ADMIN}", **query)
        assert answer.status_code == 200, answer.text
        return [tool["tool_key"] for tool in answer.json()["data"]], answer.json()["total"]

    everything, total = await found()
    assert (sorted(everything), total) == (sorted(CATEGORIES), 6)
    assert await found(is_active="false") == (["scrape"], 1)
    assert await found(category="file_search") == (["file_search_index", "file_search_query"], 2)
    assert await found(category="file_searc") == ([], 0)
    assert (await found(search="IMAGE"))[1] == 2
    assert (await found(search="%"))[1] == 0
    assert await found(limit=2, offset=3) == (everything[3:5], 6)
    assert await found(limit=0, offset="x", is_active="perhaps") == (everything, 6)


async def test_keys_of_administrators_write_too(
    llm_api: httpx.AsyncClient, admin: Caller, database_url: str
) -> None:
    key = key_of_an_admin(llm_api)
    assert (await key.patch(SEARCH, {"description": "by a key"})).status_code == 200
    async with await psycopg.AsyncConnection.connect(database_url) as connection:
        rows = await connection.execute(
            "select updated_by from llm_api.admin_mcp_tools where tool_key = 'google_search'"
        )
        assert await rows.fetchone() == (key.principal.subject,)
