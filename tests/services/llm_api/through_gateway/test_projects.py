"""Projects, their conversations and what was used in them, through the gateway."""

from __future__ import annotations

import re

import pytest

from tests.services.llm_api.through_gateway.stack import Visitor, fresh_name


@pytest.mark.route(
    "POST /v1/projects",
    "GET /v1/projects",
    "GET /v1/projects/{project_id}",
    "PATCH /v1/projects/{project_id}",
    "DELETE /v1/projects/{project_id}",
)
async def test_a_project_from_its_making_to_its_end(ann: Visitor) -> None:
    name = fresh_name("thesis")
    made = await ann.post("/v1/projects", {"name": name, "instruction": "Be brief."}, status=201)
    assert re.fullmatch(r"proj_[0-9a-z]{16}", made["id"])
    assert made.items() >= {"object": "project", "name": name, "instruction": "Be brief."}.items()
    path = f"/v1/projects/{made['id']}"
    assert await ann.get(path) == made
    listed = await ann.get("/v1/projects", limit=1)
    assert listed["object"] == "list" and listed["data"] == [made]
    assert listed.keys() >= {"first_id", "last_id", "has_more", "total"}
    changed = await ann.patch(path, {"is_favorite": True, "is_archived": True})
    assert (changed["is_favorite"], changed["is_archived"], changed["name"]) == (True, True, name)
    assert await ann.delete(path) == {"id": made["id"], "object": "project", "deleted": True}
    await ann.get(path, status=404)
